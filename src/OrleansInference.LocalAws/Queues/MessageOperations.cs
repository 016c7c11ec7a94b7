using System.Globalization;
using System.Text;
using System.Text.Json;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Queues;

/// <summary>The operations on messages.</summary>
internal sealed class MessageOperations(QueueStore store)
{
    private const int MaxBatch = 10;
    private static readonly Dictionary<string, object> Nothing = [];

    public object Send(JsonElement input, string queue) => SendOne(input, queue);

    public object SendBatch(JsonElement input, string queue) => Batch(input, entry => SendOne(entry, queue));

    public async Task<object> ReceiveAsync(JsonElement input, string queue, CancellationToken cancellationToken)
    {
        var attributes = store.Find(queue)!;
        var messages = await store.ReceiveAsync(
            queue,
            Range(input, "MaxNumberOfMessages", 1, MaxBatch) ?? 1,
            TimeSpan.FromSeconds(Range(input, "WaitTimeSeconds", 0, 20) ?? QueueAttributes.Number(attributes, "ReceiveMessageWaitTimeSeconds")),
            TimeSpan.FromSeconds(Range(input, "VisibilityTimeout", 0, 43_200) ?? QueueAttributes.Number(attributes, "VisibilityTimeout")),
            cancellationToken);
        var system = Names(input, "MessageSystemAttributeNames").Concat(Names(input, "AttributeNames")).ToHashSet(StringComparer.Ordinal);
        var custom = Names(input, "MessageAttributeNames").ToList();
        return messages.Count == 0 ? Nothing : new Dictionary<string, object> { ["Messages"] = messages.Select(m => Message(m, system, custom)).ToList() };
    }

    public object Delete(JsonElement input, string queue)
    {
        DeleteOne(input, queue);
        return Nothing;
    }

    public object DeleteBatch(JsonElement input, string queue) => Batch(input, entry =>
    {
        DeleteOne(entry, queue);
        return [];
    });

    public object ChangeVisibility(JsonElement input, string queue)
    {
        ChangeOne(input, queue);
        return Nothing;
    }

    public object ChangeVisibilityBatch(JsonElement input, string queue) => Batch(input, entry =>
    {
        ChangeOne(entry, queue);
        return [];
    });

    private static Dictionary<string, object> Message(StoredMessage message, HashSet<string> system, List<string> custom)
    {
        var answer = new Dictionary<string, object>
        {
            ["MessageId"] = message.MessageId,
            ["ReceiptHandle"] = message.Receipt,
            ["Body"] = message.Body,
            ["MD5OfBody"] = MessageDigest.OfBody(message.Body),
        };
        var known = new Dictionary<string, string>
        {
            ["ApproximateReceiveCount"] = message.Receipts.ToString(CultureInfo.InvariantCulture),
            ["ApproximateFirstReceiveTimestamp"] = message.FirstReceipt.ToString(CultureInfo.InvariantCulture),
            ["SentTimestamp"] = message.Sent.ToString(CultureInfo.InvariantCulture),
            ["SenderId"] = LocalAwsOptions.AccountId,
        };
        var chosen = system.Contains("All") ? known : known.Where(a => system.Contains(a.Key)).ToDictionary();
        if (chosen.Count > 0)
        {
            answer["Attributes"] = chosen;
        }

        if (message.Attributes is { } attributes)
        {
            var sent = attributes.EnumerateObject().Where(a => custom.Any(n => Selects(n, a.Name))).ToDictionary(a => a.Name, a => a.Value);
            if (sent.Count > 0)
            {
                answer["MessageAttributes"] = sent;
                answer["MD5OfMessageAttributes"] = MessageDigest.OfAttributes(sent);
            }
        }

        return answer;
    }

    private static bool Selects(string pattern, string name) => pattern is "All" or ".*" || pattern == name
        || (pattern.EndsWith(".*", StringComparison.Ordinal) && name.StartsWith(pattern[..^1], StringComparison.Ordinal));

    private static IEnumerable<string> Names(JsonElement input, string list) => input.List(list).Select(n => n.GetString() ?? "");

    private static string Required(JsonElement input, string name) => input.Text(name) is { Length: > 0 } text
        ? text
        : throw new AwsFault(400, "MissingParameter", $"The request must contain the parameter {name}.");

    /// <summary>A message has the characters of XML 1.0 only, whichever protocol it comes by.</summary>
    private static void RefuseWhatXmlLacks(string text)
    {
        foreach (var rune in text.EnumerateRunes())
        {
            if (rune.Value is < 0x20 and not ('\t' or '\n' or '\r') or 0xFFFE or 0xFFFF)
            {
                throw new AwsFault(400, "InvalidMessageContents", $"Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF. Found #x{rune.Value:X}.");
            }
        }
    }

    private static int? Range(JsonElement input, string name, int least, int most) => input.Integer(name) switch
    {
        null => null,
        { } value when value >= least && value <= most => value,
        { } value => throw new AwsFault(400, "InvalidParameterValue", $"Value {value} for parameter {name} is invalid: it must be from {least} to {most}."),
    };

