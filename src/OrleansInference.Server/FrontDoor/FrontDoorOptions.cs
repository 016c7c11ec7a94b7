namespace OrleansInference.FrontDoor;

/// <summary>What the front door is told by its host.</summary>
internal sealed class FrontDoorOptions
{
    /// <summary>SageMaker's own limit of bodies in both directions.</summary>
    public const long SageMakerBodyBytes = 6_291_456;

    /// <summary>Largest body of <c>/v1</c> in bytes.</summary>
    public long MaxBodyBytes { get; init; } = 104_857_600;

    /// <summary>Most bytes of the records of one batch.</summary>
    public long MaxBatchBytes { get; init; } = 1L << 30;

    /// <summary>Bucket of job inputs and results.</summary>
    public string PayloadBucket { get; init; } = "orleans-inference";

    /// <summary>The region that callers must sign for.</summary>
    public string Region { get; init; } = "us-east-1";

    /// <summary>Longest that a caller may wait on a job in one request.</summary>
    public TimeSpan MaxJobWait { get; init; } = TimeSpan.FromSeconds(60);
}
