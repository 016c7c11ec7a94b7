using System.Text;

namespace OrleansInference.Aws.Signing;

/// <summary>An access key pair, with the session token if it is a temporary one. Its text form hides the secrets.</summary>
/// <param name="AccessKeyId">The public half.</param>
/// <param name="SecretKey">The secret half.</param>
/// <param name="SessionToken">Token of temporary credentials.</param>
public sealed record SigV4Credentials(string AccessKeyId, string SecretKey, string? SessionToken = null)
{
    private bool PrintMembers(StringBuilder builder)
    {
        builder.Append("AccessKeyId = ").Append(AccessKeyId);
        return true;
    }
}
