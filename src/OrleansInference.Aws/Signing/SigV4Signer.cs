using System.Collections.Frozen;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text;

namespace OrleansInference.Aws.Signing;

/// <summary>Signs requests with AWS Signature Version 4. Safe for use by many threads.</summary>
/// <param name="region">Region of the scope.</param>
/// <param name="service">Signing name of the service.</param>
public sealed class SigV4Signer(string region, string service)
{
    private static readonly FrozenSet<string> ChangingOnTheWay = FrozenSet.Create(
        StringComparer.OrdinalIgnoreCase,
        "Authorization", "Connection", "Content-Length", "Expect", "Keep-Alive", "Transfer-Encoding", "User-Agent", "traceparent", "tracestate", "baggage", "X-Amzn-Trace-Id");

    private static readonly FrozenDictionary<string, string> UsualNames = new[]
    {
        "host", "content-type", "accept", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-target", "x-amzn-sagemaker-custom-attributes",
        "x-amzn-sagemaker-inference-id", "x-amzn-sagemaker-accept", "x-amzn-sagemaker-target-model", "x-amzn-sagemaker-session-id",
    }.ToFrozenDictionary(static name => name, StringComparer.OrdinalIgnoreCase);

    private readonly SigningKeys _keys = new(capacity: 16);

    /// <summary>
    /// Signs a request that is about to be sent: sets <c>Host</c>, <c>X-Amz-Date</c>, <c>X-Amz-Content-Sha256</c>,
    /// <c>X-Amz-Security-Token</c> if there is one, and <c>Authorization</c>. Nothing may be changed afterwards.
    /// </summary>
    /// <param name="request">The request, with an absolute address and every header.</param>
    /// <param name="payloadHash">What stands for the body, see <see cref="PayloadHash"/>.</param>
    /// <param name="credentials">Who signs.</param>
    /// <param name="now">The time.</param>
    public void Sign(HttpRequestMessage request, string payloadHash, SigV4Credentials credentials, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(credentials);
        var address = request.RequestUri is { IsAbsoluteUri: true } uri ? uri : throw new ArgumentException("The request needs an absolute address.", nameof(request));
        request.Headers.Host = address.Authority;
        Set(request.Headers, "X-Amz-Date", TimeText(now));
        Set(request.Headers, "X-Amz-Content-Sha256", payloadHash);
        Set(request.Headers, "X-Amz-Security-Token", credentials.SessionToken);

        var headers = new List<KeyValuePair<string, string>>(16);
        Collect(headers, request.Headers);
        if (request.Content is not null)
        {
            Collect(headers, request.Content.Headers);
        }

        var signed = new SignedRequest(request.Method.Method, address.AbsolutePath, address.Query, headers);
        Set(request.Headers, "Authorization", Authorize(signed, payloadHash, credentials, now));
    }

    /// <summary>
    /// The <c>Authorization</c> header of a request. Every header of it is signed, so it must have <c>Host</c> and
    /// <c>X-Amz-Date</c> of the same <paramref name="now"/>, and must not have headers that change on the way.
    /// </summary>
    /// <param name="request">The request.</param>
    /// <param name="payloadHash">What stands for the body, see <see cref="PayloadHash"/>.</param>
    /// <param name="credentials">Who signs.</param>
    /// <param name="now">The time.</param>
    public string Authorize(in SignedRequest request, string payloadHash, SigV4Credentials credentials, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(credentials);
        var names = SignedHeaders(request);
        var time = TimeText(now);
        var signature = Signature(request, names, payloadHash, credentials, time);
        return $"{SigV4Claim.Algorithm} Credential={credentials.AccessKeyId}/{Scope(time)}, SignedHeaders={names}, Signature={signature}";
    }

