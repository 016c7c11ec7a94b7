using System.Globalization;
using Amazon.SQS;
using Amazon.SQS.Model;
using OrleansInference.Payloads;

namespace OrleansInference.Aws.Payloads;

/// <summary>Queues in SQS, through the official SDK.</summary>
internal sealed class SqsMessageQueue(IAmazonSQS sqs, CreationTags creation) : IMessageQueue
{
    private const string ReceiveCount = "ApproximateReceiveCount";
    private const string SentTimestamp = "SentTimestamp";
    private const string AllAttributes = "All";
    private const string InvalidValue = "InvalidParameterValue";
    private static readonly Dictionary<string, MessageAttribute> NoAttributes = [];

    public async Task<string?> ResolveAsync(string queueName, bool create, CancellationToken cancellationToken)
    {
        if (queueName.Contains("://", StringComparison.Ordinal))
        {
            return queueName;
        }

        try
        {
            return (await sqs.GetQueueUrlAsync(queueName, cancellationToken).ConfigureAwait(false)).QueueUrl;
        }
        catch (QueueDoesNotExistException)
        {
            // Creating a queue that exists with the same attributes gives its URL: racing silos agree.
            return create ? await CreateAsync(queueName, cancellationToken).ConfigureAwait(false) : null;
        }
    }

    public async Task SendAsync(string queueUrl, string body, IReadOnlyDictionary<string, MessageAttribute> attributes, CancellationToken cancellationToken)
    {
        try
        {
            await sqs.SendMessageAsync(
                new SendMessageRequest
                {
                    QueueUrl = queueUrl,
                    MessageBody = body,
                    MessageAttributes = attributes.ToDictionary(static pair => pair.Key, static pair => ToSqs(pair.Value)),
                },
                cancellationToken).ConfigureAwait(false);
        }
        catch (AmazonSQSException exception) when (exception.ErrorCode?.StartsWith(InvalidValue, StringComparison.Ordinal) is true)
        {
            throw new MessageRefusedException(exception.Message, exception);
        }
    }

    public async Task<IReadOnlyList<QueueMessage>> ReceiveAsync(string queueUrl, int max, TimeSpan wait, TimeSpan visibility, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(max, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(max, 10);
        ArgumentOutOfRangeException.ThrowIfLessThan(wait, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(wait, TimeSpan.FromSeconds(20));
        var answer = await sqs.ReceiveMessageAsync(
            new ReceiveMessageRequest
            {
                QueueUrl = queueUrl,
                MaxNumberOfMessages = max,
                WaitTimeSeconds = Seconds(wait),
                VisibilityTimeout = Seconds(visibility),
                MessageSystemAttributeNames = [ReceiveCount, SentTimestamp],
                MessageAttributeNames = [AllAttributes],
            },
            cancellationToken).ConfigureAwait(false);
        return [.. (answer.Messages ?? []).Select(message => new QueueMessage(message.MessageId, message.ReceiptHandle, message.Body ?? "", (int)(NumberOf(message, ReceiveCount) ?? 1), SentAt(message), AttributesOf(message)))];
    }

    public Task DeleteAsync(string queueUrl, string receiptHandle, CancellationToken cancellationToken) =>
        sqs.DeleteMessageAsync(queueUrl, receiptHandle, cancellationToken);

    public Task ChangeVisibilityAsync(string queueUrl, string receiptHandle, TimeSpan visibility, CancellationToken cancellationToken) =>
        sqs.ChangeMessageVisibilityAsync(queueUrl, receiptHandle, Seconds(visibility), cancellationToken);

    private async Task<string> CreateAsync(string queueName, CancellationToken cancellationToken)
    {
        try
        {
            return (await sqs.CreateQueueAsync(new CreateQueueRequest { QueueName = queueName, Tags = creation.Tags.Count == 0 ? null : new(creation.Tags) }, cancellationToken).ConfigureAwait(false)).QueueUrl;
        }
        catch (AmazonSQSException failure) when (creation.MayBeWhy(failure.ErrorCode))
        {
            // If it is not the tags, this fails alike.
            var url = (await sqs.CreateQueueAsync(queueName, cancellationToken).ConfigureAwait(false)).QueueUrl;
            creation.Untagged("Queue", queueName, failure.Message, "sqs:TagQueue");
            return url;
        }
    }

    private static long? NumberOf(Message message, string attribute) =>
        message.Attributes is { } attributes && attributes.TryGetValue(attribute, out var text)
            && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : null;

    private static DateTimeOffset? SentAt(Message message) =>
        NumberOf(message, SentTimestamp) is { } milliseconds ? DateTimeOffset.FromUnixTimeMilliseconds(milliseconds) : null;

    private static Dictionary<string, MessageAttribute> AttributesOf(Message message) => message.MessageAttributes is { Count: > 0 } attributes
        ? attributes.ToDictionary(static pair => pair.Key, static pair => new MessageAttribute(pair.Value.DataType, pair.Value.StringValue, pair.Value.BinaryValue?.ToArray()), StringComparer.Ordinal)
        : NoAttributes;

    private static MessageAttributeValue ToSqs(MessageAttribute attribute) => attribute.Text is { } text
        ? new() { DataType = attribute.DataType, StringValue = text }
        : new() { DataType = attribute.DataType, BinaryValue = new(attribute.Bytes.ToArray(), writable: false) };

    /// <summary>Whole seconds, rounded up: a message must not come back while it is still being worked on.</summary>
    private static int Seconds(TimeSpan time) => (int)Math.Ceiling(time.TotalSeconds);
}
