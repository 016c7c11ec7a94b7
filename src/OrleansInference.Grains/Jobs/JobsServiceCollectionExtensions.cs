using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OrleansInference.Batch;

namespace OrleansInference.Jobs;

/// <summary>Registers the jobs of a silo.</summary>
internal static class JobsServiceCollectionExtensions
{
    /// <summary>Adds the submitter, the directory, the lanes, the batches and the notification listener.</summary>
    internal static IServiceCollection AddJobs(this IServiceCollection services)
    {
        services.TryAddSingleton<IJobSubmitter, JobSubmitter>();
        services.TryAddSingleton<IJobs, JobDirectory>();
        services.TryAddSingleton<AsyncLane>();
        services.TryAddSingleton<BatchLane>();
        services.TryAddSingleton<DeferredLane>();
        services.TryAddSingleton<WindowFiles>();
        services.TryAddSingleton<WindowAudit>();
        services.TryAddSingleton<BatchFiles>();
        services.TryAddSingleton<BatchAdmission>();
        services.TryAddSingleton<IBatches, BatchDirectory>();
        services.TryAddSingleton<JobReplies>();
        services.TryAddSingleton<Funding>();
        services.TryAddSingleton<JobWorld>();
        services.TryAddSingleton<NotificationListener>();
        services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(static provider => provider.GetRequiredService<NotificationListener>());
        return services;
    }
}
