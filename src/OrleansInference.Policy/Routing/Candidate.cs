using OrleansInference.Latency;
using OrleansInference.Queueing;

namespace OrleansInference.Routing;

/// <summary>One (variant, endpoint) of a model with everything precomputed that its quote needs. Immutable.</summary>
public sealed class Candidate
{
    /// <summary>Utilisation from which the congestion price goes on as its tangent, so that it stays finite in overload.</summary>
    private const double Knee = 0.95;

    // Of the calls that begin at the last moment, so many are to end in time.
    private const double InTimeShare = 0.9;

    private readonly Believed _believed;
    private readonly VariantDefinition _variant;
    private readonly Money _instanceSecondCost;
    private readonly double _exponent;
    private readonly double _kneePrice;
    private readonly double _kneeSlope;

    internal Candidate(int index, VariantDefinition variant, EndpointDefinition endpoint, Tariff tariff, Money instanceSecondCost, EndpointStatus? status, Believed believed)
    {
        Index = index;
        Variant = variant.Name;
        Quality = variant.Quality;
        Endpoint = endpoint;
        Tariff = tariff;
        Status = status;
        _believed = believed;
        _variant = variant;
        _instanceSecondCost = instanceSecondCost;
        var perInstance = Math.Max(1, endpoint.ConcurrencyPerInstance);
        InstanceMsCost = instanceSecondCost.Nanos / 1000.0;
        SlotMsCost = InstanceMsCost / (endpoint.Lane == Lane.Serverless ? 1 : perInstance);
        MaxServiceMs = MaxServiceMsOf(endpoint);

        // Without a status nothing has been heard of the endpoint yet: the fewest instances the operator keeps are assumed.
        InService = status?.InService ?? endpoint.MinInstances;
        Slots = endpoint.Lane switch
        {
            Lane.Serverless => status is { Slots: > 0 } ? status.Slots : endpoint.MaxInstances,
            Lane.Batch => endpoint.MaxInstances * perInstance,
            _ when InService <= 0 => 0,
            _ => Math.Max(1, status?.Slots ?? InService * perInstance),
        };

        // As measured; before anything was, square-root staffing (Halfin, Whitt 1981): about √slots of spare ones keep the wait of the urgent class small.
        Headroom = endpoint.Lane == Lane.Realtime ? status?.Headroom ?? Math.Max(1, (int)Math.Ceiling(Math.Sqrt(Slots))) : 0;

        // Sakasegawa (1977): the queue of M/M/c is about ρ^√(2(c+1)) / (1-ρ).
        _exponent = Math.Sqrt(2.0 * (Slots + 1));
        _kneePrice = Queue(Knee);
        _kneeSlope = _kneePrice * ((_exponent / Knee) + (1 / (1 - Knee)));
    }

    /// <summary>Position in <see cref="RoutingTable.Candidates"/>.</summary>
    public int Index { get; }

    /// <summary>The variant.</summary>
    public VariantName Variant { get; }

    /// <summary>The variant's quality, 0..1.</summary>
    public double Quality { get; }

    /// <summary>The endpoint.</summary>
    public EndpointDefinition Endpoint { get; }

    /// <summary>What a tenant pays.</summary>
    public Tariff Tariff { get; }

    /// <summary>Capacity as last published; null if nothing was heard yet.</summary>
    public EndpointStatus? Status { get; }

    /// <summary>The lane.</summary>
    public Lane Lane => Endpoint.Lane;

    /// <summary>The same candidate as its endpoint now stands.</summary>
    internal Candidate With(EndpointStatus? status) => new(Index, _variant, Endpoint, Tariff, _instanceSecondCost, status, _believed);

    /// <summary>Service time predicted for a size class.</summary>
    public LatencyDistribution Service(int sizeClass) => _believed.Latency.Service(sizeClass);

    /// <summary>P(service of a size class ≤ <see cref="MaxServiceMs"/>).</summary>
    internal double WithinLimit(int sizeClass) => _believed.WithinLimit[sizeClass];

