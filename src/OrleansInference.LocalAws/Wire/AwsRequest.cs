using System.Security.Cryptography;
using Microsoft.AspNetCore.Http.Features;
using OrleansInference.Aws.Signing;

namespace OrleansInference.LocalAws.Wire;

/// <summary>A request as it came over the wire, with its signature read but its body not yet.</summary>
internal sealed class AwsRequest
{
    private readonly Authentication _authentication;
    private SignedRequest _signed;
    private SigV4Claim? _claim;

    public AwsRequest(HttpContext http, Authentication authentication)
    {
        Http = http;
        _authentication = authentication;
        var target = http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        if (Uri.TryCreate(target, UriKind.Absolute, out var absolute) && !target.StartsWith('/'))
        {
            target = absolute.PathAndQuery;
        }

        var mark = target.IndexOf('?', StringComparison.Ordinal);
        Path = mark < 0 ? target : target[..mark];
        Query = mark < 0 ? "" : target[(mark + 1)..];
    }

    public HttpContext Http { get; }

    public string Method => Http.Request.Method;

    /// <summary>The path as sent, still percent-encoded.</summary>
    public string Path { get; }

    /// <summary>The query as sent, without its question mark.</summary>
    public string Query { get; }

    /// <summary>Whether the signature covers the body, so that its hash is needed to check it.</summary>
    public bool SignatureCoversBody => _authentication.Checks && _claim is { CoversBody: true };

    public string? Header(string name) => Http.Request.Headers.TryGetValue(name, out var value) ? value.ToString() : null;

    /// <summary>The part of a JSON target behind its service, such as <c>SendMessage</c> of <c>AmazonSQS.SendMessage</c>; null for another service.</summary>
    public string? Operation(string service) => Method == "POST" && Header("X-Amz-Target") is { } target && target.StartsWith(service + ".", StringComparison.Ordinal)
        ? target[(service.Length + 1)..]
        : null;

    /// <summary>Requires a well-formed signature, before anything of the body is read.</summary>
    public void RequireSignature(AuthenticationDialect dialect)
    {
        var headers = new List<KeyValuePair<string, string>>(16);
        foreach (var (name, values) in Http.Request.Headers)
        {
            foreach (var value in values)
            {
                headers.Add(new(name, value ?? ""));
            }
        }

        _signed = new(Method, Path, Query, headers);
        _claim = Authentication.Read(_signed, dialect);
    }

    /// <summary>Checks the signature, if signatures are checked.</summary>
    /// <param name="bodySha256">Hash of the body as sent; may be empty unless <see cref="SignatureCoversBody"/>.</param>
    /// <param name="dialect">How errors are named.</param>
    public void CheckSignature(ReadOnlySpan<byte> bodySha256, AuthenticationDialect dialect) => _authentication.Check(_claim!, _signed, bodySha256, dialect);

    /// <summary>Requires a signature, reads the body whole and checks the one against the other.</summary>
    /// <param name="limit">The most bytes taken.</param>
    /// <param name="tooLarge">What a larger body is answered with.</param>
    /// <param name="dialect">How errors are named.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    public async Task<byte[]> ReadBodyAsync(int limit, Func<AwsFault> tooLarge, AuthenticationDialect dialect, CancellationToken cancellationToken)
    {
        RequireSignature(dialect);
        if (Http.Request.ContentLength > limit)
        {
            throw tooLarge();
        }

        var body = Http.Request.ContentLength is { } length
            ? await ReadExactlyAsync((int)length, cancellationToken)
            : await ReadToEndAsync(limit, tooLarge, cancellationToken);
        CheckSignature(SignatureCoversBody ? SHA256.HashData(body) : [], dialect);
        return body;
    }

    private async Task<byte[]> ReadExactlyAsync(int length, CancellationToken cancellationToken)
    {
        var body = new byte[length];
        await Http.Request.Body.ReadExactlyAsync(body, cancellationToken);
        return body;
    }

    private async Task<byte[]> ReadToEndAsync(int limit, Func<AwsFault> tooLarge, CancellationToken cancellationToken)
    {
        using var body = new MemoryStream();
        var buffer = new byte[16 << 10];
        while (await Http.Request.Body.ReadAsync(buffer, cancellationToken) is var read and > 0)
        {
            if (body.Length + read > limit)
            {
                throw tooLarge();
            }

            body.Write(buffer, 0, read);
        }

        return body.ToArray();
    }
}
