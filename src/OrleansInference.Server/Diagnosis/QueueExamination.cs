using System.Globalization;
using Amazon.SQS;
using Amazon.SQS.Model;

namespace OrleansInference.Diagnosis;

/// <summary>Looks at a queue without touching its messages: each receipt would count towards its dead letters.</summary>
internal static class QueueExamination
{
    private const string NoReceipt = "doctor-gives-a-receipt-that-is-none";

    /// <summary>How many messages wait; null if there is no such queue.</summary>
    public static async Task<int?> WaitingAsync(IServiceProvider aws, string queue, CancellationToken cancellationToken)
    {
        var sqs = aws.GetRequiredService<IAmazonSQS>();
        try
        {
            var url = await UrlAsync(sqs, queue, cancellationToken);
            var attributes = await sqs.GetQueueAttributesAsync(url, [QueueAttributeName.ApproximateNumberOfMessages], cancellationToken);
            return attributes.Attributes is { } found && found.TryGetValue(QueueAttributeName.ApproximateNumberOfMessages, out var text) ? int.Parse(text, CultureInfo.InvariantCulture) : 0;
        }
        catch (QueueDoesNotExistException)
        {
            return null;
        }
    }

    /// <summary>Tries whether messages may be deleted and kept hidden, by a receipt that is none.</summary>
    public static async Task TryReceiverAsync(IServiceProvider aws, string queue, CancellationToken cancellationToken)
    {
        var sqs = aws.GetRequiredService<IAmazonSQS>();
        var url = await UrlAsync(sqs, queue, cancellationToken);
        await RefusedAsync(() => sqs.DeleteMessageAsync(url, NoReceipt, cancellationToken));
        await RefusedAsync(() => sqs.ChangeMessageVisibilityAsync(url, NoReceipt, 0, cancellationToken));
    }

    private static async Task<string> UrlAsync(IAmazonSQS sqs, string queue, CancellationToken cancellationToken) =>
        queue.Contains("://", StringComparison.Ordinal) ? queue : (await sqs.GetQueueUrlAsync(queue, cancellationToken)).QueueUrl;

    private static async Task RefusedAsync(Func<Task> call)
    {
        try
        {
            await call();
        }
        catch (AmazonSQSException exception) when (exception is ReceiptHandleIsInvalidException || exception.ErrorCode is "ReceiptHandleIsInvalid" or "InvalidParameterValue")
        {
            // It was permitted, and there is no such receipt.
        }
    }
}
