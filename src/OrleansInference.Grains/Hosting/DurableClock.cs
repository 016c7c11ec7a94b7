using System.Globalization;

namespace OrleansInference.Hosting;

/// <summary>
/// A <see cref="RouterClock"/> that never goes back over a restart, not even after a kill: a file holds a moment that the clock has not passed,
/// and is moved ahead before the clock gets there. A clock that cannot save that moment stands still.
/// </summary>
public sealed class DurableClock : IAsyncDisposable
{
    // On the wall: how often the moment is moved ahead, and how far ahead of the clock it is. A kill costs at most the latter.
    private static readonly TimeSpan SavePeriod = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Margin = TimeSpan.FromSeconds(5);

    private readonly string _path;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _saves = Task.CompletedTask;
    private int _disposed;

    private DurableClock(string path, RouterClock clock)
    {
        _path = path;
        Clock = clock;
        if (clock.RunsAhead)
        {
            SaveAhead();
            _saves = Task.Run(SaveAsync);
        }
    }

    /// <summary>The clock.</summary>
    public RouterClock Clock { get; }

    /// <summary>Starts the clock at the later of now and the moment in the file.</summary>
    /// <param name="path">The file; made if it does not exist.</param>
    /// <param name="timeProvider">The underlying clock.</param>
    /// <param name="speed">How many times faster than it; 1..1000.</param>
    /// <exception cref="IOException">The file cannot be read or written, or holds no moment.</exception>
    public static DurableClock Open(string path, TimeProvider timeProvider, double speed)
    {
        try
        {
            return new(path, new RouterClock(timeProvider, speed, File.Exists(path) ? Read(path) : 0));
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new IOException($"{path}: the file cannot be used ({exception.Message.TrimEnd('.')}). Check its permissions.", exception);
        }
    }

    /// <summary>Leaves in the file where the clock stands.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _stopping.CancelAsync();
        await _saves;
        _stopping.Dispose();
        if (Clock.RunsAhead)
        {
            // Nothing that still holds the clock sees a later moment than the one saved.
            var end = Clock.Now;
            Clock.StandStillAt(end);
            TrySave(end);
        }
    }

    private static long Read(string path) => long.TryParse(File.ReadAllText(path), NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out var moment)
        && moment <= DateTimeOffset.MaxValue.ToUnixTimeMilliseconds()
        ? moment
        : throw new IOException($"{path}: this is not a moment in Unix milliseconds, at which the clock of this folder last stood. Write one there that is not before anything stored in the folder.");

    private async Task SaveAsync()
    {
        using var timer = new PeriodicTimer(SavePeriod);
        try
        {
            while (await timer.WaitForNextTickAsync(_stopping.Token))
            {
                TrySave(null);
            }
        }
        catch (OperationCanceledException)
        {
            // The clock stops.
        }
    }

    // A disk that is full or gone for a while: the next try is a second away, and the clock stands still when its margin is used up.
    private void TrySave(long? moment)
    {
        try
        {
            if (moment is { } at)
            {
                Save(at);
            }
            else
            {
                SaveAhead();
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
        }
    }

    private void SaveAhead()
    {
        var ceiling = Clock.Now + (long)Clock.FromWall(Margin).TotalMilliseconds;
        Save(ceiling);
        Clock.StandStillAt(ceiling);
    }

    // Written beside, flushed and moved, so that a crash leaves the old moment or the new one.
    private void Save(long moment)
    {
        var draft = _path + ".new";
        using (var stream = new FileStream(draft, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            stream.Write(System.Text.Encoding.ASCII.GetBytes(moment.ToString(CultureInfo.InvariantCulture)));
            stream.Flush(flushToDisk: true);
        }

        File.Move(draft, _path, overwrite: true);
    }
}
