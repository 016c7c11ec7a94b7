using OrleansInference.Payloads;
using OrleansInference.Telemetry;

namespace OrleansInference.Jobs;

/// <summary>Sends replies to the queues that requests name.</summary>
public sealed class JobReplies(IMessageQueue queue, IObjectStore objects)
{
    private static readonly Dictionary<string, string> NoAttributes = [];

    /// <summary>Sends a reply, with the stored result if that is small. Throws if the queue or the store cannot be reached: then it may be sent again.</summary>
    public async Task SendAsync(JobReply reply, ReplyTo to, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(reply);
        ArgumentNullException.ThrowIfNull(to);
        var url = await queue.ResolveAsync(to.Queue, create: false, cancellationToken)
            ?? throw new InvalidOperationException($"There is no queue '{to.Queue}' to reply to.");
        if (reply.Result is null && S3Address.TryParse(reply.OutputLocation, out var output) && await objects.GetAsync(output.Bucket, output.Key, cancellationToken) is { } stored)
        {
            reply = reply with { Result = stored.Body, ContentType = reply.ContentType ?? stored.ContentType };
        }

        await queue.SendAsync(url, reply.ToJson(to.CorrelationId), NoAttributes, cancellationToken);
        RouterTelemetry.Replied(reply.State);
    }
}
