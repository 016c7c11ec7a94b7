namespace OrleansInference.Jobs;

// Being taken up again after a crash, and waiting out of memory for what is far away.
public sealed partial class JobMachine
{
    /// <summary>
    /// Between a half and one, the same for a job each time and another for another: times of jobs that came together are multiplied by it, so that they are not all
    /// taken up again together.
    /// </summary>
    public double Spread { get; } = SpreadOf(record.JobId);

    /// <summary>
    /// Milliseconds between two reminders of a job that has something to do at <paramref name="at"/>: a quarter of the time that is left then until the
    /// deadline, so that a crash leaves time for more than one more try, but at least what the reminders allow.
    /// </summary>
    /// <param name="at">Unix ms.</param>
    public long RecoverEveryMs(long at) =>
        Math.Clamp((Record.Specification.Deadline - at) / 4, times.RecoverAtLeastEveryMs, Math.Max(times.RecoverAtLeastEveryMs, times.RecoverAtMostEveryMs));

    /// <summary>
    /// The step until which the job need not be in memory, with its reminder set to that and coming again every <see cref="RecoverEveryMs"/>; null if it
    /// is to stay: the step is near, or so near its deadline that the reminder would not come often enough after it.
    /// </summary>
    /// <param name="now">Unix ms.</param>
    public JobStep? RestsUntil(long now) =>
        Next() is var step
        && step.At - now >= times.RestFromMs
        && (Record.Ending is not null ? Record.Settled : Record.Specification.Deadline - step.At >= 4 * times.RecoverAtLeastEveryMs)
            ? step
            : null;

    // By FNV-1a.
    private static double SpreadOf(string jobId)
    {
        var hash = 2_166_136_261;
        foreach (var letter in jobId)
        {
            hash = unchecked((hash ^ letter) * 16_777_619);
        }

        return 0.5 + (hash / (2.0 * uint.MaxValue));
    }
}
