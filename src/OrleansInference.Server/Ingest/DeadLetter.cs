using System.Text;
using OrleansInference.Payloads;

namespace OrleansInference.Ingest;

/// <summary>The copy of a refused message: its body, why it was refused, and as many of its sender's attributes as SQS lets it carry beside that.</summary>
internal static class DeadLetter
{
    /// <summary>Attribute: why it was refused.</summary>
    public const string Reason = "Reason";

    /// <summary>Attribute: the id of the message that it is a copy of.</summary>
    public const string MessageId = "MessageId";

    /// <summary>Attribute: the queue that the message came to.</summary>
    public const string Queue = "Queue";

    /// <summary>Most attributes of a message of SQS.</summary>
    public const int MaxAttributes = 10;

    /// <summary>Bytes of body and attributes that a queue of SQS takes unless it was told to take less.</summary>
    public const int TakenBytes = 262_144;

    private const int MaxReason = 1_024;

    /// <summary>The attributes of the copy, which is no larger than the message itself if that is above <see cref="TakenBytes"/>. The sender's go last, by name.</summary>
    public static IReadOnlyDictionary<string, MessageAttribute> AttributesOf(QueueMessage message, string queue, InferenceProblem problem)
    {
        var body = Encoding.UTF8.GetByteCount(message.Body);
        var room = Math.Max(TakenBytes, body + message.Attributes.Sum(static pair => BytesOf(pair.Key, pair.Value))) - body;
        var attributes = new Dictionary<string, MessageAttribute>(StringComparer.Ordinal);
        var reason = $"{problem.Code}: {problem.Message}";
        Add(Reason, MessageAttribute.Of(Printable(reason.Length <= MaxReason ? reason : reason[..MaxReason])));
        Add(MessageId, MessageAttribute.Of(message.MessageId));
        Add(Queue, MessageAttribute.Of(queue));
        foreach (var (name, attribute) in message.Attributes.OrderBy(static pair => pair.Key, StringComparer.Ordinal))
        {
            Add(name, attribute);
        }

        return attributes;

        void Add(string name, MessageAttribute attribute)
        {
            if (attributes.Count < MaxAttributes && BytesOf(name, attribute) is var bytes && bytes <= room && attributes.TryAdd(name, attribute))
            {
                room -= bytes;
            }
        }
    }

    // As SQS counts them.
    private static int BytesOf(string name, MessageAttribute attribute) =>
        Encoding.UTF8.GetByteCount(name) + Encoding.UTF8.GetByteCount(attribute.DataType) + (attribute.Text is { } text ? Encoding.UTF8.GetByteCount(text) : attribute.Bytes.Length);

    // What an attribute of SQS may hold: no control characters, no lone surrogates.
    private static string Printable(string text) => string.Concat(text.EnumerateRunes().Select(static rune => Rune.IsControl(rune) || rune.Value is 0xFFFE or 0xFFFF ? " " : rune.ToString()));
}
