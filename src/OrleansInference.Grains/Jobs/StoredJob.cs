using OrleansInference.Persistence;

namespace OrleansInference.Jobs;

/// <summary>What a job's grain stores.</summary>
public sealed class StoredJob : IStoredForm
{
    /// <inheritdoc/>
    public int Form { get; set; }

    /// <inheritdoc/>
    int IStoredForm.NewestForm => 0;

    /// <summary>The job; null before it was accepted and after it was purged.</summary>
    public JobRecord? Record { get; set; }
}
