namespace OrleansInference.Payloads;

/// <summary>A message taken from a queue, invisible to others for a while.</summary>
/// <param name="MessageId">Its id, the same at every receipt.</param>
/// <param name="ReceiptHandle">What this receipt is deleted or hidden by.</param>
/// <param name="Body">Its text.</param>
/// <param name="ReceiveCount">How often it was received, this time too.</param>
/// <param name="SentAt">When it was sent, by the queue's clock; null if the queue does not tell.</param>
public sealed record QueueMessage(string MessageId, string ReceiptHandle, string Body, int ReceiveCount, DateTimeOffset? SentAt);

/// <summary>SQS, as far as it is used.</summary>
public interface IMessageQueue
{
    /// <summary>The queue's URL by its name; creates the queue if <paramref name="create"/> and there is none, else null. A URL is answered as it is.</summary>
    Task<string?> ResolveAsync(string queueName, bool create, CancellationToken cancellationToken);

    /// <summary>Sends a message with attributes of type String.</summary>
    Task SendAsync(string queueUrl, string body, IReadOnlyDictionary<string, string> attributes, CancellationToken cancellationToken);

    /// <summary>Takes at most <paramref name="max"/> (1..10) messages, waiting at most <paramref name="wait"/> (0..20 s) for the first.</summary>
    Task<IReadOnlyList<QueueMessage>> ReceiveAsync(string queueUrl, int max, TimeSpan wait, TimeSpan visibility, CancellationToken cancellationToken);

    /// <summary>Deletes a message.</summary>
    Task DeleteAsync(string queueUrl, string receiptHandle, CancellationToken cancellationToken);

    /// <summary>Changes how long a message stays invisible, from now.</summary>
    Task ChangeVisibilityAsync(string queueUrl, string receiptHandle, TimeSpan visibility, CancellationToken cancellationToken);
}
