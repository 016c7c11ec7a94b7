using System.Buffers;
using System.Text;
using System.Text.Json;

namespace OrleansInference.Jobs;

/// <summary>What a reply queue or a webhook is told of a request. See docs/queues.md.</summary>
public sealed record JobReply
{
    /// <summary>State of a request that never became a job.</summary>
    public const string Refused = "Refused";

    /// <summary>The most bytes of a reply; a result that does not fit stays where it is stored.</summary>
    public const int MaxBytes = 200_000;

    /// <summary>Id of the job; null if there was none.</summary>
    public string? JobId { get; init; }

    /// <summary>Key under which the request was made.</summary>
    public string? IdempotencyKey { get; init; }

    /// <summary>Who pays; null if the message did not say so.</summary>
    public string? Tenant { get; init; }

    /// <summary>What was asked; null if the message did not say so.</summary>
    public string? Model { get; init; }

    /// <summary>Succeeded, Failed, Expired, Cancelled, or <see cref="Refused"/>.</summary>
    public required string State { get; init; }

    /// <summary>The route with its charge.</summary>
    public RouteTaken? Route { get; init; }

    /// <summary>Why there is no result.</summary>
    public InferenceProblem? Problem { get; init; }

    /// <summary>Where the result is stored, <c>s3://bucket/key</c>.</summary>
    public string? OutputLocation { get; init; }

    /// <summary>MIME type of the result.</summary>
    public string? ContentType { get; init; }

    /// <summary>The result, where it is at hand.</summary>
    public ReadOnlyMemory<byte>? Result { get; init; }

    /// <summary>The reply for a job that has ended.</summary>
    public static JobReply Of(JobView job, InferenceRequest request)
    {
        ArgumentNullException.ThrowIfNull(job);
        ArgumentNullException.ThrowIfNull(request);
        return new()
        {
            JobId = job.JobId,
            IdempotencyKey = request.IdempotencyKey,
            Tenant = job.Tenant.Value,
            Model = job.Model.Value,
            State = job.State.ToString(),
            Route = job.Route,
            Problem = job.Problem,
            OutputLocation = job.OutputLocation,
            ContentType = job.ContentType,
        };
    }

    /// <summary>The message's text, with the result if it is at hand and fits.</summary>
    public string ToJson(string? correlationId)
    {
        var whole = Write(correlationId, withResult: true);
        return Encoding.UTF8.GetString(whole.Length <= MaxBytes ? whole : Write(correlationId, withResult: false));
    }

    private ReadOnlySpan<byte> Write(string? correlationId, bool withResult)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            Text(writer, "jobId", JobId);
            Text(writer, "correlationId", correlationId);
            Text(writer, "idempotencyKey", IdempotencyKey);
            Text(writer, "tenant", Tenant);
            Text(writer, "model", Model);
            writer.WriteString("state", State);
            if (Route is { } route)
            {
                Text(writer, "decisionId", route.DecisionId);
                writer.WriteString("lane", route.Lane.ToString());
                writer.WriteString("endpoint", route.Endpoint.Value);
                writer.WriteString("charge", route.Charge.ToString());
            }

            Text(writer, "contentType", ContentType);
            Text(writer, "outputLocation", OutputLocation);
            if (Problem is { } problem)
            {
                WriteProblem(writer, problem);
            }

            if (withResult && Result is { } result && result.Length <= MaxBytes)
            {
                WriteResult(writer, result);
            }

            writer.WriteEndObject();
        }

        return buffer.WrittenSpan;
    }

    private static void WriteProblem(Utf8JsonWriter writer, InferenceProblem problem)
    {
        writer.WriteStartObject("problem");
        writer.WriteString("code", problem.Code.ToString());
        writer.WriteString("message", problem.Message);
        if (problem.OriginalStatusCode is { } status)
        {
            writer.WriteNumber("originalStatusCode", status);
        }

        Text(writer, "originalMessage", problem.OriginalMessage);
        writer.WriteEndObject();
    }

    // In the form that a message's input has: JSON as it is, other text as a string, anything else in base64.
    private void WriteResult(Utf8JsonWriter writer, ReadOnlyMemory<byte> result)
    {
        if (ContentType?.Contains("json", StringComparison.OrdinalIgnoreCase) == true)
        {
            try
            {
                using var document = JsonDocument.Parse(result);
                writer.WritePropertyName("body");
                document.RootElement.WriteTo(writer);
                return;
            }
            catch (JsonException)
            {
                // It is not what it says it is, and is passed on as what it is.
            }
        }

        if (System.Text.Unicode.Utf8.IsValid(result.Span))
        {
            writer.WriteString("text", result.Span);
        }
        else
        {
            writer.WriteBase64String("base64", result.Span);
        }
    }

    private static void Text(Utf8JsonWriter writer, string name, string? value)
    {
        if (value is not null)
        {
            writer.WriteString(name, value);
        }
    }
}
