using OrleansInference.LocalAws.Objects;

namespace OrleansInference.LocalAws.Inference;

/// <summary>A call of InvokeEndpointAsync as it waits in the backlog.</summary>
internal sealed record AsyncCall
{
    public required string Endpoint { get; init; }

    public required string InferenceId { get; init; }

    public required S3Location InputLocation { get; init; }

    /// <summary>The input's address as the caller wrote it.</summary>
    public required string StatedInputLocation { get; init; }

    public string? ContentType { get; init; }

    public string? CustomAttributes { get; init; }

    public required S3Location OutputLocation { get; init; }

    public required S3Location FailureLocation { get; init; }

    /// <summary>Seconds it may wait in the backlog.</summary>
    public required int TtlSeconds { get; init; }

    /// <summary>Seconds the model may take.</summary>
    public required int TimeoutSeconds { get; init; }
}
