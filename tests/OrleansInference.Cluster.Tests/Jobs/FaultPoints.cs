using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Storage;
using OrleansInference.Audit;
using OrleansInference.Batch;
using OrleansInference.Hosting;
using OrleansInference.Invocation;
using OrleansInference.Jobs;
using OrleansInference.Payloads;

namespace OrleansInference.Tests.Jobs;

/// <summary>
/// Every await of a watched grain on something outside of it is a point: what is stored, objects, SageMaker, the audit log, queues, webhooks, calls
/// of other grains. Each is named by what it is and by how often that grain has done it. At a point that was planned for a grain its activation
/// crashes: the answer never reaches it, whatever it does afterwards has no effect, and its memory is gone.
/// </summary>
internal sealed class FaultPoints
{
    // What is done as often as time allows, and changes nothing when it is done again.
    private static readonly string[] Looks = ["Get", "GetAsync", "ResolveAsync", "ListAsync", "DescribeAsync", "ExistsAsync", "GetView", "GetReminder", "Defer"];

    private readonly ConcurrentDictionary<string, string> _plans = new();
    private readonly ConcurrentDictionary<ActivationId, bool> _crashed = new();
    private readonly ConcurrentDictionary<(string Grain, string Operation), int> _counts = new();
    private readonly ConcurrentDictionary<string, ConcurrentQueue<string>> _passed = new();
    private readonly ConcurrentDictionary<string, bool> _hit = new();

    /// <summary>Crashes a grain, once, at a point.</summary>
    public void Plan(string grainKey, string point) => _plans[grainKey] = point;

    /// <summary>Whether the grain has crashed at its point.</summary>
    public bool IsHit(string grainKey) => _hit.ContainsKey(grainKey);

    /// <summary>The points that a grain has passed, in order. How often something is looked for depends on time: the first time counts. An endpoint's configuration is known for seconds, so that most do not ask for it.</summary>
    public IReadOnlyList<string> Passed(string grainKey) => [.. _passed.GetValueOrDefault(grainKey, []).Where(static point => !IsLookAgain(point)).Distinct()];

    public void Decorate(ISiloBuilder silo)
    {
        silo.AddOutgoingGrainCallFilter(async context =>
        {
            var name = $"{context.InterfaceName.Split('.')[^1]}.{context.MethodName}";
            await PassAsync(context.SourceContext, name, async () =>
            {
                await context.Invoke();
                return true;
            });
        });

        // What it would have answered reaches nobody.
        silo.AddIncomingGrainCallFilter(async context =>
        {
            await context.Invoke();
            RequireAlive(context.TargetContext);
        });
        var services = silo.Services;
        Decorate<IObjectStore>(services);
        Decorate<ITransformJobs>(services);
        Decorate<IModelRuntime>(services);
        Decorate<IAuditLog>(services);
        Decorate<IMessageQueue>(services);
        Decorate<IWebhooks>(services);
        var inner = services.Last(descriptor => descriptor.ServiceType == typeof(IGrainStorage) && Equals(descriptor.ServiceKey, OrleansInferenceOptions.StorageName));
        services.Remove(inner);
        services.AddKeyedSingleton<IGrainStorage>(
            OrleansInferenceOptions.StorageName,
            (provider, key) => new Storage(this, provider.GetRequiredService<IGrainContextAccessor>(), (IGrainStorage)(inner.KeyedImplementationFactory is { } make ? make(provider, key) : ActivatorUtilities.CreateInstance(provider, inner.KeyedImplementationType!))));
    }

    private static bool IsLookAgain(string point)
    {
        var parts = point.Split([':', '#', '@']);
        return parts[1] == "IEndpointGrain.GetView" || Looks.Contains(parts[1].Split('.')[^1]) && parts[2] != "1";
    }

    private void Decorate<T>(IServiceCollection services)
        where T : class
    {
        var service = services.Last(service => service.ServiceType == typeof(T));
        services.Remove(service);
        services.AddSingleton(provider =>
        {
            var proxy = DispatchProxy.Create<T, Proxy>();
            ((Proxy)(object)proxy).Set(this, provider.GetRequiredService<IGrainContextAccessor>(), typeof(T).Name, service.ImplementationFactory?.Invoke(provider) ?? service.ImplementationInstance ?? ActivatorUtilities.CreateInstance(provider, service.ImplementationType!));
            return proxy;
        });
    }

