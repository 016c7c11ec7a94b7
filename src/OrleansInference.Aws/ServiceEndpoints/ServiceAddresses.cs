namespace OrleansInference.Aws.ServiceEndpoints;

/// <summary>The addresses of the services that have no SDK package here, and the overrides for those that have.</summary>
/// <param name="Runtime">SageMaker Runtime.</param>
/// <param name="ControlPlane">The SageMaker control plane.</param>
/// <param name="S3">S3; null leaves it to the SDK.</param>
/// <param name="Sqs">SQS; null leaves it to the SDK.</param>
internal sealed record ServiceAddresses(Uri Runtime, Uri ControlPlane, Uri? S3, Uri? Sqs)
{
    private const string Commercial = "amazonaws.com";

    public static ServiceAddresses Of(AwsOptions options) => new(
        options.RuntimeEndpoint ?? options.Endpoint ?? Regional("runtime", options),
        options.ControlPlaneEndpoint ?? options.Endpoint ?? Regional("api", options),
        options.S3Endpoint ?? options.Endpoint,
        options.SqsEndpoint ?? options.Endpoint);

    /// <summary>An address below a service's own, which may have a path (a gateway's).</summary>
    public static Uri Below(Uri service, string path) => new(service.AbsoluteUri.TrimEnd('/') + path);

    private static Uri Regional(string name, AwsOptions options)
    {
        // Two partitions have names of their own for FIPS: in the commercial one they end in -fips, and in the US government's SageMaker Runtime has none, since the plain one is.
        var host = (Domain(options.Region), options.UseFips, options.Region.StartsWith("us-gov-", StringComparison.Ordinal) && name == "runtime") switch
        {
            (_, false, _) or (_, _, true) => $"{name}.sagemaker",
            (Commercial, _, _) => $"{name}-fips.sagemaker",
            _ => $"{name}.sagemaker-fips",
        };
        return new($"https://{host}.{options.Region}.{Domain(options.Region)}/");
    }

    private static string Domain(string region) => region switch
    {
        _ when region.StartsWith("cn-", StringComparison.Ordinal) => "amazonaws.com.cn",
        _ when region.StartsWith("eusc-", StringComparison.Ordinal) => "amazonaws.eu",
        _ when region.StartsWith("us-iso-", StringComparison.Ordinal) => "c2s.ic.gov",
        _ when region.StartsWith("us-isob-", StringComparison.Ordinal) => "sc2s.sgov.gov",
        _ => Commercial,
    };
}
