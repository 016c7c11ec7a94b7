using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Fleet;

/// <summary>
/// Where a variant runs in a lane: instances with slots, the instances of one batch job, or serverless executions. Keeps what AWS bills. An instance that is
/// given up serves what it has begun and is billed until then; calls are packed, so that as many instances go as calls leave.
/// </summary>
public sealed class Pool
{
    private readonly Queue<(long At, int Instances)> _coming = new();
    private readonly List<long> _idleSince = [];
    private readonly int[] _byClass = new int[3];
    private long _sinceUs;
    private long _busySinceUs;

    internal Pool(int index, ScenarioModel model, int modelIndex, int variant, ScenarioLane lane, int tenants)
    {
        (Index, Model, ModelIndex, VariantIndex, LaneDefinition) = (index, model, modelIndex, variant, lane);
        var build = model.Variants[variant];
        Concurrency = lane.Lane == Lane.Serverless ? 1 : build.Concurrency;
        LimitUs = lane.MaxServiceSeconds > 0 ? (long)(lane.MaxServiceSeconds * 1e6) : long.MaxValue;
        TenantUs = new long[tenants];
        Speed = lane.Lane == Lane.Serverless ? lane.SpeedFactor : 1;
    }

    /// <summary>Its position in <see cref="World.Pools"/>.</summary>
    public int Index { get; }

    /// <summary>The model.</summary>
    public ScenarioModel Model { get; }

    /// <summary>Index of the model.</summary>
    public int ModelIndex { get; }

    /// <summary>Index of the variant.</summary>
    public int VariantIndex { get; }

    /// <summary>The variant.</summary>
    public ScenarioVariant Variant => Model.Variants[VariantIndex];

    /// <summary>The lane.</summary>
    public ScenarioLane LaneDefinition { get; }

    /// <summary>Requests that an instance serves at a time.</summary>
    public int Concurrency { get; }

    /// <summary>Instances in service, those that are being given up among them.</summary>
    public int InService { get; private set; }

    /// <summary>Instances that are wanted.</summary>
    public int Wanted { get; private set; }

    /// <summary>Instances asked for that do not serve yet.</summary>
    public int Coming { get; private set; }

    /// <summary>Microseconds at which the next ones serve; <see cref="long.MaxValue"/> if none come.</summary>
    public long NextAtUs => _coming.Count == 0 ? long.MaxValue : _coming.Peek().At;

    /// <summary>Slots in use.</summary>
    public int InUse { get; private set; }

    /// <summary>Slots that may be used; serverless: executions.</summary>
    public int Slots => LaneDefinition.Lane == Lane.Serverless ? LaneDefinition.MaxConcurrency : Math.Min(InService, Wanted) * Concurrency;

    /// <summary>How often the number wanted was changed.</summary>
    public int Changes { get; private set; }

    /// <summary>Billed instance-microseconds.</summary>
    public long InstanceUs { get; private set; }

    /// <summary>Microseconds that slots were in use.</summary>
    public long BusyUs { get; private set; }

    /// <summary>Serverless: billed microseconds of executions, starts among them.</summary>
    public long ExecutionUs { get; private set; }

    /// <summary>Serverless: executions that started cold. Of a batch job: its instances.</summary>
    public long Starts { get; internal set; }

    /// <summary>What is billed: microseconds of instances, or of executions.</summary>
    public long BilledUs => LaneDefinition.Lane == Lane.Serverless ? ExecutionUs : InstanceUs;

    /// <summary>Slot-microseconds in it.</summary>
    public Int128 SlotUs => (Int128)BilledUs * Concurrency;

    /// <summary>Requests served.</summary>
    public long Served { get; internal set; }

    /// <summary>The longest that a service may take.</summary>
    internal long LimitUs { get; }

    /// <summary>Of a batch job: requests that it has still to begin.</summary>
    internal Queue<int>? Members { get; init; }

    /// <summary>Microseconds of slots by tenant.</summary>
    internal long[] TenantUs { get; }

    private double Speed { get; }

    /// <summary>Slots in use by a class.</summary>
    public int InUseBy(TrafficClass trafficClass) => _byClass[(int)trafficClass];

    /// <summary>Microseconds that a request's service takes here, its start not counted.</summary>
    public long ServiceUs(in Request request) =>
        Math.Max(1, (long)(Variant.UnloadedSeconds(request.InputTokens, request.OutputTokens) * request.Jitter * 1e6 / Speed));

