using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Orleans.Serialization;
using Orleans.Timers;
using OrleansInference.Audit;
using OrleansInference.Dispatch;
using OrleansInference.Idempotency;
using OrleansInference.Jobs;
using OrleansInference.Latency;
using OrleansInference.Leases;
using OrleansInference.Persistence;
using OrleansInference.Routing;

namespace OrleansInference.Hosting;

/// <summary>Adds the router to a silo.</summary>
public static class OrleansInferenceSiloBuilderExtensions
{
    /// <summary>
    /// Adds the dispatcher, its leases and directories, and what the grains need. The host brings <see cref="Invocation.IModelRuntime"/>,
    /// <see cref="Capacity.IEndpointControl"/>, <see cref="Batch.ITransformJobs"/>, <see cref="Payloads.IObjectStore"/>,
    /// <see cref="Payloads.IMessageQueue"/>, a grain storage called <see cref="OrleansInferenceOptions.StorageName"/> and reminders;
    /// it may bring an <see cref="IAuditLog"/>, a <see cref="RouterClock"/> and <see cref="IWebhooks"/>.
    /// </summary>
    public static ISiloBuilder AddOrleansInference(this ISiloBuilder builder, Action<OrleansInferenceOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.ConfigureServices(services =>
        {
            services.AddOptions<OrleansInferenceOptions>()
                .Configure(options => configure?.Invoke(options))
                .Validate(options => options.MaxAttempts >= 1, "MaxAttempts must be at least 1.")
                .Validate(options => options.MaxProbes >= 1, "MaxProbes must be at least 1.")
                .Validate(options => options.HedgeQuantile is 0 or (>= Hedging.LeastQuantile and <= 1), "HedgeQuantile must be 0 or 0.5 to 1.")
                .Validate(options => options.MaxHedgeShare is >= 0 and <= 1, "MaxHedgeShare must be 0 to 1.")
                .Validate(options => options.MaxInFlight >= 1, "MaxInFlight must be at least 1.")
                .Validate(options => options.MaxBodyBytes >= 1, "MaxBodyBytes must be at least 1.")
                .Validate(options => options.MaxHeldJobs is >= 0 and <= 100_000, "MaxHeldJobs must be 0 to 100,000.")
                .Validate(options => options.LimitChange >= TimeSpan.FromSeconds(3) && options.LimitChange <= TimeSpan.FromSeconds(20), "LimitChange must be 3 to 20 seconds.")
                .Validate(options => options.InlineWait >= TimeSpan.Zero, "InlineWait must not be negative.")
                .Validate(options => options.WebhookRetryFor > TimeSpan.Zero, "WebhookRetryFor must be positive.")
                .Validate(options => options.MinPollInterval >= TimeSpan.FromMilliseconds(1), "MinPollInterval must be at least 1 ms.")
                .Validate(options => options.MaxPollInterval >= options.MinPollInterval, "MaxPollInterval must be at least MinPollInterval.")
                .Validate(options => options.WindowPollInterval >= TimeSpan.FromMilliseconds(1), "WindowPollInterval must be at least 1 ms.")
                .ValidateOnStart();

            // What S3, SQS and SageMaker refuse a grain may have to be told to another silo.
            services.Configure<ExceptionSerializationOptions>(static options => options.SupportedNamespacePrefixes.Add("Amazon"));
            services.TryAddSingleton(_ => new RouterClock(TimeProvider.System));
            services.TryAddSingleton<IAuditLog>(_ => new MemoryAuditLog());
            services.AddSingleton<LeaseHolderIdentity>();
            services.AddSingleton<LatencyRecorder>(_ => new());
            services.AddSingleton<Calibration>();
            services.AddSingleton<TenantAccounts>();
            services.AddSingleton<EndpointAccounts>();
            services.AddSingleton<RoutingDirectory>();
            services.AddSingleton<DecisionLog>();
            services.AddSingleton<RouteOutcomes>();
            services.AddSingleton<IRouteOutcomes>(provider => provider.GetRequiredService<RouteOutcomes>());
            services.AddSingleton<RequestPlanner>();
            services.AddSingleton<CallLimits>();
            services.AddSingleton<ModelCaller>();
            services.AddSingleton<Permits>();
            services.AddSingleton<Hedger>();
            services.AddSingleton<JobsInLine>();
            services.AddSingleton<JobHandOver>();
            services.AddSingleton<AnswerStore>();
            services.AddSingleton<KeyedRequests>();
            services.AddSingleton<Dispatcher>();
            services.AddSingleton<IDispatcher>(provider => provider.GetRequiredService<Dispatcher>());
            services.AddJobs();
            services.AddSingleton<RouterBeat>();
            services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(provider => provider.GetRequiredService<RouterBeat>());
            AddStoppableTimers(services);
            KeepStateUnmoved(services);
        });
    }

    private static void KeepStateUnmoved(IServiceCollection services)
    {
        // The runtime's own factory, put under a key of its own.
        if (services.LastOrDefault(static service => service.ServiceType == typeof(IPersistentStateFactory) && !service.IsKeyedService) is not { ImplementationType: { } type } own)
        {
            return;
        }

        services.Remove(own);
        services.AddKeyedSingleton(typeof(IPersistentStateFactory), typeof(UnmovedState), type);
        services.AddSingleton<IPersistentStateFactory>(static provider => new UnmovedState(provider.GetRequiredKeyedService<IPersistentStateFactory>(typeof(UnmovedState))));
    }

    private static void AddStoppableTimers(IServiceCollection services)
    {
        // The runtime's own registry, put under a key of its own.
        if (services.LastOrDefault(static service => service.ServiceType == typeof(ITimerRegistry) && !service.IsKeyedService) is not { ImplementationType: { } type } own)
        {
            return;
        }

        services.Remove(own);
        services.AddKeyedSingleton(typeof(ITimerRegistry), typeof(StoppableTimers), type);
        services.AddSingleton(static provider => new StoppableTimers(provider.GetRequiredKeyedService<ITimerRegistry>(typeof(StoppableTimers))));
        services.AddSingleton<ITimerRegistry>(static provider => provider.GetRequiredService<StoppableTimers>());
        services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(static provider => provider.GetRequiredService<StoppableTimers>());
    }
}
