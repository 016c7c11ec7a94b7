using OrleansInference.Hosting;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Models;

/// <summary>An endpoint with its instances or environments. Its definition may be replaced; calls under way end under the old one.</summary>
internal sealed class SimulatedEndpoint
{
    /// <summary>A serverless start that lasts longer is answered with ModelNotReadyException instead of waiting.</summary>
    private static readonly TimeSpan MaxColdStartWait = TimeSpan.FromSeconds(60);

    private readonly RouterClock _clock;
    private readonly int _queuePerInstance;
    private readonly CancellationToken _stopping;
    private readonly SlotQueue _slots;
    private readonly ServerlessEnvironments _environments;
    private readonly ModelMemory _memory;
    private volatile EndpointDefinition _definition;
    private volatile IReadOnlyDictionary<string, HostedModel>? _hosted;

    public SimulatedEndpoint(EndpointDefinition definition, string variant, ModelSimulation model, int instances, int queuePerInstance, RouterClock clock, CancellationToken stopping)
    {
        _definition = definition;
        _clock = clock;
        _queuePerInstance = queuePerInstance;
        _stopping = stopping;
        Variant = variant;
        Model = model;
        CreatedAt = ChangedAt = clock.Now;
        _slots = new(0, 0);
        _environments = new(clock);
        _memory = new(definition.TargetName, DelayAsync, stopping);
        Instances = new(clock, instances, Resize);
        Resize(instances);
    }

    public string Name => _definition.TargetName;

    public EndpointDefinition Definition => _definition;

    public Lane Lane => _definition.Lane;

    public string Variant { get; private set; }

    public ModelSimulation Model { get; private set; }

    /// <summary>Of a multi-model endpoint: its models by SageMaker's TargetModel; null for one model.</summary>
    public IReadOnlyDictionary<string, HostedModel>? Hosted => _hosted;

    public Instances Instances { get; }

    public long CreatedAt { get; }

    public long ChangedAt { get; private set; }

    /// <summary>Takes a new definition of the same lane, keeping the instances.</summary>
    public void Redefine(EndpointDefinition definition, string variant, ModelSimulation model)
    {
        _definition = definition;
        Variant = variant;
        Model = model;
        ChangedAt = _clock.Now;
        Resize(Instances.State.Current);
    }

    /// <summary>Takes the models of a multi-model endpoint.</summary>
    public void Host(IReadOnlyDictionary<string, HostedModel>? models) => _hosted = models;

    /// <summary>The model that a request is for, in memory.</summary>
    /// <exception cref="AwsFault">It is gone, or still being loaded.</exception>
    public async Task<ModelSimulation> ModelAsync(string? target, InvocationLog.Entry entry)
    {
        if (target is null || _hosted is not { } hosted)
        {
            return Model;
        }

        var model = hosted.GetValueOrDefault(target) ?? throw NoSuchModel(target);
        await _memory.UseAsync(target, model, _definition.LoadedModels * Math.Max(1, Instances.State.Current), entry.ColdStart);
        return model.Simulation;
    }

    /// <summary>That the endpoint does not have a model.</summary>
    public AwsFault NoSuchModel(string target) => new(400, "ValidationError", $"Model '{target}' was not found for multi-model endpoint {Name}.");

    /// <summary>Wants another number of instances; false if a change is under way.</summary>
    public bool TryScale(int instances, Action persist)
    {
        ChangedAt = _clock.Now;
        return Instances.TryChange(instances, _definition.Simulation.StartSeconds, persist, _stopping);
    }

    /// <summary>Takes a slot, waiting in the container's queue or for a cold start. Release it with <see cref="Exit"/>.</summary>
    /// <exception cref="AwsFault">Throttled, or not ready.</exception>
    public async Task EnterAsync(InvocationLog.Entry entry, CancellationToken cancellationToken)
    {
        if (Lane == Lane.Serverless)
        {
            await EnterEnvironmentAsync(entry, cancellationToken);
        }
        else if (!await _slots.TryAcquireAsync(cancellationToken))
        {
            throw Throttled("too many requests wait for its instances; slow down or add instances");
        }

        entry.Start();
    }

    /// <summary>Gives the slot back.</summary>
    public void Exit()
    {
        if (Lane == Lane.Serverless)
        {
            _environments.Leave();
        }
        else
        {
            _slots.Release();
        }
    }

    public Task DelayAsync(TimeSpan span, CancellationToken cancellationToken) => _clock.DelayAsync(span, cancellationToken);

    private async Task EnterEnvironmentAsync(InvocationLog.Entry entry, CancellationToken cancellationToken)
    {
        switch (_environments.Enter(_definition, Instances.State.Current))
        {
            case ServerlessAdmission.Full:
                throw Throttled($"all {_definition.MaxInstances} concurrent executions are in use; slow down or raise MaxConcurrency");
            case ServerlessAdmission.Cold:
                entry.ColdStart();
                var start = TimeSpan.FromSeconds(_definition.Simulation.StartSeconds);
                if (start > MaxColdStartWait)
                {
                    _ = WarmUpAsync(start);
                    throw new AwsFault(429, "ModelNotReadyException", $"The resources of endpoint '{Name}' are still being provisioned. Try again in a while.");
                }

                try
                {
                    await DelayAsync(start, cancellationToken);
                }
                catch (OperationCanceledException)
                {
                    // The start goes on without the caller, and leaves a warm environment.
                    _ = WarmUpAsync(start);
                    throw;
                }

                break;
        }
    }

    private async Task WarmUpAsync(TimeSpan start)
    {
        try
        {
            await DelayAsync(start, _stopping);
        }
        catch (OperationCanceledException)
        {
            return;
        }

        _environments.Leave();
    }

    private void Resize(int instances) => _slots.Resize(
        instances * _definition.ConcurrencyPerInstance,
        Lane == Lane.Async ? int.MaxValue : instances * _queuePerInstance);

    private AwsFault Throttled(string reason) => new(400, "ThrottlingException", $"Rate exceeded for endpoint '{Name}': {reason}.");
}