    /// <summary>Serverless: environments that are idle and warm.</summary>
    public int WarmIdle(long nowUs)
    {
        var warm = nowUs - (long)(LaneDefinition.KeepWarmSeconds * 1e6);
        var gone = 0;
        while (gone < _idleSince.Count && _idleSince[gone] < warm)
        {
            gone++;
        }

        _idleSince.RemoveRange(0, gone);
        return _idleSince.Count;
    }

    /// <summary>What AWS bills for it so far.</summary>
    public Money Cost => LaneDefinition.Lane == Lane.Serverless
        ? Money.FromNanos((long)((Int128)ExecutionUs * LaneDefinition.MemoryMb * LaneDefinition.PricePerGbSecond.Nanos / (1024 * 1_000_000L)))
        : Money.FromNanos((long)((Int128)InstanceUs * Variant.PricePerHour.Nanos / 3_600_000_000L));

    /// <summary>Wants a number of instances; true if it is another than before. Those that come are told by <see cref="NextAtUs"/>.</summary>
    internal bool Want(int instances, long nowUs)
    {
        if (instances == Wanted)
        {
            return false;
        }

        Changes++;
        Wanted = instances;
        var more = instances - InService - Coming;
        if (more > 0)
        {
            _coming.Enqueue((nowUs + (long)(LaneDefinition.ProvisionSeconds * 1e6), more));
            Coming += more;
        }
        else
        {
            Cancel(-more);
        }

        Release(nowUs);
        return true;
    }

    /// <summary>Takes into service what has come; true if any has.</summary>
    internal bool Arrive(long nowUs)
    {
        var came = 0;
        while (_coming.Count > 0 && _coming.Peek().At <= nowUs)
        {
            came += _coming.Dequeue().Instances;
        }

        if (came == 0)
        {
            return false;
        }

        Bill(nowUs);
        InService += came;
        Coming -= came;
        return true;
    }

    /// <summary>Puts instances into service at once: those that were there at the beginning, or a job's.</summary>
    internal void Put(int instances, long nowUs)
    {
        Bill(nowUs);
        InService += instances;
        Wanted = InService;
    }

    /// <summary>Takes a slot; microseconds until the service begins.</summary>
    internal long Enter(TrafficClass trafficClass, long serviceUs, long nowUs)
    {
        Busy(nowUs);
        InUse++;
        _byClass[(int)trafficClass]++;
        if (LaneDefinition.Lane != Lane.Serverless)
        {
            return 0;
        }

        var start = 0L;
        if (WarmIdle(nowUs) > 0)
        {
            _idleSince.RemoveAt(_idleSince.Count - 1);
        }
        else
        {
            Starts++;
            start = (long)(LaneDefinition.ColdStartSeconds * 1e6);
        }

        ExecutionUs += start + Math.Min(serviceUs, LimitUs);
        return start;
    }

    /// <summary>Gives a slot back.</summary>
    internal void Leave(TrafficClass trafficClass, long nowUs)
    {
        Busy(nowUs);
        InUse--;
        _byClass[(int)trafficClass]--;
        if (LaneDefinition.Lane == Lane.Serverless)
        {
            _idleSince.Add(nowUs);
        }
        else if (InService > Wanted)
        {
            Release(nowUs);
        }
    }

    /// <summary>Counts what is billed up to now.</summary>
    internal void Bill(long nowUs)
    {
        InstanceUs += InService * (nowUs - _sinceUs);
        _sinceUs = nowUs;
        Busy(nowUs);
    }

    private void Busy(long nowUs)
    {
        BusyUs += InUse * (nowUs - _busySinceUs);
        _busySinceUs = nowUs;
    }

    private void Release(long nowUs)
    {
        var least = Math.Max(Wanted, (InUse + Concurrency - 1) / Concurrency);
        if (InService > least)
        {
            Bill(nowUs);
            InService = least;
        }
    }

    private void Cancel(int instances)
    {
        if (instances <= 0 || Coming == 0)
        {
            return;
        }

        // What was asked for last is called off first.
        var kept = _coming.ToArray();
        _coming.Clear();
        for (var i = kept.Length - 1; i >= 0 && instances > 0; i--)
        {
            var off = Math.Min(instances, kept[i].Instances);
            kept[i].Instances -= off;
            instances -= off;
            Coming -= off;
        }

        foreach (var each in kept)
        {
            if (each.Instances > 0)
            {
                _coming.Enqueue(each);
            }
        }
    }
}
