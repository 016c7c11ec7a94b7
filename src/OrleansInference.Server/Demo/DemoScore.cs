using System.Collections.Immutable;
using OrleansInference.Latency;

namespace OrleansInference.Demo;

/// <summary>What the callers of the demo saw: counted from their answers, not from the router's own numbers. Safe for concurrent use.</summary>
internal sealed class DemoScore
{
    private readonly Lock _lock = new();
    private readonly long[] _lanes = new long[4];
    private readonly long[] _pending = new long[4];
    private readonly Dictionary<TenantId, long> _charges = [];
    private readonly RealtimeBaseline _baseline;
    private readonly ClassScore[] _classes = [new(), new(), new()];
    private long _sent;
    private long _jobs;

    public DemoScore(RealtimeBaseline baseline) => _baseline = baseline;

    /// <summary>A request leaves.</summary>
    public void Sent(TrafficClass trafficClass)
    {
        lock (_lock)
        {
            _sent++;
            _classes[(int)trafficClass].Sent++;
        }
    }

    /// <summary>A prediction came, in line or as a job's result.</summary>
    /// <param name="request">The request.</param>
    /// <param name="lane">The lane that served it.</param>
    /// <param name="charge">What it was charged.</param>
    /// <param name="latencyMs">Arrival to answer on the router's clock.</param>
    /// <param name="job">For a job: the lane it was accepted on, which a low budget or a failure may have changed since.</param>
    public void Answered(in DemoRequest request, Lane lane, Money charge, double latencyMs, Lane? job = null)
    {
        lock (_lock)
        {
            _lanes[(int)lane]++;
            if (job is { } accepted)
            {
                _pending[(int)accepted]--;
            }

            Charge_NeedsLock(request.Tenant, charge);
            var score = _classes[(int)request.Class];
            score.Answered++;
            score.Latency.Add(latencyMs);
        }

        _baseline.Add(request);
    }

    /// <summary>A job was accepted; its answer comes later.</summary>
    public void Accepted(Lane lane)
    {
        lock (_lock)
        {
            _jobs++;
            _pending[(int)lane]++;
        }
    }

    /// <summary>A request was refused or failed, or a job ended without a result.</summary>
    public void Failed(in DemoRequest request, string code, Money charge, Lane? job = null)
    {
        lock (_lock)
        {
            if (job is { } lane)
            {
                _pending[(int)lane]--;
            }

            Charge_NeedsLock(request.Tenant, charge);
            var score = _classes[(int)request.Class];
            score.Failed++;
            score.Errors[code] = score.Errors.GetValueOrDefault(code) + 1;
        }
    }

    /// <summary>Everything counted so far.</summary>
    public DemoCounts Read()
    {
        lock (_lock)
        {
            return new()
            {
                Sent = _sent,
                Jobs = _jobs,
                Lanes = [.. _lanes],
                Pending = [.. _pending],
                Charges = _charges.ToImmutableDictionary(entry => entry.Key, entry => Money.FromNanos(entry.Value)),
                Classes = [.. _classes.Select((score, i) => score.Read((TrafficClass)i))],
            };
        }
    }

    private void Charge_NeedsLock(TenantId tenant, Money charge) =>
        _charges[tenant] = checked(_charges.GetValueOrDefault(tenant) + charge.Nanos);

    private sealed class ClassScore
    {
        public long Sent;
        public long Answered;
        public long Failed;
        public readonly QuantileSketch Latency = new();
        public readonly Dictionary<string, long> Errors = [];

        public ClassCounts Read(TrafficClass trafficClass) => new(
            trafficClass,
            Sent,
            Answered,
            Failed,
            Latency.Count == 0 ? null : Latency.Quantile(0.5) / 1000,
            Latency.Count == 0 ? null : Latency.Quantile(0.99) / 1000,
            Errors.ToImmutableSortedDictionary(StringComparer.Ordinal));
    }
}

/// <summary>Counts of a moment.</summary>
internal sealed record DemoCounts
{
    /// <summary>Requests sent.</summary>
    public required long Sent { get; init; }

    /// <summary>Of them accepted as jobs.</summary>
    public required long Jobs { get; init; }

    /// <summary>Predictions by lane.</summary>
    public required ImmutableArray<long> Lanes { get; init; }

    /// <summary>Jobs that have not ended, by lane.</summary>
    public required ImmutableArray<long> Pending { get; init; }

    /// <summary>Charges by tenant, as the answers stated them.</summary>
    public required ImmutableDictionary<TenantId, Money> Charges { get; init; }

    /// <summary>By class.</summary>
    public required ImmutableArray<ClassCounts> Classes { get; init; }

    /// <summary>Predictions on all lanes.</summary>
    public long Answered => Lanes.Sum();

    /// <summary>Requests and jobs that ended without a prediction.</summary>
    public long Failed => Classes.Sum(counts => counts.Failed);

    /// <summary>Requests and jobs whose end is not known yet.</summary>
    public long Open => Sent - Answered - Failed;
}

/// <summary>One class's counts; latencies in seconds, null while there is none.</summary>
internal sealed record ClassCounts(TrafficClass Class, long Sent, long Answered, long Failed, double? P50Seconds, double? P99Seconds, ImmutableSortedDictionary<string, long> Errors);
