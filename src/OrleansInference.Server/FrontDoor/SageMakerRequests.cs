using System.Globalization;

namespace OrleansInference.FrontDoor;

/// <summary>Turns calls of SageMaker Runtime into requests; what breaks SageMaker's rules is refused in SageMaker's words.</summary>
internal static class SageMakerRequests
{
    private const string Prefix = "X-Amzn-SageMaker-";
    private const int MaxInferenceIdLength = 64;
    private const double DefaultTtlSeconds = 21_600;
    private const double DefaultTimeoutSeconds = 900;

    /// <summary>The model that the path names as an endpoint.</summary>
    public static ModelName Model(string name) => ModelName.TryParse(name, out var model)
        ? model
        : throw new RefusedException(Refusal.Invalid($"1 validation error detected: Value '{name}' at 'endpointName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*, at most {NameRule.MaxLength} characters"));

    /// <summary>The refusal of a model that does not exist: an endpoint that does not, to an SDK.</summary>
    public static Refusal Translate(InferenceProblem problem, ModelName model) => problem.Code == ProblemCode.UnknownModel
        ? Refusal.Of(problem) with { Message = $"Endpoint {model} not found. An endpoint name is a model name here: GET /v1/models lists them." }
        : Refusal.Of(problem);

    /// <summary>InvokeEndpoint and its streaming form.</summary>
    public static InferenceRequest Invoke(HttpRequest request, ModelName model, TenantId tenant, ReadOnlyMemory<byte> body, bool streaming)
    {
        Unsupported(request, Prefix + "Target-Container-Hostname", Prefix + "Enable-Explanations", Prefix + "Inference-Component");
        return WithAttributes(request, new()
        {
            Tenant = tenant,
            Model = model,
            Body = body,
            ContentType = NotEmpty(request.ContentType) ?? "application/json",
            Accept = NotEmpty(streaming ? Header(request, Prefix + "Accept") : request.Headers.Accept.ToString()),
            InferenceId = InferenceId(request),
            TargetModel = Header(request, Prefix + "Target-Model"),
            SessionId = Header(request, Prefix + "Session-Id"),
            Delivery = Delivery.Inline,
        });
    }

    /// <summary>InvokeEndpointAsync. The input must lie below <c>s3://{bucket}/tenants/{tenant}/</c>: what another tenant stored is out of reach.</summary>
    public static InferenceRequest InvokeAsync(HttpRequest request, ModelName model, TenantId tenant, string bucket)
    {
        Unsupported(request, Prefix + "S3OutputPathExtension", Prefix + "Filename");
        var location = Header(request, Prefix + "InputLocation");
        if (location is null || !TenantObjects.IsOwn(location, bucket, tenant))
        {
            throw new RefusedException(Refusal.Invalid($"InputLocation: '{location}' is not an object of this tenant. Store the input below {TenantObjects.Prefix(bucket, tenant)} and give its address."));
        }

        var ttl = Seconds(request, Prefix + "RequestTTLSeconds", 60, 21_600);
        var timeout = Seconds(request, Prefix + "InvocationTimeoutSeconds", 1, 3600);
        var result = WithAttributes(request, new()
        {
            Tenant = tenant,
            Model = model,
            InputLocation = location,
            ContentType = Header(request, Prefix + "Content-Type") ?? "application/json",
            Accept = Header(request, Prefix + "Accept"),
            InferenceId = InferenceId(request),
            Delivery = Delivery.Either,
        });

        // SageMaker limits the wait and the run apart; here one deadline holds for both.
        return result.Deadline is null && (ttl ?? timeout) is not null
            ? result with { Deadline = TimeSpan.FromSeconds((ttl ?? DefaultTtlSeconds) + (timeout ?? DefaultTimeoutSeconds)) }
            : result;
    }

    private static InferenceRequest WithAttributes(HttpRequest request, InferenceRequest result)
    {
        RequestHeaders.RequireKnown(request);
        if (request.Headers[CustomAttributes.Header].ToString() is not { Length: > 0 } text)
        {
            return result;
        }

        if (!CustomAttributes.IsValid(text))
        {
            throw new RefusedException(Refusal.Invalid($"{CustomAttributes.Header}: at most {CustomAttributes.MaxLength} printable ASCII characters are allowed."));
        }

        var ours = new Dictionary<string, string>(StringComparer.Ordinal);
        var rest = CustomAttributes.Take(text, ours);
        var problems = new List<string>();
        result = RoutingFields.Apply(result with { CustomAttributes = rest }, ours.GetValueOrDefault, static name => $"{name} in {CustomAttributes.Header}", problems);
        Refusal.Require(problems);
        return result;
    }

    private static string? InferenceId(HttpRequest request) => Header(request, Prefix + "Inference-Id") switch
    {
        null => null,
        { Length: <= MaxInferenceIdLength } id when CustomAttributes.IsValid(id) => id,
        _ => throw new RefusedException(Refusal.Invalid($"{Prefix}Inference-Id: it has 1 to {MaxInferenceIdLength} printable ASCII characters.")),
    };

    private static double? Seconds(HttpRequest request, string name, int least, int most) => Header(request, name) is not { } text ? null
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds >= least && seconds <= most ? seconds
        : throw new RefusedException(Refusal.Invalid($"{name}: '{text}' is not a whole number of seconds from {least} to {most}."));

    private static void Unsupported(HttpRequest request, params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (Header(request, name) is not null)
            {
                throw new RefusedException(Refusal.Invalid($"{name} is not supported by this router, which chooses the endpoint itself: leave it out."));
            }
        }
    }

    private static string? Header(HttpRequest request, string name) => NotEmpty(request.Headers[name].ToString());

    private static string? NotEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;
}
