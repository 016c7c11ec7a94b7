using System.Collections.Concurrent;
using System.Collections.Immutable;

namespace OrleansInference.Latency;

/// <summary>
/// A silo's latency samples since it last drained them, by endpoint, phase and size class. Recording is lock-free,
/// striped over cores and allocates nothing once a series has been used. Bounded by the endpoints of the catalog:
/// <see cref="Forget"/> those that are gone.
/// </summary>
public sealed class LatencyRecorder
{
    private readonly ConcurrentDictionary<EndpointName, LatencySeries> _series = new();
    private readonly int _stripes;

    /// <summary>A recorder striped for this machine's processors.</summary>
    public LatencyRecorder()
        : this(Environment.ProcessorCount)
    {
    }

    /// <summary>A recorder striped for a number of processors; beyond 16, processors share stripes.</summary>
    public LatencyRecorder(int processors)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(processors, 1);
        _stripes = (int)Math.Min(16, System.Numerics.BitOperations.RoundUpToPowerOf2((uint)processors));
    }

    /// <summary>The series of an endpoint; keep it to record without a look-up.</summary>
    public LatencySeries SeriesOf(EndpointName endpoint) =>
        _series.TryGetValue(endpoint, out var series) ? series : _series.GetOrAdd(endpoint, static (name, stripes) => new(name, stripes), _stripes);

    /// <summary>Records one sample. <paramref name="sizeClass"/> counts for <see cref="LatencyPhase.Service"/> only.</summary>
    public void Record(EndpointName endpoint, LatencyPhase phase, int sizeClass, double milliseconds) => SeriesOf(endpoint).Record(phase, sizeClass, milliseconds);

    /// <summary>Takes out everything recorded since the last drain; a sample recorded meanwhile is in this drain or a later one, never in two.</summary>
    public ImmutableArray<SketchDelta> Drain()
    {
        var deltas = ImmutableArray.CreateBuilder<SketchDelta>();
        foreach (var (_, series) in _series)
        {
            series.DrainTo(deltas);
        }

        return deltas.ToImmutable();
    }

    /// <summary>Takes out what was recorded for the given endpoints (those of one model).</summary>
    public ImmutableArray<SketchDelta> Drain(ReadOnlySpan<EndpointName> endpoints)
    {
        var deltas = ImmutableArray.CreateBuilder<SketchDelta>();
        foreach (var endpoint in endpoints)
        {
            if (_series.TryGetValue(endpoint, out var series))
            {
                series.DrainTo(deltas);
            }
        }

        return deltas.ToImmutable();
    }

    /// <summary>Drops an endpoint that is gone, with what was recorded for it.</summary>
    public void Forget(EndpointName endpoint) => _series.TryRemove(endpoint, out _);
}
