namespace OrleansInference.Jobs;

/// <summary>How a job is handed to its lane and found again. What happened is told to the machine; nothing is stored here.</summary>
internal interface IJobLane
{
    /// <summary>Hands the job over. Doing it twice gives one result.</summary>
    Task DispatchAsync(JobAddress address, JobMachine machine, CancellationToken cancellationToken);

    /// <summary>Looks whether the job has ended.</summary>
    Task CheckAsync(JobAddress address, JobMachine machine, CancellationToken cancellationToken);

    /// <summary>The job has ended without its lane: takes it back if that is still possible.</summary>
    Task AbandonAsync(JobAddress address, JobRecord record, CancellationToken cancellationToken);
}