    /// <summary>The query string, without <c>?</c>, that makes a request presigned. Every header of the request is signed.</summary>
    /// <param name="request">The request; its headers must have <c>Host</c>.</param>
    /// <param name="payloadHash">What stands for the body, see <see cref="PayloadHash"/>.</param>
    /// <param name="credentials">Who signs.</param>
    /// <param name="now">The time.</param>
    /// <param name="expiry">How long it is good: a second to seven days.</param>
    public string Presign(in SignedRequest request, string payloadHash, SigV4Credentials credentials, DateTimeOffset now, TimeSpan expiry)
    {
        ArgumentNullException.ThrowIfNull(credentials);
        ArgumentOutOfRangeException.ThrowIfLessThan(expiry, TimeSpan.FromSeconds(1));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(expiry, TimeSpan.FromSeconds(SigV4Claim.MaxExpirySeconds));
        var names = SignedHeaders(request);
        var time = TimeText(now);
        var query = new StringBuilder(request.Query.TrimStart('?'));
        Add("X-Amz-Algorithm", SigV4Claim.Algorithm);
        Add("X-Amz-Credential", $"{credentials.AccessKeyId}/{Scope(time)}");
        Add("X-Amz-Date", time);
        Add("X-Amz-Expires", ((long)expiry.TotalSeconds).ToString(CultureInfo.InvariantCulture));
        Add("X-Amz-SignedHeaders", names);
        if (credentials.SessionToken is not null)
        {
            Add("X-Amz-Security-Token", credentials.SessionToken);
        }

        var presigned = request with { Query = query.ToString() };
        Add(CanonicalRequest.SignatureParameter, Signature(presigned, names, payloadHash, credentials, time));
        return query.ToString();

        void Add(string name, string value) => query.Append(query.Length == 0 ? "" : "&").Append(name).Append('=').Append(CanonicalRequest.Encode(value));
    }

    private static string TimeText(DateTimeOffset now) => now.UtcDateTime.ToString(SigV4Claim.TimeFormat, CultureInfo.InvariantCulture);

    private static string SignedHeaders(in SignedRequest request)
    {
        var names = new string[request.Headers.Count];
        for (var i = 0; i < names.Length; i++)
        {
            names[i] = LowerCase(request.Headers[i].Key);
        }

        Array.Sort(names, StringComparer.Ordinal);
        var distinct = 0;
        for (var i = 0; i < names.Length; i++)
        {
            if (distinct == 0 || names[distinct - 1] != names[i])
            {
                names[distinct++] = names[i];
            }
        }

        return string.Join(';', names.AsSpan(0, distinct));
    }

    private static string LowerCase(string name) => UsualNames.TryGetValue(name, out var lower) ? lower : name.ToLowerInvariant();

    private static void Set(HttpRequestHeaders headers, string name, string? value)
    {
        headers.Remove(name);
        if (value is not null && !headers.TryAddWithoutValidation(name, value))
        {
            throw new ArgumentException($"The header '{name}' cannot be set.", nameof(name));
        }
    }

    private static void Collect(List<KeyValuePair<string, string>> target, HttpHeaders headers)
    {
        foreach (var (name, values) in headers.NonValidated)
        {
            if (!ChangingOnTheWay.Contains(name))
            {
                target.Add(new(name, values.ToString()));
            }
        }
    }

    private string Scope(string time) => $"{time[..8]}/{region}/{service}/aws4_request";

    private string Signature(in SignedRequest request, string names, string payloadHash, SigV4Credentials credentials, string time)
    {
        var date = time[..8];
        var key = _keys.Get(credentials.SecretKey, date, region, service, out var remembered);
        if (!remembered)
        {
            _keys.Remember(credentials.SecretKey, date, region, service, key);
        }

        Span<byte> signature = stackalloc byte[SigV4Claim.SignatureLength];
        var canonical = new Utf8Builder(stackalloc byte[2048]);
        try
        {
            CanonicalRequest.TryAppend(ref canonical, request, names, payloadHash, service, out _);
            SigningKeys.Sign(key, canonical.Written, time, date, region, service, signature);
        }
        finally
        {
            canonical.Dispose();
        }

        return Encoding.ASCII.GetString(signature);
    }
}
