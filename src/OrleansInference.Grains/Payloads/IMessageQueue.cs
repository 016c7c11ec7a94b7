namespace OrleansInference.Payloads;

/// <summary>A message taken from a queue, invisible to others for a while.</summary>
public sealed record QueueMessage(string MessageId, string ReceiptHandle, string Body, int ReceiveCount);

/// <summary>SQS, as far as it is used.</summary>
public interface IMessageQueue
{
    /// <summary>The queue's URL; creates the queue if <paramref name="create"/> and there is none, else null.</summary>
    Task<string?> ResolveAsync(string queueName, bool create, CancellationToken cancellationToken);

    /// <summary>Sends a message.</summary>
    Task SendAsync(string queueUrl, string body, CancellationToken cancellationToken);

    /// <summary>Takes at most <paramref name="max"/> (1..10) messages, waiting at most <paramref name="wait"/> (0..20 s) for the first.</summary>
    Task<IReadOnlyList<QueueMessage>> ReceiveAsync(string queueUrl, int max, TimeSpan wait, TimeSpan visibility, CancellationToken cancellationToken);

    /// <summary>Deletes a message.</summary>
    Task DeleteAsync(string queueUrl, string receiptHandle, CancellationToken cancellationToken);

    /// <summary>Changes how long a message stays invisible, from now.</summary>
    Task ChangeVisibilityAsync(string queueUrl, string receiptHandle, TimeSpan visibility, CancellationToken cancellationToken);
}
