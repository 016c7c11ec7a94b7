namespace OrleansInference.Jobs;

/// <summary>What a job's grain stores.</summary>
public sealed class StoredJob
{
    /// <summary>The job; null before it was accepted and after it was purged.</summary>
    public JobRecord? Record { get; set; }
}
