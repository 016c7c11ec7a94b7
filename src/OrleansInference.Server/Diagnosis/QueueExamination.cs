using System.Globalization;
using Amazon.SQS;
using Amazon.SQS.Model;

namespace OrleansInference.Diagnosis;

/// <summary>Looks at a queue without touching its messages: each receipt would count towards its dead letters.</summary>
internal static class QueueExamination
{
    /// <summary>How many messages wait; null if there is no such queue.</summary>
    public static async Task<int?> WaitingAsync(IServiceProvider aws, string queue, CancellationToken cancellationToken)
    {
        var sqs = aws.GetRequiredService<IAmazonSQS>();
        try
        {
            var url = queue.Contains("://", StringComparison.Ordinal) ? queue : (await sqs.GetQueueUrlAsync(queue, cancellationToken)).QueueUrl;
            var attributes = await sqs.GetQueueAttributesAsync(url, [QueueAttributeName.ApproximateNumberOfMessages], cancellationToken);
            return attributes.Attributes is { } found && found.TryGetValue(QueueAttributeName.ApproximateNumberOfMessages, out var text) ? int.Parse(text, CultureInfo.InvariantCulture) : 0;
        }
        catch (QueueDoesNotExistException)
        {
            return null;
        }
    }
}
