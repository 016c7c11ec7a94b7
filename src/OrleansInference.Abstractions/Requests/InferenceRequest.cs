namespace OrleansInference;

/// <summary>How the caller takes the answer.</summary>
public enum Delivery
{
    /// <summary>In line: the caller waits for it.</summary>
    Inline = 0,

    /// <summary>In line or later as a job, whichever is cheaper.</summary>
    Either = 1,
}

/// <summary>One request for a prediction.</summary>
[GenerateSerializer, Immutable, Alias("oi.InferenceRequest")]
public sealed record InferenceRequest
{
    /// <summary>The most tokens, of input or output, that a request may speak of.</summary>
    public const int MostTokens = 100_000_000;

    /// <summary>Who pays.</summary>
    [Id(0)] public required TenantId Tenant { get; init; }

    /// <summary>What is asked.</summary>
    [Id(1)] public required ModelName Model { get; init; }

    /// <summary>The model's input, as the model takes it.</summary>
    [Id(2)] public ReadOnlyMemory<byte> Body { get; init; }

    /// <summary>MIME type of <see cref="Body"/>.</summary>
    [Id(3)] public string ContentType { get; init; } = "application/json";

    /// <summary>MIME type wanted of the answer.</summary>
    [Id(4)] public string? Accept { get; init; }

    /// <summary>Declared class; null takes the tenant's default.</summary>
    [Id(5)] public TrafficClass? Class { get; init; }

    /// <summary>Time from arrival until the answer is worthless, greater than zero; null takes the class's default.</summary>
    [Id(6)] public TimeSpan? Deadline { get; init; }

    /// <summary>Lowest acceptable quality, 0..1; null takes the tenant's.</summary>
    [Id(7)] public double? MinQuality { get; init; }

    /// <summary>The most this request may be charged.</summary>
    [Id(8)] public Money? MaxCharge { get; init; }

    /// <summary>A key, at most 255 characters, under which a repetition gives the same answer or job and one charge.</summary>
    [Id(9)] public string? IdempotencyKey { get; init; }

    /// <summary>How the caller takes the answer.</summary>
    [Id(10)] public Delivery Delivery { get; init; }

    /// <summary>Input tokens, if the caller knows; null estimates four bytes a token.</summary>
    [Id(11)] public int? InputTokens { get; init; }

    /// <summary>The most output tokens asked for, if the caller knows; null takes the model's maximum.</summary>
    [Id(12)] public int? MaxOutputTokens { get; init; }

    /// <summary>Passed to the model as <c>X-Amzn-SageMaker-Custom-Attributes</c>; at most 1024 ASCII characters.</summary>
    [Id(13)] public string? CustomAttributes { get; init; }

    /// <summary>Passed to the model as <c>X-Amzn-SageMaker-Inference-Id</c>; 1 to 64 characters.</summary>
    [Id(14)] public string? InferenceId { get; init; }

    /// <summary>Passed to a multi-model endpoint as <c>X-Amzn-SageMaker-Target-Model</c>.</summary>
    [Id(15)] public string? TargetModel { get; init; }

    /// <summary>Passed as <c>X-Amzn-SageMaker-Session-Id</c>.</summary>
    [Id(16)] public string? SessionId { get; init; }

    /// <summary>For asynchronous requests whose input the caller already stored: an <c>s3://</c> address instead of a body.</summary>
    [Id(17)] public string? InputLocation { get; init; }

    /// <summary>Only these lanes may serve; empty means any. A set of <see cref="Lane"/> bits (1 &lt;&lt; lane).</summary>
    [Id(18)] public int LaneMask { get; init; }

    /// <summary>Where the end is told if the request becomes a job; null: nowhere.</summary>
    [Id(19)] public ReplyTo? ReplyTo { get; init; }
}

/// <summary>Who is told how a job ended, at least once: a queue or a webhook.</summary>
[GenerateSerializer, Immutable, Alias("oi.ReplyTo")]
public sealed record ReplyTo
{
    /// <summary>Name or URL of the SQS queue; null for a webhook.</summary>
    [Id(0)] public string? Queue { get; init; }

    /// <summary>What the caller calls the request; comes back with the reply.</summary>
    [Id(1)] public string? CorrelationId { get; init; }

    /// <summary>URL of the webhook, at most 2048 characters; null for a queue. The tenant must have a webhook secret.</summary>
    [Id(2)] public string? Webhook { get; init; }
}
