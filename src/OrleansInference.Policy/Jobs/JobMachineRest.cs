namespace OrleansInference.Jobs;

// Being taken up again after a crash, and waiting out of memory for what is far away.
public sealed partial class JobMachine
{
    /// <summary>
    /// Between a half and one, the same for a job each time and another for another: times of jobs that came together are multiplied by it, so that they are not all
    /// taken up again together.
    /// </summary>
    public double Spread { get; } = SpreadOf(record.JobId);

    /// <summary>Milliseconds after <paramref name="at"/> at which the job is taken up again if nothing was heard of it: three quarters of its time are left then.</summary>
    /// <param name="at">Unix ms.</param>
    public long RecoverInMs(long at) => (long)(Math.Min(times.LostWordMs, Math.Max(0, (Record.Specification.Deadline - at) / 4)) * Spread);

    /// <summary>
    /// Milliseconds between two reminders of a job that has something to do at <paramref name="at"/>: a quarter of the time that is left then until the
    /// deadline, so that a crash leaves time for more than one more try, but at least what the reminders allow.
    /// </summary>
    /// <param name="at">Unix ms.</param>
    public long RecoverEveryMs(long at) =>
        Math.Clamp((Record.Specification.Deadline - at) / 4, times.RecoverAtLeastEveryMs, Math.Max(times.RecoverAtLeastEveryMs, times.RecoverAtMostEveryMs));

    /// <summary>
    /// Unix ms until which the job need not be in memory, with its reminder set to that: its next step, or the moment from which on a reminder would not come
    /// often enough before its deadline. Null if it is to stay: that is near, or its end is not settled.
    /// </summary>
    /// <param name="now">Unix ms.</param>
    public long? RestsUntil(long now)
    {
        var until = Record.Ending is null ? Math.Min(Next().At, Record.Specification.Deadline - (4 * times.RecoverAtLeastEveryMs)) : Record.Settled ? Next().At : now;
        return until - now >= times.RestFromMs ? until : null;
    }

    /// <summary><see cref="Spread"/> of a job, by FNV-1a of its id.</summary>
    /// <param name="jobId">The id.</param>
    public static double SpreadOf(string jobId)
    {
        ArgumentNullException.ThrowIfNull(jobId);
        var hash = 2_166_136_261;
        foreach (var letter in jobId)
        {
            hash = unchecked((hash ^ letter) * 16_777_619);
        }

        return 0.5 + (hash / (2.0 * uint.MaxValue));
    }
}
