using OrleansInference.Persistence;

namespace OrleansInference.Jobs;

/// <summary>What a job's grain stores.</summary>
public sealed class StoredJob : IStoredForm
{
    /// <inheritdoc/>
    public int Form { get; set; }

    /// <inheritdoc/>
    int IStoredForm.NewestForm => 1;

    /// <summary>What is stored of a job. One that is deferred to a real-time endpoint has form 1: the release before would send it to that endpoint as to an asynchronous one.</summary>
    public static StoredJob Of(JobRecord record) => new() { Form = record.Specification.Route.Lane == Lane.Realtime ? 1 : 0, Record = record };

    /// <summary>The job; null before it was accepted and after it was purged.</summary>
    public JobRecord? Record { get; set; }
}
