using Amazon;
using Amazon.SecurityToken;
using Amazon.SecurityToken.Model;
using OrleansInference.Aws.Credentials;

namespace OrleansInference.Aws;

/// <summary>Who AWS takes this process for.</summary>
/// <param name="AccessKeyId">The access key id that is signed with.</param>
/// <param name="Arn">User or role; null where an emulator stands for AWS, which is not asked.</param>
public sealed record CallerIdentity(string AccessKeyId, string? Arn)
{
    /// <summary>Resolves credentials as all clients do, and asks STS whose they are.</summary>
    /// <exception cref="Amazon.Runtime.AmazonClientException">There are no credentials, or STS does not take them.</exception>
    public static async Task<CallerIdentity> GetAsync(AwsOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        var source = CredentialSource.Of(options);
        var key = await source.GetAsync(cancellationToken).ConfigureAwait(false);
        if (options.Endpoint is not null)
        {
            return new(key.AccessKeyId, null);
        }

        var config = new AmazonSecurityTokenServiceConfig { RegionEndpoint = RegionEndpoint.GetBySystemName(options.Region), MaxErrorRetry = 1, ConnectTimeout = options.ConnectTimeout };
        if (options.UseFips)
        {
            // Set to false it would outdo the environment and the profile.
            config.UseFIPSEndpoint = true;
        }

        using var sts = source.Configured is { } configured ? new AmazonSecurityTokenServiceClient(configured, config) : new AmazonSecurityTokenServiceClient(config);
        var answer = await sts.GetCallerIdentityAsync(new GetCallerIdentityRequest(), cancellationToken).ConfigureAwait(false);
        return new(key.AccessKeyId, answer.Arn);
    }
}
