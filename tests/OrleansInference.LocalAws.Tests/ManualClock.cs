using Microsoft.Extensions.Time.Testing;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

/// <summary>A clock for the simulated models that moves only when the test says so.</summary>
internal sealed class ManualClock
{
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);

    public ManualClock() => Router = new(_time);

    public RouterClock Router { get; }

    public void Advance(double seconds) => _time.Advance(TimeSpan.FromSeconds(seconds));

    /// <summary>Moves on, a tenth of a second at a time, until something has happened.</summary>
    public async Task<T> RunAsync<T>(Task<T> task)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!task.IsCompleted)
        {
            Advance(0.1);
            await Task.WhenAny(task, Task.Delay(1, timeout.Token));
            timeout.Token.ThrowIfCancellationRequested();
        }

        return await task;
    }
}
