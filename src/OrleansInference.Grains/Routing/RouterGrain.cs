using Microsoft.Extensions.DependencyInjection;
using Orleans.Concurrency;
using OrleansInference.Dispatch;
using OrleansInference.Jobs;

namespace OrleansInference.Routing;

/// <summary>The dispatcher of a silo, for callers that are not on one.</summary>
[StatelessWorker, Reentrant]
internal sealed class RouterGrain(IDispatcher dispatcher, IServiceProvider services) : Grain, IRouterGrain
{
    public Task<InferenceOutcome> Invoke(InferenceRequest request, CancellationToken cancellationToken) => dispatcher.InvokeAsync(request, cancellationToken);

    public Task<InferenceOutcomeOrExplanation> Explain(InferenceRequest request) => dispatcher.ExplainAsync(request, CancellationToken.None);

    public Task<JobView?> GetJob(TenantId tenant, string jobId, TimeSpan wait) => Jobs.GetAsync(tenant, jobId, wait, CancellationToken.None);

    public Task<InferenceOutcome?> GetJobResult(TenantId tenant, string jobId) => Jobs.GetResultAsync(tenant, jobId, CancellationToken.None);

    public Task<JobView?> CancelJob(TenantId tenant, string jobId) => Jobs.CancelAsync(tenant, jobId, CancellationToken.None);

    private IJobs Jobs => services.GetRequiredService<IJobs>();
}
