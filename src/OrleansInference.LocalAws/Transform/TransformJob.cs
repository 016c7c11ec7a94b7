using OrleansInference.LocalAws.Objects;

namespace OrleansInference.LocalAws.Transform;

/// <summary>What a transform job was asked to do.</summary>
internal sealed record TransformJobSpec
{
    public required string Name { get; init; }

    public required string Model { get; init; }

    /// <summary>Prefix of the input objects.</summary>
    public required S3Location Input { get; init; }

    public required S3Location Output { get; init; }

    /// <summary>Whether an object's lines are its records; else the object is one record.</summary>
    public bool SplitLines { get; init; }

    /// <summary>Whether many records go into one invocation.</summary>
    public bool MultiRecord { get; init; }

    /// <summary>Whether outputs of an object are joined with line ends.</summary>
    public bool AssembleLines { get; init; }

    public string? Accept { get; init; }

    public string? ContentType { get; init; }

    public required string InstanceType { get; init; }

    public required int InstanceCount { get; init; }

    /// <summary>Invocations that run on one instance at a time.</summary>
    public int MaxConcurrentTransforms { get; init; } = 1;

    /// <summary>The most bytes of one invocation's body.</summary>
    public long MaxPayloadBytes { get; init; } = 6L << 20;

    public int TimeoutSeconds { get; init; } = 600;

    public int MaxRetries { get; init; } = 3;

    public IReadOnlyDictionary<string, string> Tags { get; init; } = new Dictionary<string, string>();
}

/// <summary>A transform job as it stands.</summary>
/// <param name="Spec">What it was asked to do.</param>
/// <param name="Status">InProgress, Completed, Failed, Stopping or Stopped.</param>
/// <param name="Created">Unix ms.</param>
/// <param name="Started">When its instances began to be billed.</param>
/// <param name="Ended">When it ended, and billing with it.</param>
/// <param name="Failure">Why it failed.</param>
internal sealed record TransformJob(TransformJobSpec Spec, string Status, long Created, long? Started, long? Ended, string? Failure)
{
    public const string InProgress = nameof(InProgress);
    public const string Completed = nameof(Completed);
    public const string Failed = nameof(Failed);
    public const string Stopping = nameof(Stopping);
    public const string Stopped = nameof(Stopped);
}
