using Microsoft.Extensions.DependencyInjection;
using Orleans.Concurrency;
using OrleansInference.Batch;
using OrleansInference.Dispatch;
using OrleansInference.Jobs;

namespace OrleansInference.Routing;

/// <summary>
/// The dispatcher of a silo, for callers that are not on one. The dispatcher belongs to the silo, not to this activation:
/// its work runs outside of the grain's own scheduler.
/// </summary>
[StatelessWorker, Reentrant]
internal sealed class RouterGrain(IDispatcher dispatcher, IServiceProvider services) : Grain, IRouterGrain
{
    public Task<InferenceOutcome> Invoke(InferenceRequest request, CancellationToken cancellationToken) =>
        Task.Run(() => dispatcher.InvokeAsync(request, cancellationToken), CancellationToken.None);

    public Task<InferenceOutcomeOrExplanation> Explain(InferenceRequest request) =>
        Task.Run(() => dispatcher.ExplainAsync(request, CancellationToken.None));

    public Task<JobView?> GetJob(TenantId tenant, string jobId, TimeSpan wait) => Jobs.GetAsync(tenant, jobId, wait, CancellationToken.None);

    public Task<InferenceOutcome?> GetJobResult(TenantId tenant, string jobId) => Jobs.GetResultAsync(tenant, jobId, CancellationToken.None);

    public Task<JobView?> CancelJob(TenantId tenant, string jobId) => Jobs.CancelAsync(tenant, jobId, CancellationToken.None);

    public Task<InferenceOutcome> SubmitBatch(InferenceRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        var lines = request.InputLocation is null ? new MemoryStream(request.Body.ToArray(), writable: false) : null;
        return Task.Run(() => Batches.SubmitAsync(request with { Body = default }, lines, CancellationToken.None));
    }

    public Task<BatchView?> GetBatch(TenantId tenant, string batchId, TimeSpan wait) => Batches.GetAsync(tenant, batchId, wait, CancellationToken.None);

    public Task<BatchResultPage?> GetBatchResults(TenantId tenant, string batchId, long from) => Batches.ReadAsync(tenant, batchId, from, CancellationToken.None);

    public Task<BatchView?> CancelBatch(TenantId tenant, string batchId) => Batches.CancelAsync(tenant, batchId, CancellationToken.None);

    private IBatches Batches => services.GetRequiredService<IBatches>();

    private IJobs Jobs => services.GetRequiredService<IJobs>();
}
