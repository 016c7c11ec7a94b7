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

        var signature = await FindSignatureAsync(context);
        return await VerifyWholeAsync(request, signature, bodyLimit, context.RequestAborted);
    }

    /// <summary>
    /// Believes a caller whose body is to be read bit by bit. A key is all that is needed for that, and so is a signature that covers a declared hash
    /// of the body: reading to the end then refuses any other body. Without a declared hash the body is read whole and must be as short as SageMaker's.
    /// </summary>
    public async ValueTask<(Caller Caller, Stream Body)> AuthenticateStreamAsync(HttpContext context)
    {
        var request = context.Request;
        if (ApiKeyOf(request) is { } apiKey)
        {
            return (await ByApiKeyAsync(request, apiKey), request.Body);
        }

        var signature = await FindSignatureAsync(context);
        if (signature.Claim is { CoversBody: true, DeclaredBodyHash: null })
        {
            try
            {
                var (caller, body) = await VerifyWholeAsync(request, signature, FrontDoorOptions.SageMakerBodyBytes, context.RequestAborted);
                return (caller, new MemoryStream(body.ToArray(), writable: false));
            }
            catch (RefusedException exception) when (exception.Refusal.Kind == ProblemTable.TooLarge)
            {
                throw new RefusedException(Refusal.Of(
                    ProblemCode.PayloadTooLarge,
                    $"A signed body of more than {FrontDoorOptions.SageMakerBodyBytes} bytes declares its SHA-256 in the signed header X-Amz-Content-Sha256; add that header, send an API key, or send less."));
            }
        }

        var hash = signature.Claim.DeclaredBodyHash is { } declared ? Convert.FromHexString(declared) : null;
        var verification = _verifier.Verify(signature.Claim, signature.Key.SecretAccessKey, signature.Request, hash, time.GetUtcNow());
        if (!verification.IsValid)
        {
            throw new RefusedException(Of(verification));
        }

        var sender = new Caller(RequireOwn(request, signature.Key.Tenant), false);
        if (hash is null)
        {
            return (sender, request.Body);
        }

        var hashed = new HashedBody(request.Body, hash);
        context.Response.RegisterForDispose(hashed);
        return (sender, hashed);
    }

    /// <summary>Believes the caller of an operation without a body of interest.</summary>
    public async ValueTask<Caller> AuthenticateAsync(HttpContext context)
    {
        var (caller, _) = await AuthenticateAsync(context, 64 << 10);
        RequestHeaders.RequireKnown(context.Request);
        return caller;
    }

    /// <summary>What the request says of its signature, unchecked, and the key that it names.</summary>
    private async ValueTask<(SignedRequest Request, SigV4Claim Claim, ActiveKey Key)> FindSignatureAsync(HttpContext context)
    {
        var signed = Signed(context);
        if (!SigV4Verifier.TryParse(signed, out var claim, out var problem))
        {
            throw new RefusedException(Of(problem));
        }

        return claim.SessionToken is null && await keys.FindAsync(claim.AccessKeyId) is { } key
            ? (signed, claim, key)
            : throw new RefusedException(new(ProblemTable.UnknownKey, "UnknownKey", "The security token included in the request is invalid: no such access key was issued here, or it was revoked."));
    }

    private async ValueTask<(Caller Caller, ReadOnlyMemory<byte> Body)> VerifyWholeAsync(HttpRequest request, (SignedRequest Request, SigV4Claim Claim, ActiveKey Key) signature, long bodyLimit, CancellationToken cancellationToken)
    {
        var body = await BodyReader.ReadAsync(request, bodyLimit, cancellationToken);
        var verification = _verifier.Verify(signature.Claim, signature.Key.SecretAccessKey, signature.Request, SHA256.HashData(body.Span), time.GetUtcNow());
        return verification.IsValid ? (new(RequireOwn(request, signature.Key.Tenant), false), body) : throw new RefusedException(Of(verification));
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