    private async Task<T> PassAsync<T>(IGrainContext? context, string operation, Func<Task<T>> act)
    {
        // Orleans' own directory is asked by whoever calls first, not by a step of the grain.
        if (context is null || context.GrainInstance is not (IJobGrain or IBatchGrain or IBatchWindowGrain) || operation.StartsWith("IGrainDirectory", StringComparison.Ordinal))
        {
            return await act();
        }

        RequireAlive(context);
        var grain = $"{context.GrainId.Key}";
        var type = context.GrainInstance.GetType().Name;
        var number = _counts.AddOrUpdate((grain, operation), 1, static (_, count) => count + 1);
        var point = string.Create(CultureInfo.InvariantCulture, $"{type}:{operation}#{number}");
        Reach(context, grain, point + "@before");
        var result = await act();
        RequireAlive(context);
        Reach(context, grain, point + "@after");
        return result;
    }

    private void RequireAlive(IGrainContext context)
    {
        if (_crashed.ContainsKey(context.ActivationId))
        {
            throw new CrashException();
        }
    }

    private void Reach(IGrainContext context, string grain, string point)
    {
        _passed.GetOrAdd(grain, static _ => new()).Enqueue(point);
        if (_plans.TryGetValue(grain, out var plan) && plan == point && _hit.TryAdd(grain, true))
        {
            _crashed[context.ActivationId] = true;
            context.Deactivate(new(DeactivationReasonCode.ApplicationError, point));
            throw new CrashException();
        }
    }

    [SuppressMessage("Performance", "CA1852:Seal internal types", Justification = "The proxy is a type derived from it.")]
    private class Proxy : DispatchProxy
    {
        private FaultPoints? _points;
        private IGrainContextAccessor? _contexts;
        private string _name = "";
        private object? _inner;

        public void Set(FaultPoints points, IGrainContextAccessor contexts, string name, object inner) => (_points, _contexts, _name, _inner) = (points, contexts, name, inner);

        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
        {
            var context = _contexts!.GrainContext;
            var operation = $"{_name}.{targetMethod!.Name}";
            if (targetMethod.ReturnType == typeof(Task))
            {
                return _points!.PassAsync(context, operation, async () =>
                {
                    await (Task)Call()!;
                    return true;
                });
            }

            if (targetMethod.ReturnType.IsGenericType && targetMethod.ReturnType.GetGenericTypeDefinition() == typeof(Task<>))
            {
                return typeof(Proxy).GetMethod(nameof(PassAsync), BindingFlags.NonPublic | BindingFlags.Instance)!
                    .MakeGenericMethod(targetMethod.ReturnType.GetGenericArguments())
                    .Invoke(this, [context, operation, (Func<object?>)Call]);
            }

            return Call();

            object? Call() => targetMethod.Invoke(_inner, args);
        }

        private Task<T> PassAsync<T>(IGrainContext? context, string operation, Func<object?> call) => _points!.PassAsync(context, operation, () => (Task<T>)call()!);
    }

    private sealed class Storage(FaultPoints points, IGrainContextAccessor contexts, IGrainStorage inner) : IGrainStorage, ILifecycleParticipant<ISiloLifecycle>
    {
        public void Participate(ISiloLifecycle observer) => (inner as ILifecycleParticipant<ISiloLifecycle>)?.Participate(observer);

        public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) => inner.ReadStateAsync(stateName, grainId, grainState);

        public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
            points.PassAsync(contexts.GrainContext, "storage.Write", async () =>
            {
                await inner.WriteStateAsync(stateName, grainId, grainState);
                return true;
            });

        public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
            points.PassAsync(contexts.GrainContext, "storage.Clear", async () =>
            {
                await inner.ClearStateAsync(stateName, grainId, grainState);
                return true;
            });
    }

    private sealed class CrashException : Exception;
}
