using System.Diagnostics.CodeAnalysis;

namespace OrleansInference.Queueing;

/// <summary>
/// An endpoint's deferred jobs: those that wait for a slot which is free anyway, by deadline as <see cref="DeferredWork{T}"/> (what is due in more than three days as if it were due then), and those whose turn has come and that have
/// not been heard of again. Nothing of it is stored: a job registers again now and then, and goes into line by itself in time. Not thread-safe.
/// </summary>
/// <param name="most">The most jobs that wait, at least 1.</param>
public sealed class DeferredTurns(int most = 1_000_000)
{
    private readonly SortedSet<Place> _order = new(Comparer<Place>.Create(static (one, other) => (one.Deadline, one.Sequence).CompareTo((other.Deadline, other.Sequence))));
    private readonly Dictionary<string, Place> _waiting = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Turn> _turns = new(StringComparer.Ordinal);
    private readonly DeadlineWork _work = new();
    private long _sequence;

    /// <summary>Jobs that wait.</summary>
    public int Waiting => _waiting.Count;

    /// <summary>Jobs whose turn has come and that have not ended.</summary>
    public int Begun => _turns.Count;

    /// <summary>Slot-milliseconds that those who wait are expected to take.</summary>
    public long WorkMs => _work.WorkMs;

    /// <summary>The last moment at which a call should begin, Unix ms: it may take twice as long as such calls do on average, and deadlines are told apart to the minute.</summary>
    /// <param name="deadline">By when it should have ended, Unix ms.</param>
    /// <param name="serviceMs">How long such calls take on average, in milliseconds.</param>
    public static long LastBegin(long deadline, int serviceMs) => deadline - DeadlineWork.GrainMs - (2L * serviceMs);

    /// <summary>How much sooner than it has to all deferred work is to begin, in milliseconds, so that two starts of an instance are in time: the first may come too late for some. A minute is for what is seen late.</summary>
    /// <param name="startSeconds">How long a start takes, in seconds.</param>
    public static long MarginMs(double startSeconds) => (long)(2000 * startSeconds) + 60_000;

    /// <summary>Lets a job wait; one that waits or has its turn stays as it is. False if too many wait.</summary>
    /// <param name="job">Its key.</param>
    /// <param name="deadline">The last moment at which its call should begin, Unix ms, not negative.</param>
    /// <param name="serviceMs">Slot-milliseconds that it is expected to take; at least 1 is counted.</param>
    /// <param name="now">Unix ms.</param>
    public bool TryAdd(string job, long deadline, int serviceMs, long now)
    {
        ArgumentException.ThrowIfNullOrEmpty(job);
        if (_waiting.ContainsKey(job) || _turns.ContainsKey(job))
        {
            return true;
        }

        if (_waiting.Count >= most)
        {
            return false;
        }

        var place = new Place(DeadlineWork.Counted(deadline, now), ++_sequence, job, Math.Max(1, serviceMs));
        _waiting.Add(job, place);
        _order.Add(place);
        _work.Add(place.Deadline, place.ServiceMs);
        return true;
    }

    /// <summary>The next job's turn has come; false if none waits.</summary>
    /// <param name="now">Unix ms.</param>
    /// <param name="job">Its key.</param>
    public bool TryBegin(long now, [NotNullWhen(true)] out string? job)
    {
        if (_waiting.Count == 0)
        {
            job = null;
            return false;
        }

        var place = _order.Min;
        job = place.Job;
        Leave(place);
        _turns[job] = new(now, place.Deadline, place.ServiceMs);
        return true;
    }

    /// <summary>A job has ended, or needs no turn any more.</summary>
    public void Ended(string job)
    {
        _turns.Remove(job);
        if (_waiting.TryGetValue(job, out var place))
        {
            Leave(place);
        }
    }

    /// <summary>A job that could not be told of its turn waits again.</summary>
    public void Back(string job, long now)
    {
        if (_turns.Remove(job, out var turn))
        {
            TryAdd(job, turn.Deadline, turn.ServiceMs, now);
        }
    }

    /// <summary>Those who have not been heard of for too long wait again: their silo may have died.</summary>
    /// <param name="before">Unix ms: a turn that came before it is over.</param>
    /// <param name="now">Unix ms.</param>
    public void Recall(long before, long now)
    {
        List<string>? lost = null;
        foreach (var (job, turn) in _turns)
        {
            if (turn.At < before)
            {
                (lost ??= []).Add(job);
            }
        }

        foreach (var job in lost ?? [])
        {
            Back(job, now);
        }
    }

    /// <summary><see cref="DeferredWork{T}.SlotsNeeded"/> of those who wait.</summary>
    public double SlotsNeeded(long now, long marginMs) => _waiting.Count == 0 ? 0 : _work.SlotsNeeded(_order.Min.Deadline, now, marginMs);

    /// <summary>Whether one that waits must begin now if it is to have the margin.</summary>
    public bool IsDue(long now, long marginMs) => _waiting.Count > 0 && _order.Min.Deadline - marginMs <= now;

    private void Leave(Place place)
    {
        _waiting.Remove(place.Job);
        _order.Remove(place);
        _work.Remove(place.Deadline, place.ServiceMs);
    }

    private readonly record struct Place(long Deadline, long Sequence, string Job, int ServiceMs);

    private readonly record struct Turn(long At, long Deadline, int ServiceMs);
}
