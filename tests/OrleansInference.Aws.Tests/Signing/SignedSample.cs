using System.Security.Cryptography;
using System.Text;
using OrleansInference.Aws.Signing;

namespace OrleansInference.Tests.Signing;

/// <summary>The credentials and time of AWS's published test suite, and short ways to sign and verify with them.</summary>
internal static class SignedSample
{
    public const string Secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    public static readonly SigV4Credentials Credentials = new("AKIDEXAMPLE", Secret);

    public static readonly DateTimeOffset Time = new(2015, 8, 30, 12, 36, 0, TimeSpan.Zero);

    public static List<KeyValuePair<string, string>> Headers(params IEnumerable<string> lines) =>
        [.. lines.Select(line => line.Split(':', 2)).Select(parts => new KeyValuePair<string, string>(parts[0], parts[1]))];

    public static SigV4Verification Verify(SignedRequest request, byte[] body, DateTimeOffset? now = null, SigV4Verifier? verifier = null, string secret = Secret) =>
        SigV4Verifier.TryParse(request, out var claim, out var problem)
            ? (verifier ?? new()).Verify(claim, secret, request, SHA256.HashData(body), now ?? Time)
            : problem;

    public static SignedRequest Signed(SignedRequest request, byte[] body, SigV4Credentials? credentials = null, string service = "service")
    {
        var authorization = new SigV4Signer("us-east-1", service).Authorize(request, PayloadHash.Of(body), credentials ?? Credentials, Time);
        return request with { Headers = [.. request.Headers, new("Authorization", authorization)] };
    }

    public static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text);
}
