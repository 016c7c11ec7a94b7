namespace OrleansInference.Batch;

/// <summary>A tenant's batches, for the front door. A batch's key begins with its tenant, so another's cannot be named.</summary>
public interface IBatches
{
    /// <summary>
    /// Stores the records and begins a batch; answers its id as that of a job once it is durable, or a problem. The request's maximum charge is
    /// for all records together, its token counts are for each. Never throws for what a caller may do wrong or for what AWS may do;
    /// what <paramref name="lines"/> throws is thrown.
    /// </summary>
    /// <param name="request">The request, without a body.</param>
    /// <param name="lines">The records as JSON lines; null to take those of the objects below <see cref="InferenceRequest.InputLocation"/>.</param>
    /// <param name="cancellationToken">The caller gives up.</param>
    Task<InferenceOutcome> SubmitAsync(InferenceRequest request, Stream? lines, CancellationToken cancellationToken);

    /// <summary>The batch, waiting at most <paramref name="wait"/> for its end; null if the tenant has none of that id.</summary>
    Task<BatchView?> GetAsync(TenantId tenant, string batchId, TimeSpan wait, CancellationToken cancellationToken);

    /// <summary>Cancels a batch unless it has ended; null if the tenant has none of that id.</summary>
    Task<BatchView?> CancelAsync(TenantId tenant, string batchId, CancellationToken cancellationToken);

    /// <summary>Results that are there, a page of them; null if the tenant has no batch of that id.</summary>
    /// <param name="tenant">The tenant.</param>
    /// <param name="batchId">The batch.</param>
    /// <param name="from">The record to begin at: 1 at first, then what the page before said.</param>
    /// <param name="cancellationToken">The caller gives up.</param>
    Task<BatchResultPage?> ReadAsync(TenantId tenant, string batchId, long from, CancellationToken cancellationToken);
}
