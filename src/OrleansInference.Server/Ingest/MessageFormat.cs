using System.Collections.Frozen;
using System.Globalization;
using System.Text;
using System.Text.Json;
using OrleansInference.Configuration;
using OrleansInference.FrontDoor;

namespace OrleansInference.Ingest;

/// <summary>What a message says.</summary>
/// <param name="Request">The request; must not be used if there are problems.</param>
/// <param name="IsLate">Whether its deadline had passed before it was received.</param>
/// <param name="Problems">Everything that is wrong with it.</param>
internal sealed record ReadMessage(InferenceRequest Request, bool IsLate, IReadOnlyList<string> Problems);

/// <summary>Reads messages of a queue into requests: docs/queues.md, docs/queue-message.schema.json.</summary>
/// <param name="queue">The queue they come from.</param>
/// <param name="bucket">The bucket in which tenants keep inputs.</param>
internal sealed class MessageFormat(QueueSettings queue, string bucket)
{
    private const int MaxCorrelationId = 255;
    private const string Tenant = "tenant";
    private const string Model = "model";
    private const string ContentType = "contentType";
    private const string Accept = "accept";
    private const string Attributes = "customAttributes";
    private const string Body = "body";
    private const string PlainText = "text";
    private const string Base64 = "base64";
    private const string InputLocation = "inputLocation";
    private const string ReplyQueue = "replyQueue";
    private const string CorrelationId = "correlationId";

    private static readonly string[] Inputs = [Body, PlainText, Base64, InputLocation];
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    // As everywhere in JSON, in camel case: min-quality is minQuality.
    private static readonly FrozenDictionary<string, string> Routing = RoutingFields.Names.ToFrozenDictionary(static name => name, CamelCase, StringComparer.Ordinal);

    /// <summary>Every member that a message may have.</summary>
    public static readonly FrozenSet<string> Members = FrozenSet.Create(
        StringComparer.Ordinal,
        [Tenant, Model, ContentType, Accept, Attributes, .. Inputs, ReplyQueue, CorrelationId, .. Routing.Values]);

    /// <summary>Reads a message.</summary>
    /// <param name="text">Its text.</param>
    /// <param name="messageId">Its id, under which it is idempotent unless it brings a key.</param>
    /// <param name="age">How long ago it was sent, on the router's clock: its deadline counts from then.</param>
    /// <param name="now">The router's time.</param>
    public ReadMessage Read(string text, string messageId, TimeSpan age, DateTimeOffset now)
    {
        try
        {
            using var document = JsonDocument.Parse(text, Strict);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                return Read(document.RootElement, messageId, age, now);
            }
        }
        catch (JsonException exception)
        {
            return Nothing(messageId, $"The message is not JSON: {exception.Message}");
        }
        catch (InvalidOperationException)
        {
            // Valid by the grammar of JSON, and no text: what it means can be neither read nor answered.
            return Nothing(messageId, "The message has half of a surrogate pair in a name or a text, such as \\ud800, which is no character.");
        }

