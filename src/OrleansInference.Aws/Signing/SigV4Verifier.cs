using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace OrleansInference.Aws.Signing;

/// <summary>
/// Checks AWS Signature Version 4 on incoming requests. First <see cref="TryParse"/>, which tells whose secret is needed, then
/// <see cref="Verify"/>. Safe for use by many threads; keep one for the life of the process, since it remembers derived keys.
/// </summary>
public sealed class SigV4Verifier
{
    private readonly SigningKeys _keys = new();

    /// <summary>Signing name that requests must be signed for; null takes any.</summary>
    public string? Service { get; init; }

    /// <summary>Region that requests must be signed for; null takes any.</summary>
    public string? Region { get; init; }

    /// <summary>How far the caller's clock may be off, either way. Five minutes, as with AWS.</summary>
    public TimeSpan AllowedSkew { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Whether a request may leave its body unsigned (<see cref="PayloadHash.Unsigned"/>). True, as with AWS.</summary>
    public bool AllowUnsignedPayload { get; init; } = true;

    /// <summary>Reads the signature of a request without checking it.</summary>
    /// <param name="request">The request as sent.</param>
    /// <param name="claim">What it says of its signature; null if it cannot be read.</param>
    /// <param name="problem">Why it cannot be read.</param>
    public static bool TryParse(in SignedRequest request, [NotNullWhen(true)] out SigV4Claim? claim, out SigV4Verification problem)
    {
        problem = SigV4Claim.Parse(request, out claim);
        return claim is not null;
    }

    /// <summary>Checks a signature.</summary>
    /// <param name="claim">What <see cref="TryParse"/> read from the same request.</param>
    /// <param name="secret">Secret key of <see cref="SigV4Claim.AccessKeyId"/>.</param>
    /// <param name="request">The request as sent.</param>
    /// <param name="bodySha256">SHA-256 of the body, 32 bytes; may be empty if not <see cref="SigV4Claim.CoversBody"/>.</param>
    /// <param name="now">The time.</param>
    public SigV4Verification Verify(SigV4Claim claim, string secret, in SignedRequest request, ReadOnlySpan<byte> bodySha256, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(claim);
        ArgumentNullException.ThrowIfNull(secret);
        if (claim.CoversBody && bodySha256.Length != SHA256.HashSizeInBytes)
        {
            throw new ArgumentException("The signature covers the body, so the body's SHA-256 is needed.", nameof(bodySha256));
        }

        return CheckScope(claim) ?? CheckTime(claim, now) ?? CheckCoverage(claim, request) ?? CheckSignature(claim, secret, request, bodySha256);
    }

    private SigV4Verification? CheckScope(SigV4Claim claim)
    {
        if (Service is not null && claim.Service != Service)
        {
            return new(SigV4Result.WrongScope, $"The request is signed for service '{claim.Service}': sign it for '{Service}'.");
        }

        if (Region is not null && claim.Region != Region)
        {
            return new(SigV4Result.WrongScope, $"Credential should be scoped to a valid region, not '{claim.Region}'. Sign for '{Region}'.");
        }

        return claim.TimeText.AsSpan(0, claim.TimeText.IndexOf('T', StringComparison.Ordinal)).SequenceEqual(claim.ScopeDate)
            ? null
            : new(SigV4Result.WrongScope, $"The credential's date '{claim.ScopeDate}' is not the date of the request's time '{claim.TimeText}'.");
    }

    private SigV4Verification? CheckTime(SigV4Claim claim, DateTimeOffset now)
    {
        var latest = claim.Time + (claim.Expiry ?? AllowedSkew);
        if (now > latest)
        {
            return new(SigV4Result.RequestExpired, $"The request was signed at {claim.TimeText} and is no longer good: sign it anew, and check the clock of the caller.");
        }

        return claim.Time > now + AllowedSkew
            ? new(SigV4Result.RequestExpired, $"The request was signed at {claim.TimeText}, which is in the future: check the clock of the caller.")
            : null;
    }

    private SigV4Verification? CheckCoverage(SigV4Claim claim, in SignedRequest request)
    {
        if (!claim.Signs("host"))
        {
            return new(SigV4Result.IncompleteSignature, "'host' must be among the signed headers.");
        }

        for (var i = 0; i < request.Headers.Count; i++)
        {
            var name = request.Headers[i].Key;

            // CloudFront adds its own header after the caller has signed. What SageMaker's own headers ask for (class, deadline, most
            // charge, idempotency key) is the caller's word only if it is signed; every AWS client signs them.
            var mustBeSigned = (name.StartsWith("x-amz-", StringComparison.OrdinalIgnoreCase) && !name.Equals("x-amz-cf-id", StringComparison.OrdinalIgnoreCase))
                || name.StartsWith("x-amzn-sagemaker-", StringComparison.OrdinalIgnoreCase);
            if (mustBeSigned && !claim.Signs(name))
            {
                return new(SigV4Result.IncompleteSignature, $"'{name}' must be among the signed headers.");
            }
        }

        if (claim.CoversBody)
        {
            return null;
        }

        if (!AllowUnsignedPayload)
        {
            return new(SigV4Result.IncompleteSignature, "The body must be signed.");
        }

        return claim.DeclaredPayload == PayloadHash.Unsigned || claim.Service == "s3"
            ? null
            : new(SigV4Result.IncompleteSignature, $"A body signed in chunks ('{claim.DeclaredPayload}') is not supported here: sign the whole body.");
    }

    private SigV4Verification CheckSignature(SigV4Claim claim, string secret, in SignedRequest request, ReadOnlySpan<byte> bodySha256)
    {
        Span<char> bodyHash = stackalloc char[bodySha256.Length * 2];
        Convert.TryToHexStringLower(bodySha256, bodyHash, out _);

        var payload = claim.DeclaredPayload is null ? bodyHash : claim.DeclaredPayload.AsSpan();
        var key = _keys.Get(secret, claim.ScopeDate, claim.Region, claim.Service, out var remembered);
        Span<byte> expected = stackalloc byte[SigV4Claim.SignatureLength];
        var canonical = new Utf8Builder(stackalloc byte[2048]);
        try
        {
            if (!CanonicalRequest.TryAppend(ref canonical, request, claim.SignedHeaders, payload, claim.Service, out var missing))
            {
                return new(SigV4Result.SignatureDoesNotMatch, $"The signed header '{missing}' is not in the request.");
            }

            SigningKeys.Sign(key, canonical.Written, claim.TimeText, claim.ScopeDate, claim.Region, claim.Service, expected);
        }
        finally
        {
            canonical.Dispose();
        }

        Span<byte> sent = stackalloc byte[SigV4Claim.SignatureLength];
        Encoding.ASCII.GetBytes(claim.Signature, sent);
        if (!CryptographicOperations.FixedTimeEquals(expected, sent))
        {
            return new(SigV4Result.SignatureDoesNotMatch, "The request signature we calculated does not match the signature you provided. Check your secret access key and signing method.");
        }

        if (!remembered)
        {
            _keys.Remember(secret, claim.ScopeDate, claim.Region, claim.Service, key);
        }

        return !claim.CoversBody || payload.SequenceEqual(bodyHash)
            ? default
            : new(SigV4Result.BodyHashMismatch, "The body is not the one whose SHA-256 was signed in X-Amz-Content-Sha256.");
    }
}