    private static Dictionary<string, object> Batch(JsonElement input, Func<JsonElement, Dictionary<string, object>> one)
    {
        var entries = input.List("Entries").ToList();
        if (entries.Count is 0 or > MaxBatch)
        {
            throw entries.Count == 0
                ? new(400, "EmptyBatchRequest", "There should be at least one entry in the batch.") { QueryCode = "AWS.SimpleQueueService.EmptyBatchRequest" }
                : new AwsFault(400, "TooManyEntriesInBatchRequest", $"A batch has at most {MaxBatch} entries.") { QueryCode = "AWS.SimpleQueueService.TooManyEntriesInBatchRequest" };
        }

        if (entries.Select(e => Required(e, "Id")).Distinct(StringComparer.Ordinal).Count() != entries.Count)
        {
            throw new AwsFault(400, "BatchEntryIdsNotDistinct", "The ids of a batch must differ.") { QueryCode = "AWS.SimpleQueueService.BatchEntryIdsNotDistinct" };
        }

        var successful = new List<Dictionary<string, object>>();
        var failed = new List<Dictionary<string, object>>();
        foreach (var entry in entries)
        {
            var id = Required(entry, "Id");
            try
            {
                var answer = one(entry);
                answer["Id"] = id;
                successful.Add(answer);
            }
            catch (AwsFault fault)
            {
                failed.Add(new() { ["Id"] = id, ["Code"] = fault.Code, ["Message"] = fault.Message, ["SenderFault"] = true });
            }
        }

        return new() { ["Successful"] = successful, ["Failed"] = failed };
    }

    private Dictionary<string, object> SendOne(JsonElement input, string queue)
    {
        var body = Required(input, "MessageBody");
        var attributes = store.Find(queue)!;
        var custom = input.Object("MessageAttributes");
        var most = QueueAttributes.Number(attributes, "MaximumMessageSize");
        if (Encoding.UTF8.GetByteCount(body) + (custom?.EnumerateObject().Sum(static attribute => SizeOf(attribute.Name, attribute.Value)) ?? 0) > most)
        {
            throw new AwsFault(400, "InvalidParameterValue", $"One or more parameters are invalid. Reason: Message must be shorter than {most} bytes.");
        }

        RefuseWhatXmlLacks(body);
        foreach (var attribute in custom?.EnumerateObject() ?? default)
        {
            RefuseWhatXmlLacks(custom?.Object(attribute.Name)?.Text("StringValue") ?? "");
        }

        var delay = Range(input, "DelaySeconds", 0, 900) ?? (int)QueueAttributes.Number(attributes, "DelaySeconds");
        var digest = custom is { } sent ? MessageDigest.OfAttributes(sent.EnumerateObject().ToDictionary(a => a.Name, a => a.Value)) : null;
        var answer = new Dictionary<string, object>
        {
            ["MD5OfMessageBody"] = MessageDigest.OfBody(body),
            ["MessageId"] = store.Send(queue, body, custom?.GetRawText(), TimeSpan.FromSeconds(delay)),
        };
        if (digest is not null)
        {
            answer["MD5OfMessageAttributes"] = digest;
        }

        return answer;
    }

    // Names, types and values count, in whatever form they came.
    private static int SizeOf(string name, JsonElement attribute) => attribute.ValueKind != JsonValueKind.Object ? 0
        : Encoding.UTF8.GetByteCount(name) + Encoding.UTF8.GetByteCount(attribute.Text("DataType") ?? "")
            + (attribute.Text("StringValue") is { } text ? Encoding.UTF8.GetByteCount(text)
                : attribute.TryGetProperty("BinaryValue", out var value) && value.ValueKind == JsonValueKind.String && value.TryGetBytesFromBase64(out var bytes) ? bytes.Length : 0);

    private void DeleteOne(JsonElement input, string queue)
    {
        if (!store.DeleteMessage(queue, Required(input, "ReceiptHandle")))
        {
            throw InvalidReceipt();
        }
    }

    private void ChangeOne(JsonElement input, string queue)
    {
        var receipt = Required(input, "ReceiptHandle");
        var visibility = Range(input, "VisibilityTimeout", 0, 43_200) ?? throw new AwsFault(400, "MissingParameter", "The request must contain the parameter VisibilityTimeout.");
        if (!ReceiptHandle.TryParse(receipt, out _))
        {
            throw InvalidReceipt();
        }

        if (!store.ChangeVisibility(queue, receipt, TimeSpan.FromSeconds(visibility)))
        {
            throw new AwsFault(400, "MessageNotInflight", "The message is not in flight under this receipt handle: it was deleted, received again, or is visible.")
            {
                QueryCode = "AWS.SimpleQueueService.MessageNotInflight",
            };
        }
    }

    private static AwsFault InvalidReceipt() => new(400, "ReceiptHandleIsInvalid", "The input receipt handle is invalid.");
}
