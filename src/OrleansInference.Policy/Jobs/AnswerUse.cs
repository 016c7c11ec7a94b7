using System.Text.Json;
using OrleansInference.Pricing;

namespace OrleansInference.Jobs;

/// <summary>What an answer tells about its use, in the <c>usage</c> object that models for text put into their JSON.</summary>
/// <param name="Bytes">Bytes of the answer.</param>
/// <param name="InputTokens">Input tokens; null if the answer does not say.</param>
/// <param name="OutputTokens">Output tokens; null if the answer does not say.</param>
/// <param name="ServiceMs">Milliseconds the model took, as its <c>usage.service_ms</c> says; 0 if the answer does not say.</param>
public readonly record struct AnswerUse(long Bytes, long? InputTokens = null, long? OutputTokens = null, double ServiceMs = 0)
{
    /// <summary>The most bytes of an answer in which its use is looked for.</summary>
    public const int MostParsedBytes = 4_194_304;

    /// <summary>Reads it. A body that is not JSON, has no <c>usage</c>, or is larger than 4 MiB tells its size alone.</summary>
    public static AnswerUse Read(ReadOnlyMemory<byte> body)
    {
        if (body.Length > MostParsedBytes)
        {
            return new(body.Length);
        }

        try
        {
            using var document = JsonDocument.Parse(body);
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("usage", out var usage)
                || usage.ValueKind != JsonValueKind.Object)
            {
                return new(body.Length);
            }

            return new(
                body.Length,
                Count(usage, "input_tokens") ?? Count(usage, "prompt_tokens"),
                Count(usage, "output_tokens") ?? Count(usage, "completion_tokens"),
                usage.TryGetProperty("service_ms", out var service) && service.ValueKind == JsonValueKind.Number && service.TryGetDouble(out var milliseconds) && milliseconds is > 0 and < 1e10 ? milliseconds : 0);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // Not JSON, or JSON with a name or text that is none (half a surrogate pair).
            return new(body.Length);
        }
    }

    private static long? Count(JsonElement usage, string name) =>
        usage.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var count) && count >= 0 ? count : null;
}

/// <summary>The charge of a job that was answered.</summary>
public static class JobCharge
{
    private const int BytesPerToken = 4;

    /// <summary>Input tokens as the caller or the size tells them.</summary>
    public static int InputTokens(JobSpecification specification)
    {
        ArgumentNullException.ThrowIfNull(specification);
        return specification.Request.InputTokens ?? (int)Math.Min(int.MaxValue, (specification.BodyLength + BytesPerToken - 1) / BytesPerToken);
    }

    /// <summary>The endpoint's tariff × use, at most <paramref name="cap"/>.</summary>
    public static Money Of(EndpointDefinition endpoint, JobSpecification specification, in AnswerUse answer, double serviceMs, Money cap)
    {
        ArgumentNullException.ThrowIfNull(specification);
        return Of(endpoint, InputTokens(specification), specification.BodyLength, answer, serviceMs, cap);
    }

    /// <summary>The endpoint's tariff × use, at most <paramref name="cap"/>.</summary>
    /// <param name="endpoint">The endpoint, its tariff filled in.</param>
    /// <param name="inputTokens">Input tokens, unless the answer tells them.</param>
    /// <param name="inputBytes">Bytes of the input.</param>
    /// <param name="answer">What the answer tells.</param>
    /// <param name="serviceMs">Milliseconds of one slot.</param>
    /// <param name="cap">What was reserved.</param>
    public static Money Of(EndpointDefinition endpoint, long inputTokens, long inputBytes, in AnswerUse answer, double serviceMs, Money cap)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        var use = new Use
        {
            SlotMilliseconds = (long)Math.Ceiling(Math.Clamp(serviceMs, 0, endpoint.MaxServiceSeconds * 1000)),
            Requests = 1,
            InputTokens = answer.InputTokens ?? inputTokens,
            OutputTokens = answer.OutputTokens ?? (answer.Bytes + BytesPerToken - 1) / BytesPerToken,
            Bytes = inputBytes + answer.Bytes,
        };
        return TariffCalculator.Charge(endpoint.Tariff ?? new(), use, cap);
    }
}
