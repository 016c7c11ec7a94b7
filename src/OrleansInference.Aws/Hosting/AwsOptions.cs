namespace OrleansInference.Aws;

/// <summary>Where AWS is, and who calls it.</summary>
public sealed class AwsOptions
{
    /// <summary>Region, such as <c>eu-central-1</c>.</summary>
    public string Region { get; set; } = "us-east-1";

    /// <summary>One address for every service, such as that of an emulator; null means the region's own addresses.</summary>
    public Uri? Endpoint { get; set; }

    /// <summary>Address of SageMaker Runtime; overrides <see cref="Endpoint"/>.</summary>
    public Uri? RuntimeEndpoint { get; set; }

    /// <summary>Address of the SageMaker control plane; overrides <see cref="Endpoint"/>.</summary>
    public Uri? ControlPlaneEndpoint { get; set; }

    /// <summary>Address of S3, which is then spoken to in path style; overrides <see cref="Endpoint"/>.</summary>
    public Uri? S3Endpoint { get; set; }

    /// <summary>Address of SQS; overrides <see cref="Endpoint"/>.</summary>
    public Uri? SqsEndpoint { get; set; }

    /// <summary>Whether to use the region's FIPS 140 addresses. Excludes the addresses above.</summary>
    public bool UseFips { get; set; }

    /// <summary>Access key id; null takes credentials from the SDK's chain (environment, profile, container, instance).</summary>
    public string? AccessKeyId { get; set; }

    /// <summary>Secret of <see cref="AccessKeyId"/>.</summary>
    public string? SecretAccessKey { get; set; }

    /// <summary>Session token, if the access key is a temporary one.</summary>
    public string? SessionToken { get; set; }

    /// <summary>How long establishing a connection may take: up to a minute.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(3);

    /// <summary>
    /// How long an answer of SageMaker Runtime, or the next part of a streamed one, may take: up to an hour. The default leaves
    /// some room over the minute that SageMaker gives a model.
    /// </summary>
    public TimeSpan InvocationTimeout { get; set; } = TimeSpan.FromSeconds(70);

    /// <summary>How long one attempt of a control-plane call may take: up to ten minutes.</summary>
    public TimeSpan ControlPlaneTimeout { get; set; } = TimeSpan.FromSeconds(15);

    /// <summary>Attempts of a control-plane, S3 or SQS call, 1..10. Calls of SageMaker Runtime are never repeated here.</summary>
    public int MaxAttempts { get; set; } = 4;

    /// <summary>Upper bound of the wait before the first repetition of a control-plane call; doubles each time, up to 20 s.</summary>
    public TimeSpan RetryBaseDelay { get; set; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Connections to a service at a time, 1..65,536; further calls wait for one.</summary>
    public int MaxConnections { get; set; } = 4096;
}
