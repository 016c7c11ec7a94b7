using System.Security.Cryptography;
using Microsoft.AspNetCore.Http.Features;
using OrleansInference.Aws.Signing;
using OrleansInference.Keys;

namespace OrleansInference.FrontDoor;

/// <summary>Believes a caller by API key, by the admin key, or by AWS Signature Version 4 over the whole request.</summary>
internal sealed class Authenticator(KeyDirectory keys, AdminKey adminKey, FrontDoorOptions options, TimeProvider time)
{
    private const string Bearer = "Bearer ";
    private const string SigningName = "sagemaker";
    private readonly SigV4Verifier _verifier = new() { Service = SigningName, Region = options.Region };

    /// <summary>Believes the caller and reads the body, which a signature may cover. Nothing is read for a caller whose key does not exist.</summary>
    /// <param name="context">The request.</param>
    /// <param name="bodyLimit">Most bytes that the body may have.</param>
    public async ValueTask<(Caller Caller, ReadOnlyMemory<byte> Body)> AuthenticateAsync(HttpContext context, long bodyLimit)
    {
        var request = context.Request;
        if (ApiKeyOf(request) is { } apiKey)
        {
            var caller = await ByApiKeyAsync(request, apiKey);
            return (caller, await BodyReader.ReadAsync(request, bodyLimit, context.RequestAborted));
        }

        var signed = Signed(context);
        if (!SigV4Verifier.TryParse(signed, out var claim, out var problem))
        {
            throw new RefusedException(Of(problem));
        }

        var key = claim.SessionToken is null ? await keys.FindAsync(claim.AccessKeyId) : null;
        if (key is null)
        {
            throw new RefusedException(new(ProblemTable.UnknownKey, "UnknownKey", "The security token included in the request is invalid: no such access key was issued here, or it was revoked."));
        }

        var body = await BodyReader.ReadAsync(request, bodyLimit, context.RequestAborted);
        var verification = Verify(claim, key.SecretAccessKey, signed, body.Span);
        return verification.IsValid ? (new(RequireOwn(request, key.Tenant), false), body) : throw new RefusedException(Of(verification));
    }

    /// <summary>
    /// Believes a caller whose body is to be read bit by bit. A key is all that is needed for that; a signature covers the body, which is
    /// read whole for it and must be as short as SageMaker's.
    /// </summary>
    public async ValueTask<(Caller Caller, Stream Body)> AuthenticateStreamAsync(HttpContext context)
    {
        var request = context.Request;
        if (ApiKeyOf(request) is { } apiKey)
        {
            return (await ByApiKeyAsync(request, apiKey), request.Body);
        }

        var (caller, body) = await AuthenticateAsync(context, FrontDoorOptions.SageMakerBodyBytes);
        return (caller, new MemoryStream(body.ToArray(), writable: false));
    }

    /// <summary>Believes the caller of an operation without a body of interest.</summary>
    public async ValueTask<Caller> AuthenticateAsync(HttpContext context)
    {
        var (caller, _) = await AuthenticateAsync(context, 64 << 10);
        RequestHeaders.RequireKnown(context.Request);
        return caller;
    }

    private SigV4Verification Verify(SigV4Claim claim, string secret, in SignedRequest signed, ReadOnlySpan<byte> body)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(body, hash);
        return _verifier.Verify(claim, secret, signed, hash, time.GetUtcNow());
    }

    private static string? ApiKeyOf(HttpRequest request)
    {
        if (request.Headers.TryGetValue("X-Api-Key", out var header) && header.Count > 0)
        {
            return header[0]?.Trim();
        }

        var authorization = request.Headers.Authorization.Count > 0 ? request.Headers.Authorization[0] : null;
        return authorization is not null && authorization.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase) ? authorization[Bearer.Length..].Trim() : null;
    }

    private async ValueTask<Caller> ByApiKeyAsync(HttpRequest request, string apiKey)
    {
        if (await keys.FindByApiKeyAsync(apiKey) is { } key)
        {
            return new(RequireOwn(request, key.Tenant), false);
        }

        if (!adminKey.Matches(apiKey))
        {
            throw new RefusedException(new(ProblemTable.UnknownKey, "UnknownKey", "The API key is not one that was issued here, or it was revoked."));
        }

        var named = request.Headers[Caller.TenantHeader].ToString();
        return named.Length == 0 ? new(null, true)
            : TenantId.TryParse(named, out var tenant) ? new(tenant, true)
            : throw new RefusedException(Refusal.Invalid($"{Caller.TenantHeader}: '{named}' is not a valid tenant id: it must be {NameRule.Description}."));
    }

    /// <summary>A key is its tenant's: one that names another tenant would be answered for the wrong one.</summary>
    private static TenantId RequireOwn(HttpRequest request, TenantId tenant)
    {
        var named = request.Headers[Caller.TenantHeader].ToString();
        return named.Length == 0 || named == tenant.Value
            ? tenant
            : throw new RefusedException(Refusal.Forbidden($"{Caller.TenantHeader}: the key is not one of tenant '{named}'; leave the header out, or use that tenant's key."));
    }

    private static SignedRequest Signed(HttpContext context)
    {
        var request = context.Request;
        var headers = new List<KeyValuePair<string, string>>(request.Headers.Count + 2);
        foreach (var (name, values) in request.Headers)
        {
            foreach (var value in values)
            {
                headers.Add(new(name, value ?? ""));
            }
        }

        var target = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        return SignedRequest.FromTarget(request.Method, target, headers);
    }

    private static Refusal Of(SigV4Verification verification) => verification.Result switch
    {
        SigV4Result.MissingSignature => new(ProblemTable.Unauthenticated, "Unauthenticated", "Missing Authentication Token: send an API key as 'Authorization: Bearer …' or 'X-Api-Key', or sign the request with AWS Signature Version 4."),
        SigV4Result.IncompleteSignature => new(ProblemTable.SignatureForm, "IncompleteSignature", verification.Message),
        SigV4Result.RequestExpired => new(ProblemTable.Signature, "SignatureExpired", "Signature expired: " + verification.Message),
        _ => new(ProblemTable.Signature, "InvalidSignature", verification.Message),
    };
}
