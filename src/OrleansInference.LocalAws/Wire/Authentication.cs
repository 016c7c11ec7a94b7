using OrleansInference.Aws.Signing;

namespace OrleansInference.LocalAws.Wire;

/// <summary>Whose names the errors of a signature have.</summary>
internal enum AuthenticationDialect
{
    Json = 0,
    S3 = 1,
}

/// <summary>Reads signatures and, if there is a key pair to check them against, checks them.</summary>
internal sealed class Authentication(SigV4Credentials? accessKey)
{
    private readonly SigV4Verifier _verifier = new();

    /// <summary>Whether signatures are checked, not only read.</summary>
    public bool Checks => accessKey is not null;

    public static SigV4Claim Read(in SignedRequest request, AuthenticationDialect dialect) => SigV4Verifier.TryParse(request, out var claim, out var problem)
        ? claim
        : throw Refuse(problem, dialect);

    public void Check(SigV4Claim claim, in SignedRequest request, ReadOnlySpan<byte> bodySha256, AuthenticationDialect dialect)
    {
        if (accessKey is null)
        {
            return;
        }

        if (claim.AccessKeyId != accessKey.AccessKeyId)
        {
            throw dialect == AuthenticationDialect.S3
                ? new(403, "InvalidAccessKeyId", $"The AWS Access Key Id '{claim.AccessKeyId}' does not exist in our records.")
                : new AwsFault(403, "UnrecognizedClientException", $"The access key id '{claim.AccessKeyId}' is not known here: use the one this server was started with.");
        }

        // Signatures are about sockets and real callers: they stay on the wall clock whatever the speed.
        var verification = _verifier.Verify(claim, accessKey.SecretKey, request, bodySha256, DateTimeOffset.UtcNow);
        if (!verification.IsValid)
        {
            throw Refuse(verification, dialect);
        }
    }

    private static AwsFault Refuse(SigV4Verification problem, AuthenticationDialect dialect)
    {
        var code = (problem.Result, dialect) switch
        {
            (SigV4Result.MissingSignature, AuthenticationDialect.S3) => "AccessDenied",
            (SigV4Result.IncompleteSignature, AuthenticationDialect.S3) => "AuthorizationHeaderMalformed",
            (SigV4Result.RequestExpired, AuthenticationDialect.S3) => "RequestTimeTooSkewed",
            (SigV4Result.BodyHashMismatch, AuthenticationDialect.S3) => "XAmzContentSHA256Mismatch",
            (_, AuthenticationDialect.S3) => "SignatureDoesNotMatch",
            (SigV4Result.MissingSignature, _) => "MissingAuthenticationTokenException",
            (SigV4Result.IncompleteSignature, _) => "IncompleteSignatureException",
            _ => "InvalidSignatureException",
        };
        var status = code is "AuthorizationHeaderMalformed" or "XAmzContentSHA256Mismatch" ? 400 : 403;
        return new(status, code, problem.Message);
    }
}
