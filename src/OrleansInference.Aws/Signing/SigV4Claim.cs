using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace OrleansInference.Aws.Signing;

/// <summary>
/// What a request says of its own signature, read but not yet believed: who signed, for which scope, when, and what is covered.
/// </summary>
public sealed class SigV4Claim
{
    internal const string Algorithm = "AWS4-HMAC-SHA256";
    internal const string TimeFormat = "yyyyMMdd'T'HHmmss'Z'";
    internal const int SignatureLength = 64;

    /// <summary>The longest life of a presigned request: seven days.</summary>
    internal const int MaxExpirySeconds = 604_800;

    private static readonly SearchValues<char> LowerHex = SearchValues.Create("0123456789abcdef");

    private SigV4Claim()
    {
    }

    /// <summary>Access key id of who claims to have signed.</summary>
    public string AccessKeyId { get; private set; } = "";

    /// <summary>Region of the scope.</summary>
    public string Region { get; private set; } = "";

    /// <summary>Signing name of the service of the scope.</summary>
    public string Service { get; private set; } = "";

    /// <summary>When it says it was signed.</summary>
    public DateTimeOffset Time { get; private set; }

    /// <summary>How long after <see cref="Time"/> it is good; null unless presigned.</summary>
    public TimeSpan? Expiry { get; private set; }

    /// <summary>The session token sent with it.</summary>
    public string? SessionToken { get; private set; }

    /// <summary>Whether the signature is in the query instead of the <c>Authorization</c> header.</summary>
    public bool IsPresigned => Expiry is not null;

    /// <summary>Whether the signature covers the body, so that verifying needs the body's hash.</summary>
    public bool CoversBody => !IsWord(DeclaredPayload);

    /// <summary>What stands for the body in the canonical request; null means the body's own hash.</summary>
    internal string? DeclaredPayload { get; private set; }

    /// <summary>SHA-256 of the body as the request declares it (<c>X-Amz-Content-Sha256</c>), in lower-case hex; null if it declares none.</summary>
    public string? DeclaredBodyHash => CoversBody ? DeclaredPayload : null;

    internal string ScopeDate { get; private set; } = "";

    internal string TimeText { get; private set; } = "";

    internal string SignedHeaders { get; private set; } = "";

    internal string Signature { get; private set; } = "";

    /// <summary>Reads the signature out of the <c>Authorization</c> header or, failing that, the query of a presigned request.</summary>
    internal static SigV4Verification Parse(in SignedRequest request, out SigV4Claim? claim)
    {
        var authorization = request.Header("Authorization");
        var parsed = new SigV4Claim();
        SigV4Verification? problem;
        if (authorization is not null)
        {
            if (!authorization.StartsWith("AWS4-", StringComparison.Ordinal))
            {
                claim = null;
                return Missing();
            }

            problem = parsed.ReadHeader(authorization, request);
        }
        else if (request.Query.Contains("X-Amz-Signature=", StringComparison.Ordinal) || request.Query.Contains("X-Amz-Algorithm=", StringComparison.Ordinal))
        {
            problem = parsed.ReadQuery(request);
        }
        else
        {
            problem = Missing();
        }

        claim = problem is null ? parsed : null;
        return problem ?? default;
    }

    internal bool Signs(ReadOnlySpan<char> header)
    {
        foreach (var range in SignedHeaders.AsSpan().Split(';'))
        {
            if (header.Equals(SignedHeaders.AsSpan()[range], StringComparison.OrdinalIgnoreCase))
            {
                return true;
            }
        }

        return false;
    }

    private static ReadOnlySpan<char> LastPart(ref ReadOnlySpan<char> text)
    {
        var slash = text.LastIndexOf('/');
        var part = text[(slash + 1)..];
        text = text[..Math.Max(slash, 0)];
        return part;
    }

    private static bool IsWord([NotNullWhen(true)] string? payload) => payload is not null
        && (payload == PayloadHash.Unsigned || payload.StartsWith(PayloadHash.StreamingPrefix, StringComparison.Ordinal));

    private static SigV4Verification Missing() =>
        new(SigV4Result.MissingSignature, $"The request carries no '{Algorithm}' signature: sign it with an access key of this service.");

    private static SigV4Verification Incomplete(string message) => new(SigV4Result.IncompleteSignature, message);

