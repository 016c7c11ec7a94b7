using OrleansInference.Payloads;
using OrleansInference.Telemetry;

namespace OrleansInference.Jobs;

/// <summary>Tells ends to the queues and webhooks that requests name.</summary>
public sealed class JobReplies(IMessageQueue queue, IObjectStore objects, IWebhooks? webhooks = null)
{
    private static readonly Dictionary<string, MessageAttribute> NoAttributes = [];

    /// <summary>Sends a reply to a queue. Throws if the queue or the store cannot be reached: then it may be sent again.</summary>
    public async Task SendAsync(JobReply reply, string queueName, string? correlationId, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(reply);
        var url = await queue.ResolveAsync(queueName, create: false, cancellationToken)
            ?? throw new InvalidOperationException($"There is no queue '{queueName}' to reply to.");
        await queue.SendAsync(url, (await WithResultAsync(reply, cancellationToken)).ToJson(correlationId), NoAttributes, cancellationToken);
        RouterTelemetry.Replied(reply.State);
    }

    /// <summary>Tells a job's end, with the stored result if that is small. Throws if a queue or the store cannot be reached: then it may be told again.</summary>
    /// <param name="reply">The end.</param>
    /// <param name="to">Whom it is told.</param>
    /// <param name="id">Id of the message, the same one however often it is told.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task<ReplyOutcome> TellAsync(JobReply reply, ReplyTo to, string id, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(reply);
        ArgumentNullException.ThrowIfNull(to);
        if (to.Webhook is not { } url)
        {
            await SendAsync(reply, to.Queue!, to.CorrelationId, cancellationToken);
            return ReplyOutcome.Sent;
        }

        if (webhooks is null)
        {
            return new(ReplyFate.Failed, "This deployment posts no webhooks.");
        }

        reply = await WithResultAsync(reply, cancellationToken);
        var outcome = await webhooks.PostAsync(new(reply.Tenant!), url, id, reply.ToJson(to.CorrelationId), cancellationToken);
        if (outcome.Fate == ReplyFate.Sent)
        {
            RouterTelemetry.Replied(reply.State);
        }

        return outcome;
    }

    private async Task<JobReply> WithResultAsync(JobReply reply, CancellationToken cancellationToken) =>
        reply.Result is null && S3Address.TryParse(reply.OutputLocation, out var output) && await objects.GetAsync(output.Bucket, output.Key, JobReply.MaxBytes, cancellationToken) is { } stored
            ? reply with { Result = stored.Length <= JobReply.MaxBytes ? stored.Body : (ReadOnlyMemory<byte>?)null, ContentType = reply.ContentType ?? stored.ContentType }
            : reply;
}