    /// <summary>
    /// The last moment at which it is worth to begin a call here that had to wait, Unix ms: nine in ten such calls still end in time, or as many as are asked for if those are fewer. One that begins later mostly
    /// ends late, and has had a slot with which another would have been in time.
    /// </summary>
    /// <param name="sizeClass">The request's size class.</param>
    /// <param name="deadline">The request's deadline, Unix ms.</param>
    /// <param name="now">Unix ms.</param>
    public long LastBegin(int sizeClass, long deadline, long now) => FairTurn.LastBegin(_believed.LongServiceMs[sizeClass], deadline, now);

    /// <summary>Service time predicted over all sizes.</summary>
    public LatencyDistribution Overall => _believed.Latency.Overall;

    /// <summary>Predicted time from nothing warm to the start of service.</summary>
    public LatencyDistribution ColdStart => _believed.Latency.ColdStart;

    /// <summary>Predicted time to load the model into memory on a shared endpoint; zero elsewhere.</summary>
    public LatencyDistribution ModelLoad => _believed.Latency.ModelLoad;

    /// <summary>A load is hardly longer than this, in milliseconds.</summary>
    internal double LongModelLoadMs => _believed.LongModelLoadMs;

    /// <summary>Slots now usable: serverless executions, or instances times concurrency.</summary>
    internal int Slots { get; }

    /// <summary>The most slots that may be in use when a request of a class takes one: lower classes leave the headroom, but always have one slot.</summary>
    public int SlotsFor(TrafficClass trafficClass) => trafficClass == TrafficClass.High ? int.MaxValue : Math.Max(1, Slots - Headroom);

    /// <summary>Instances in service; of a serverless endpoint the executions that are kept warm.</summary>
    public int InService { get; }

    /// <summary>Slots that lower classes leave free for <see cref="TrafficClass.High"/>.</summary>
    internal int Headroom { get; }

    /// <summary>The longest that a call may run, in milliseconds: no model runs longer.</summary>
    public long MaxServiceMs { get; }

    /// <summary>Operator's cost of an instance (serverless: an execution) per millisecond, in nano-dollars.</summary>
    internal double InstanceMsCost { get; }

    /// <summary>Operator's cost of one slot per millisecond, in nano-dollars.</summary>
    internal double SlotMsCost { get; }

    internal bool Healthy => Status?.Healthy ?? true;

    internal int Backlog => Status?.Backlog ?? 0;

    internal int InFlight => Status?.InFlight ?? 0;

    /// <summary>Slots that come with the instances that are wanted and not yet in service.</summary>
    internal int SlotsComing => Math.Max(0, (Status?.Desired ?? 0) - InService) * Math.Max(1, Endpoint.ConcurrencyPerInstance);

    /// <summary>Requests that wait in an M/M/c queue at <paramref name="utilisation"/>: convex, and linear past the knee.</summary>
    internal double Congestion(double utilisation) =>
        utilisation <= Knee ? Queue(utilisation) : _kneePrice + (_kneeSlope * (utilisation - Knee));

    private double Queue(double utilisation) => Math.Pow(utilisation, _exponent) / (1 - utilisation);

    private static long MaxServiceMsOf(EndpointDefinition endpoint) => (long)(endpoint.MaxServiceSeconds * 1000);

    /// <summary>What is believed of its latency, and what follows from that for every quote.</summary>
    internal sealed class Believed(EndpointDefinition endpoint, LatencyBelief latency, double targetProbability)
    {
        public LatencyBelief Latency { get; } = latency;

        public double LongModelLoadMs { get; } = latency.ModelLoad.Quantile(0.95);

        public double[] WithinLimit { get; } = BySize(latency, service => service.ProbabilityWithin(MaxServiceMsOf(endpoint)));

        public double[] LongServiceMs { get; } = BySize(latency, service => Math.Max(service.Mean, service.Quantile(Math.Min(InTimeShare, targetProbability))));

        private static double[] BySize(LatencyBelief latency, Func<LatencyDistribution, double> value) =>
            [.. Enumerable.Range(0, SizeClass.Count).Select(size => value(latency.Service(size)))];
    }
}
