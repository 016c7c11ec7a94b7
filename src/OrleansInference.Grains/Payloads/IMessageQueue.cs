namespace OrleansInference.Payloads;

/// <summary>An attribute of a message.</summary>
/// <param name="DataType"><c>String</c>, <c>Number</c> or <c>Binary</c>, with the sender's own label after a dot or without.</param>
/// <param name="Text">Its text; null if it is binary.</param>
/// <param name="Bytes">Its bytes if it is binary.</param>
public readonly record struct MessageAttribute(string DataType, string? Text, ReadOnlyMemory<byte> Bytes = default)
{
    /// <summary>An attribute of type <c>String</c>.</summary>
    public static MessageAttribute Of(string text) => new("String", text);
}

/// <summary>A message taken from a queue, invisible to others for a while.</summary>
/// <param name="MessageId">Its id, the same at every receipt.</param>
/// <param name="ReceiptHandle">What this receipt is deleted or hidden by.</param>
/// <param name="Body">Its text.</param>
/// <param name="ReceiveCount">How often it was received, this time too.</param>
/// <param name="SentAt">When it was sent, by the queue's clock; null if the queue does not tell.</param>
/// <param name="Attributes">The attributes that its sender gave it, by name.</param>
public sealed record QueueMessage(string MessageId, string ReceiptHandle, string Body, int ReceiveCount, DateTimeOffset? SentAt, IReadOnlyDictionary<string, MessageAttribute> Attributes);

/// <summary>SQS, as far as it is used.</summary>
public interface IMessageQueue
{
    /// <summary>The queue's URL by its name; creates the queue if <paramref name="create"/> and there is none, else null. A URL is answered as it is.</summary>
    Task<string?> ResolveAsync(string queueName, bool create, CancellationToken cancellationToken);

    /// <summary>Sends a message with at most 10 attributes.</summary>
    /// <exception cref="MessageRefusedException">The queue will never take it: it is larger than the queue takes, or has a wrong attribute.</exception>
    Task SendAsync(string queueUrl, string body, IReadOnlyDictionary<string, MessageAttribute> attributes, CancellationToken cancellationToken);

    /// <summary>Takes at most <paramref name="max"/> (1..10) messages, waiting at most <paramref name="wait"/> (0..20 s) for the first.</summary>
    Task<IReadOnlyList<QueueMessage>> ReceiveAsync(string queueUrl, int max, TimeSpan wait, TimeSpan visibility, CancellationToken cancellationToken);

    /// <summary>Deletes a message.</summary>
    Task DeleteAsync(string queueUrl, string receiptHandle, CancellationToken cancellationToken);

    /// <summary>Changes how long a message stays invisible, from now.</summary>
    Task ChangeVisibilityAsync(string queueUrl, string receiptHandle, TimeSpan visibility, CancellationToken cancellationToken);
}
