using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Models;

/// <summary>A model of a multi-model endpoint.</summary>
/// <param name="Simulation">What it does with requests.</param>
/// <param name="Load">How long it takes to be loaded.</param>
internal sealed record HostedModel(ModelSimulation Simulation, TimeSpan Load);

/// <summary>
/// The memory of a multi-model endpoint's instances, taken together: a model is loaded at its first request, and the one that was not used for longest
/// makes room. Those who ask for a model that is being loaded wait for it.
/// </summary>
/// <param name="name">The endpoint's, for errors.</param>
/// <param name="delay">Waits on the models' clock.</param>
/// <param name="stopping">The server stops.</param>
internal sealed class ModelMemory(string name, Func<TimeSpan, CancellationToken, Task> delay, CancellationToken stopping)
{
    /// <summary>A load that lasts longer is answered with ModelNotReadyException instead of waiting.</summary>
    private static readonly TimeSpan MaxLoadWait = TimeSpan.FromSeconds(60);

    private readonly Lock _gate = new();
    private readonly LinkedList<(string Model, Task Load)> _byUse = new();

    /// <summary>Models in memory or being loaded, the last used first.</summary>
    public IReadOnlyList<string> Loaded
    {
        get
        {
            lock (_gate)
            {
                return [.. _byUse.Select(static entry => entry.Model)];
            }
        }
    }

    /// <summary>Waits until the model is in memory.</summary>
    /// <param name="target">Its name.</param>
    /// <param name="model">The model.</param>
    /// <param name="capacity">Models that fit, at least 1.</param>
    /// <param name="loads">Called if this request has it loaded.</param>
    /// <exception cref="AwsFault">Its load takes too long to be waited for; it goes on.</exception>
    public async Task UseAsync(string target, HostedModel model, int capacity, Action loads)
    {
        Task load;
        lock (_gate)
        {
            var node = _byUse.First;
            while (node is not null && node.Value.Model != target)
            {
                node = node.Next;
            }

            if (node is null)
            {
                loads();
                node = new((target, model.Load > TimeSpan.Zero ? delay(model.Load, stopping) : Task.CompletedTask));
            }
            else
            {
                _byUse.Remove(node);
            }

            _byUse.AddFirst(node);
            while (_byUse.Count > Math.Max(1, capacity))
            {
                _byUse.RemoveLast();
            }

            load = node.Value.Load;
        }

        if (!load.IsCompleted && model.Load > MaxLoadWait)
        {
            throw new AwsFault(429, "ModelNotReadyException", $"Model '{target}' of endpoint '{name}' is still being loaded. Try again in a while.");
        }

        await load;
    }
}