    private SigV4Verification? ReadHeader(string authorization, in SignedRequest request)
    {
        if (!authorization.StartsWith(Algorithm + " ", StringComparison.Ordinal))
        {
            return Incomplete($"The Authorization header's algorithm is not supported: use {Algorithm}.");
        }

        string? credential = null;
        var parts = authorization.AsSpan(Algorithm.Length);
        foreach (var range in parts.Split(','))
        {
            var part = parts[range].Trim();
            var equals = part.IndexOf('=');
            var value = part[(equals + 1)..].ToString();
            switch (part[..Math.Max(equals, 0)])
            {
                case "Credential":
                    credential = value;
                    break;
                case "SignedHeaders":
                    SignedHeaders = value;
                    break;
                case "Signature":
                    Signature = value;
                    break;
                default:
                    return Incomplete("The Authorization header must be 'AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…'.");
            }
        }

        SessionToken = request.Header("X-Amz-Security-Token");
        DeclaredPayload = request.Header("X-Amz-Content-Sha256")?.Trim();
        var time = request.Header("X-Amz-Date")?.Trim();
        if (time is null && DateTimeOffset.TryParseExact(request.Header("Date"), "r", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var date))
        {
            time = date.ToString(TimeFormat, CultureInfo.InvariantCulture);
        }

        return ReadFields(credential, time);
    }

    private SigV4Verification? ReadQuery(in SignedRequest request)
    {
        string? credential = null, time = null, algorithm = null, expires = null;
        var query = request.Query.AsSpan().TrimStart('?');
        foreach (var range in query.Split('&'))
        {
            var parameter = query[range];
            var equals = parameter.IndexOf('=');
            if (equals < 0 || !parameter.StartsWith("X-Amz-", StringComparison.Ordinal))
            {
                continue;
            }

            var value = Uri.UnescapeDataString(parameter[(equals + 1)..]);
            switch (parameter[..equals])
            {
                case "X-Amz-Algorithm":
                    algorithm = value;
                    break;
                case "X-Amz-Credential":
                    credential = value;
                    break;
                case "X-Amz-Date":
                    time = value;
                    break;
                case "X-Amz-Expires":
                    expires = value;
                    break;
                case "X-Amz-SignedHeaders":
                    SignedHeaders = value;
                    break;
                case CanonicalRequest.SignatureParameter:
                    Signature = value;
                    break;
                case "X-Amz-Security-Token":
                    SessionToken = value;
                    break;
                case "X-Amz-Content-Sha256":
                    DeclaredPayload = value;
                    break;
            }
        }

        if (algorithm != Algorithm)
        {
            return Incomplete($"X-Amz-Algorithm must be {Algorithm}.");
        }

        if (!int.TryParse(expires, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) || seconds is < 1 or > MaxExpirySeconds)
        {
            return Incomplete($"X-Amz-Expires must be 1 to {MaxExpirySeconds} seconds.");
        }

        Expiry = TimeSpan.FromSeconds(seconds);
        DeclaredPayload ??= request.Header("X-Amz-Content-Sha256")?.Trim();
        var problem = ReadFields(credential, time);
        if (Service == "s3")
        {
            // A presigned S3 request is made before its body is known.
            DeclaredPayload ??= PayloadHash.Unsigned;
        }

        return problem;
    }

    private SigV4Verification? ReadFields(string? credential, string? time)
    {
        // From the end, as an access key id may have slashes.
        var rest = credential.AsSpan();
        var isScope = LastPart(ref rest) is "aws4_request";
        var service = LastPart(ref rest);
        var region = LastPart(ref rest);
        var date = LastPart(ref rest);
        if (!isScope || service.IsEmpty || region.IsEmpty || rest.Trim('/').IsEmpty)
        {
            return Incomplete("The credential must be '<access key id>/<yyyyMMdd>/<region>/<service>/aws4_request'.");
        }

        if (SignedHeaders.Length == 0 || SignedHeaders.AsSpan().ContainsAny(' ', ','))
        {
            return Incomplete("SignedHeaders must name the signed headers, separated by semicolons.");
        }

        if (Signature.Length != SignatureLength || Signature.AsSpan().ContainsAnyExcept(LowerHex))
        {
            return Incomplete($"The signature must be {SignatureLength} digits of lower-case hex.");
        }

        if (!DateTimeOffset.TryParseExact(time, TimeFormat, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var parsed))
        {
            return Incomplete("The request must carry its time as X-Amz-Date: yyyyMMddTHHmmssZ.");
        }

        if (DeclaredPayload is not null && !IsWord(DeclaredPayload)
            && (DeclaredPayload.Length != SignatureLength || DeclaredPayload.AsSpan().ContainsAnyExcept(LowerHex)))
        {
            return Incomplete($"X-Amz-Content-Sha256 must be the body's SHA-256 in lower-case hex, or {PayloadHash.Unsigned}.");
        }

        AccessKeyId = rest.ToString();
        ScopeDate = date.ToString();
        Region = region.ToString();
        Service = service.ToString();
        Time = parsed;
        TimeText = time!;
        return null;
    }
}
