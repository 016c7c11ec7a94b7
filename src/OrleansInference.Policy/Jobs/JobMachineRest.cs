namespace OrleansInference.Jobs;

// Being taken up again after a crash, and waiting out of memory for what is far away.
public sealed partial class JobMachine
{
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
        Record.Ending is null
        && Next() is var step
        && step.At - now >= times.RestFromMs
        && Record.Specification.Deadline - step.At >= 4 * times.RecoverAtLeastEveryMs
            ? step
            : null;
}
