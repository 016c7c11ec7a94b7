namespace OrleansInference.Jobs;

/// <summary>Posts the ends of jobs to webhooks. A host that has none takes no requests that name one.</summary>
public interface IWebhooks
{
    /// <summary>Why nothing could be posted to an address for a tenant; null if it may be. What its name resolves to is seen only when it is posted to.</summary>
    ValueTask<string?> FindProblemAsync(TenantId tenant, string url);

    /// <summary>Posts a message, signed with the tenant's secrets. Never throws for what a receiver may do wrong.</summary>
    /// <param name="tenant">Whose it is.</param>
    /// <param name="url">The webhook.</param>
    /// <param name="id">Id of the message, the same one however often it is posted; without a dot.</param>
    /// <param name="body">JSON.</param>
    /// <param name="cancellationToken">Gives up.</param>
    Task<ReplyOutcome> PostAsync(TenantId tenant, string url, string id, string body, CancellationToken cancellationToken);
}
