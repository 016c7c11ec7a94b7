using Amazon.Runtime;
using Amazon.Runtime.Credentials;
using OrleansInference.Aws.Signing;

namespace OrleansInference.Aws.Credentials;

/// <summary>Where credentials come from: the options, or the SDK's chain, which keeps and renews temporary ones.</summary>
internal sealed class CredentialSource
{
    private CredentialSource(AWSCredentials? configured) => Configured = configured;

    /// <summary>The configured credentials; null if the SDK's chain is to be asked.</summary>
    public AWSCredentials? Configured { get; }

    public static CredentialSource Of(AwsOptions options) => new(options switch
    {
        { AccessKeyId: null or "" } => null,
        { SessionToken: null or "" } => new BasicAWSCredentials(options.AccessKeyId, options.SecretAccessKey),
        _ => new SessionAWSCredentials(options.AccessKeyId, options.SecretAccessKey, options.SessionToken),
    });

    /// <summary>The credentials to sign with now.</summary>
    /// <exception cref="AmazonClientException">There are none, or they cannot be renewed.</exception>
    public async ValueTask<SigV4Credentials> GetAsync(CancellationToken cancellationToken)
    {
        var credentials = Configured ?? await DefaultAWSCredentialsIdentityResolver.GetCredentialsAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        var current = await credentials.GetCredentialsAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        return new(current.AccessKey, current.SecretKey, string.IsNullOrEmpty(current.Token) ? null : current.Token);
    }
}
