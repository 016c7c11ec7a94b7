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

    /// <summary>Bytes of body and attributes that every queue of SQS takes unless it was told to take less.</summary>
    public const int TakenBytes = 262_144;

    /// <summary>The most that a queue of SQS takes, and a new one does.</summary>
    public const int MostBytes = 1_048_576;

    private const int MaxReason = 1_024;

    /// <summary>The attributes of the copy: the reason first, the sender's last, by name.</summary>
    /// <param name="message">The message.</param>
    /// <param name="queue">The queue it came to.</param>
    /// <param name="problem">Why it is refused.</param>
    /// <param name="most">Bytes that the copy may have; more only if the message itself has more.</param>
    public static IReadOnlyDictionary<string, MessageAttribute> AttributesOf(QueueMessage message, string queue, InferenceProblem problem, int most)
    {
        var room = Math.Max(most, SizeOf(message.Body, message.Attributes)) - Encoding.UTF8.GetByteCount(message.Body);
        var attributes = new Dictionary<string, MessageAttribute>(StringComparer.Ordinal);
        var reason = Printable($"{problem.Code}: {problem.Message}");
        reason = Beginning(reason, Math.Min(MaxReason, room - BytesOf(Reason, MessageAttribute.Of(""))));
        if (reason.Length > 0)
        {
            Add(Reason, MessageAttribute.Of(reason));
        }

        Add(MessageId, MessageAttribute.Of(message.MessageId));
        Add(Queue, MessageAttribute.Of(queue));
        foreach (var (name, attribute) in message.Attributes.OrderBy(static pair => pair.Key, StringComparer.Ordinal).Where(static pair => pair.Key is not (Reason or MessageId or Queue)))
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

    /// <summary>Bytes of a message as SQS counts them.</summary>
    public static int SizeOf(string body, IReadOnlyDictionary<string, MessageAttribute> attributes) =>
        Encoding.UTF8.GetByteCount(body) + attributes.Sum(static pair => BytesOf(pair.Key, pair.Value));

    private static string Beginning(string text, int bytes)
    {
        var taken = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            if ((bytes -= rune.Utf8SequenceLength) < 0)
            {
                break;
            }

            taken += rune.Utf16SequenceLength;
        }

        return text[..taken];
    }

    // As SQS counts them.
    private static int BytesOf(string name, MessageAttribute attribute) =>
        Encoding.UTF8.GetByteCount(name) + Encoding.UTF8.GetByteCount(attribute.DataType) + (attribute.Text is { } text ? Encoding.UTF8.GetByteCount(text) : attribute.Bytes.Length);

    // What an attribute of SQS may hold: no control characters, no lone surrogates.
    private static string Printable(string text) => string.Concat(text.EnumerateRunes().Select(static rune => Rune.IsControl(rune) || rune.Value is 0xFFFE or 0xFFFF ? " " : rune.ToString()));
}
