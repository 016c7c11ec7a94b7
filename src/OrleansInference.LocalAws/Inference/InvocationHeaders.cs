using System.Globalization;
using OrleansInference.LocalAws.Models;
using OrleansInference.LocalAws.Objects;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Inference;

/// <summary>The headers of SageMaker Runtime, checked as SageMaker checks them.</summary>
internal static class InvocationHeaders
{
    private const int MaxCustomAttributes = 1024;
    private const int MaxInferenceId = 64;
    private const int DefaultTtlSeconds = 21_600;
    private const int DefaultTimeoutSeconds = 900;

    public static InvocationLabel Label(AwsRequest request, string operation)
    {
        var custom = request.Header("X-Amzn-SageMaker-Custom-Attributes");
        if (custom is not null && (custom.Length > MaxCustomAttributes || !custom.All(c => c is >= ' ' and <= '~')))
        {
            throw Invalid($"CustomAttributes must be at most {MaxCustomAttributes} visible ASCII characters.");
        }

        var id = request.Header("X-Amzn-SageMaker-Inference-Id");
        return id is { Length: 0 or > MaxInferenceId }
            ? throw Invalid($"InferenceId must have 1 to {MaxInferenceId} characters.")
            : new(operation, id, custom, request.Header("X-Amzn-SageMaker-Target-Model"));
    }

    /// <summary>Writes what the answer says of the invocation.</summary>
    public static void Write(AwsRequest request, SimulatedEndpoint endpoint, ModelRun run)
    {
        var headers = request.Http.Response.Headers;
        headers["x-Amzn-Invoked-Production-Variant"] = endpoint.Variant;
        headers["X-Amzn-SageMaker-Custom-Attributes"] = run.CustomAttributes;
        if (request.Header("X-Amzn-SageMaker-Session-Id") == "NEW_SESSION")
        {
            headers["X-Amzn-SageMaker-New-Session-Id"] = Guid.NewGuid().ToString();
        }
    }

    /// <summary>Reads a call of InvokeEndpointAsync.</summary>
    public static AsyncCall AsyncCall(AwsRequest request, SimulatedEndpoint endpoint, LocalAwsOptions options)
    {
        var label = Label(request, "InvokeEndpointAsync");
        var input = request.Header("X-Amzn-SageMaker-InputLocation");
        if (!S3Location.TryParse(input, out var location) || location.Key.Length == 0)
        {
            throw Invalid("InputLocation is required and must be the s3:// or https:// address of an object.");
        }

        var extension = request.Header("X-Amzn-SageMaker-S3OutputPathExtension")?.Trim('/');
        var unique = Guid.NewGuid().ToString();
        var folder = $"async-endpoints/{endpoint.Name}/" + (string.IsNullOrEmpty(extension) ? "" : extension + "/");
        return new()
        {
            Endpoint = endpoint.Name,
            InferenceId = label.InferenceId ?? unique,
            InputLocation = location,
            StatedInputLocation = input!,
            ContentType = request.Header("X-Amzn-SageMaker-Content-Type"),
            CustomAttributes = label.CustomAttributes,
            OutputLocation = new S3Location(options.PayloadBucket, folder + "output/" + (request.Header("X-Amzn-SageMaker-Filename") ?? unique + ".out")),
            FailureLocation = new S3Location(options.PayloadBucket, folder + "failure/" + unique + "-error.out"),
            TtlSeconds = Range(request, "X-Amzn-SageMaker-RequestTTLSeconds", 60, DefaultTtlSeconds) ?? DefaultTtlSeconds,
            TimeoutSeconds = Range(request, "X-Amzn-SageMaker-InvocationTimeoutSeconds", 1, 3600) ?? DefaultTimeoutSeconds,
        };
    }

    private static int? Range(AwsRequest request, string header, int least, int most)
    {
        if (request.Header(header) is not { } text)
        {
            return null;
        }

        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most
            ? value
            : throw Invalid($"{header["X-Amzn-SageMaker-".Length..]} must be a whole number from {least} to {most}.");
    }

    private static AwsFault Invalid(string message) => new(400, "ValidationError", message);
}
