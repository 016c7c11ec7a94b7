using System.Collections.Immutable;

namespace OrleansInference.Latency;

/// <summary>
/// A model's latency statistics over the whole cluster: what its grain holds, merges and publishes. Bounded by the
/// endpoints of the model times phases times size classes. Not safe for concurrent use.
/// </summary>
public sealed class LatencyStatistics
{
    private readonly Dictionary<(EndpointName Endpoint, LatencyPhase Phase, int SizeClass), SlicedSketch> _sketches = [];
    private readonly Dictionary<string, (long Sequence, long At)> _seen = [];

    /// <summary>The most silos whose report sequence is remembered; the longest silent ones are forgotten first.</summary>
    public const int MaxHolders = 1024;

    /// <summary>For how long after the beginning better statistics than those may be <see cref="Recover">recovered</see>, in milliseconds.</summary>
    public const long RecoveryMs = 60_000;

    private const int MaxRecent = 4096;
    private readonly List<LatencyReport> _recent = [];
    private readonly long _since;
    private long _version;

    /// <summary>Statistics that begin with nothing, to which nothing can be recovered.</summary>
    public LatencyStatistics() => _version = long.MaxValue;

    /// <summary>Statistics that begin with what was stored or published earlier.</summary>
    /// <param name="earlier">As <see cref="Publish"/> and <see cref="Reported"/> gave it at the same moment.</param>
    /// <param name="now">Unix ms; what is old counts as of now.</param>
    /// <exception cref="ArgumentException">A delta does not fit the layout.</exception>
    public LatencyStatistics(LatencyRecovery earlier, long now)
    {
        ArgumentNullException.ThrowIfNull(earlier);
        (_version, _since) = (earlier.Version, now);
        Begin(earlier, now);
    }

    /// <summary>
    /// Begins anew with statistics that were published earlier, if they are newer than those that this began with and come soon enough. What was
    /// reported meanwhile is merged with them, as far as they do not have it. False if they were not taken.
    /// </summary>
    /// <exception cref="ArgumentException">A delta does not fit the layout; nothing has changed.</exception>
    public bool Recover(LatencyRecovery earlier, long now)
    {
        ArgumentNullException.ThrowIfNull(earlier);
        if (earlier.Version <= _version || now - _since > RecoveryMs)
        {
            return false;
        }

        RequireValid(earlier.Latency);
        _version = earlier.Version;
        _sketches.Clear();
        _seen.Clear();
        Begin(earlier, now);
        foreach (var report in _recent)
        {
            MergeNew(report, now);
        }

        return true;
    }

    /// <summary>By silo the sequence of the last report that was merged, of those heard from since a moment.</summary>
    /// <param name="since">Unix ms.</param>
    public ImmutableDictionary<string, long> Reported(long since) =>
        _seen.Where(entry => entry.Value.At >= since).ToImmutableDictionary(static entry => entry.Key, static entry => entry.Value.Sequence);

    /// <summary>Merges a silo's report; false if it was merged before.</summary>
    /// <exception cref="ArgumentException">A delta does not fit the layout; nothing is merged.</exception>
    public bool Merge(LatencyReport report, long now)
    {
        ArgumentNullException.ThrowIfNull(report);
        RequireValid(report.Deltas);
        if (!MergeNew(report, now))
        {
            return false;
        }

        if (now - _since > RecoveryMs)
        {
            _recent.Clear();
        }
        else if (_version != long.MaxValue && _recent.Count < MaxRecent)
        {
            _recent.Add(report);
        }

        return true;
    }

    private bool MergeNew(LatencyReport report, long now)
    {
        if (_seen.TryGetValue(report.Holder, out var seen) && report.Sequence <= seen.Sequence)
        {
            return false;
        }

        if (_seen.Count >= MaxHolders && !_seen.ContainsKey(report.Holder))
        {
            _seen.Remove(_seen.MinBy(entry => entry.Value.At).Key);
        }

        _seen[report.Holder] = (report.Sequence, now);
        MergeValid(report.Deltas, now);
        return true;
    }

    /// <summary>The recent past, merged, for <see cref="RoutingSnapshot.Latency"/>; in a stable order.</summary>
    public ImmutableArray<SketchDelta> Publish(long now) =>
    [
        .. _sketches
            .OrderBy(entry => entry.Key.Endpoint.Value, StringComparer.Ordinal)
            .ThenBy(entry => entry.Key.Phase)
            .ThenBy(entry => entry.Key.SizeClass)
            .Select(entry => entry.Value.ToDelta(entry.Key.Endpoint, entry.Key.Phase, entry.Key.SizeClass, now))
            .Where(delta => !delta.Counts.IsEmpty),
    ];

    /// <summary>Percentiles by endpoint and phase, over all size classes, of what came of late, or else of what came before that, for <see cref="ModelStatistics.Latency"/>.</summary>
    public ImmutableArray<LatencyView> Views(ModelDefinition model, long now)
    {
        ArgumentNullException.ThrowIfNull(model);
        var lanes = model.Variants.SelectMany(variant => variant.Endpoints).ToDictionary(endpoint => endpoint.Name, endpoint => endpoint.Lane);
        var views = ImmutableArray.CreateBuilder<LatencyView>();
        foreach (var group in Publish(now).Where(delta => lanes.ContainsKey(delta.Endpoint)).GroupBy(delta => (delta.Endpoint, delta.Phase)))
        {
            var merged = new QuantileSketch();
            foreach (var delta in group)
            {
                merged.Merge(_sketches[(delta.Endpoint, delta.Phase, delta.SizeClass)].ToDelta(delta.Endpoint, delta.Phase, delta.SizeClass, now, isRecentOnly: true));
            }

            if (merged.Count == 0)
            {
                // Nothing has come of late: what came before that.
                foreach (var delta in group)
                {
                    merged.Merge(delta);
                }
            }

            views.Add(new()
            {
                Endpoint = group.Key.Endpoint,
                Lane = lanes[group.Key.Endpoint],
                Phase = group.Key.Phase,
                Count = merged.Count,
                P50Seconds = merged.Quantile(0.5) / 1000,
                P95Seconds = merged.Quantile(0.95) / 1000,
                P99Seconds = merged.Quantile(0.99) / 1000,
            });
        }

        return views.ToImmutable();
    }

    /// <summary>Keeps the endpoints of <paramref name="model"/> only.</summary>
    public void Retain(ModelDefinition model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var names = model.Variants.SelectMany(variant => variant.Endpoints).Select(endpoint => endpoint.Name).ToHashSet();
        foreach (var key in _sketches.Keys.Where(key => !names.Contains(key.Endpoint)).ToArray())
        {
            _sketches.Remove(key);
        }
    }

    private static void RequireValid(ImmutableArray<SketchDelta> deltas)
    {
        foreach (var delta in deltas)
        {
            QuantileSketch.RequireValid(delta);
        }
    }

    private void Begin(LatencyRecovery earlier, long now)
    {
        RequireValid(earlier.Latency);
        MergeValid(earlier.Latency, now);
        foreach (var (holder, sequence) in earlier.Reported.Take(MaxHolders))
        {
            _seen[holder] = (sequence, now);
        }
    }

    private void MergeValid(ImmutableArray<SketchDelta> deltas, long now)
    {
        foreach (var delta in deltas)
        {
            var key = (delta.Endpoint, delta.Phase, delta.SizeClass);
            if (!_sketches.TryGetValue(key, out var sketch))
            {
                _sketches.Add(key, sketch = new());
            }

            sketch.MergeValid(delta, now);
        }
    }
}