        return Nothing(messageId, "The message is not a JSON object.");
    }

    private ReadMessage Nothing(string messageId, string problem) => new(
        new() { Tenant = queue.Tenant ?? default, Model = queue.Model ?? default, IdempotencyKey = messageId, ReplyTo = queue.ReplyQueue is { } reply ? new() { Queue = reply } : null },
        false,
        [problem]);

    private ReadMessage Read(JsonElement message, string messageId, TimeSpan age, DateTimeOffset now)
    {
        var problems = new List<string>();
        foreach (var member in message.EnumerateObject().Where(static member => !Members.Contains(member.Name)))
        {
            problems.Add($"{Short(member.Name)}: there is no such member{(NearestName.Of(member.Name, Members) is { } near ? $"; '{near}' may be meant" : "")}.");
        }

        var request = new InferenceRequest
        {
            Tenant = TenantOf(message, problems),
            Model = ModelOf(message, problems),
            ContentType = String(message, ContentType, problems) ?? "application/json",
            Accept = String(message, Accept, problems),
            CustomAttributes = String(message, Attributes, problems),
            Delivery = Delivery.Either,
        };
        request = ReadInput(message, request, problems);
        var absolute = AbsoluteDeadline(message);
        request = RoutingFields.Apply(
            request,
            field => field == RoutingFields.Deadline && absolute is not null ? null : Field(message, field, problems),
            static field => Routing[field],
            problems);
        request = request with { ReplyTo = ReplyOf(message, request.ReplyTo?.Webhook, problems) };
        var left = absolute is { } end ? end - now : request.Deadline - age;
        var isLate = left <= TimeSpan.Zero;
        return new(
            request with { IdempotencyKey = request.IdempotencyKey ?? messageId, Deadline = isLate ? request.Deadline : left },
            isLate,
            problems);
    }

    private TenantId TenantOf(JsonElement message, List<string> problems)
    {
        var named = String(message, Tenant, problems);
        if (queue.Tenant is { } bound)
        {
            if (named is not null && named != bound.Value)
            {
                problems.Add($"{Tenant}: the messages of this queue are of tenant '{bound}'; leave the member out.");
            }

            return bound;
        }

        if (named is null)
        {
            problems.Add($"{Tenant}: a message of this queue names its tenant.");
        }
        else if (TenantId.TryParse(named, out var tenant) && (queue.Tenants.Contains(QueueSettings.AnyTenant) || queue.Tenants.Contains(named)))
        {
            return tenant;
        }
        else
        {
            problems.Add($"{Tenant}: '{Short(named)}' is none that a message of this queue may name.");
        }

        return default;
    }

    private ModelName ModelOf(JsonElement message, List<string> problems)
    {
        if (String(message, Model, problems) is not { } named)
        {
            if (queue.Model is null && !message.TryGetProperty(Model, out _))
            {
                problems.Add($"{Model}: the message names no model.");
            }

            return queue.Model ?? default;
        }

        if (!ModelName.TryParse(named, out var model))
        {
            problems.Add($"{Model}: '{Short(named)}' is not a valid model name: it must be {NameRule.Description}.");
        }

        return model;
    }

    private ReplyTo? ReplyOf(JsonElement message, string? webhook, List<string> problems)
    {
        var correlation = String(message, CorrelationId, problems);
        if (correlation is { Length: 0 or > MaxCorrelationId })
        {
            problems.Add($"{CorrelationId}: it has 1 to {MaxCorrelationId} characters, this one has {correlation.Length}.");
            correlation = null;
        }

        var named = String(message, ReplyQueue, problems);
        if (named is not null && named != queue.ReplyQueue && !queue.ReplyQueues.Contains(named))
        {
            problems.Add($"{ReplyQueue}: '{Short(named)}' is none that the configuration of this queue allows.");
            named = null;
        }

        if (webhook is not null)
        {
            if (named is not null)
            {
                problems.Add($"{ReplyQueue}: the end is told to a queue or to a webhook, not to both; leave one out.");
            }

            return new() { Webhook = webhook, CorrelationId = correlation };
        }

        return (named ?? queue.ReplyQueue) is { } reply ? new() { Queue = reply, CorrelationId = correlation } : null;
    }

    private InferenceRequest ReadInput(JsonElement message, InferenceRequest request, List<string> problems)
    {
        var given = Inputs.Where(name => message.TryGetProperty(name, out _)).ToList();
        if (given.Count != 1)
        {
            problems.Add($"A message has exactly one of {string.Join(", ", Inputs)}, this one has {(given.Count == 0 ? "none" : string.Join(", ", given))}.");
            return request;
        }

        var name = given[0];
        if (name == Body)
        {
            return request with { Body = Encoding.UTF8.GetBytes(message.GetProperty(Body).GetRawText()) };
        }

        if (String(message, name, problems) is not { } text)
        {
            return request;
        }

        if (name == PlainText)
        {
            return request with { Body = Encoding.UTF8.GetBytes(text) };
        }

        if (name == InputLocation)
        {
            if (!TenantObjects.IsOwn(text, bucket, request.Tenant))
            {
                problems.Add($"{InputLocation}: '{Short(text)}' is not an object of this tenant. Store the input below {TenantObjects.Prefix(bucket, request.Tenant)} and give its address.");
            }

            return request with { InputLocation = text };
        }

        try
        {
            return request with { Body = Convert.FromBase64String(text) };
        }
        catch (FormatException)
        {
            problems.Add($"{Base64}: the text is not base64.");
            return request;
        }
    }

    private static DateTimeOffset? AbsoluteDeadline(JsonElement message) =>
        message.TryGetProperty(Routing[RoutingFields.Deadline], out var value) && value.ValueKind == JsonValueKind.String && value.GetString()!.Contains('T', StringComparison.Ordinal)
            && value.TryGetDateTimeOffset(out var end)
            ? end
            : null;

    private static string? String(JsonElement message, string name, List<string> problems)
    {
        if (!message.TryGetProperty(name, out var value))
        {
            return null;
        }

        if (value.ValueKind == JsonValueKind.String)
        {
            return value.GetString();
        }

        problems.Add($"{name}: a string is wanted.");
        return null;
    }

    /// <summary>The text of a routing field, in whatever JSON its form may be written; null if the message has none.</summary>
    private static string? Field(JsonElement message, string field, List<string> problems)
    {
        var name = Routing[field];
        var form = RoutingFields.Forms[field];
        if (!message.TryGetProperty(name, out var value))
        {
            return null;
        }

        if (value.ValueKind == JsonValueKind.String)
        {
            return value.GetString();
        }

        switch (form)
        {
            case FieldForm.Number when value.ValueKind == JsonValueKind.Number:
                // 1e3 and 1000.0 are the number that they are.
                return value.TryGetDecimal(out var number) ? number.ToString("0.############################", CultureInfo.InvariantCulture) : value.GetRawText();
            case FieldForm.List when value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(static item => item.ValueKind == JsonValueKind.String):
                return string.Join(',', value.EnumerateArray().Select(static item => item.GetString()));
            default:
                problems.Add($"{name}: {form switch { FieldForm.Number => "a number or a string", FieldForm.List => "an array of strings", _ => "a string" }} is wanted.");
                return null;
        }
    }

    private static string CamelCase(string name) => string.Concat(name.Split('-').Select(static (word, i) => i == 0 ? word : char.ToUpperInvariant(word[0]) + word[1..]));

    private static string Short(string text) => text.Length <= 64 ? text : text[..64] + "…";
}
