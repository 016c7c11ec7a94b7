using OrleansInference.Telemetry;

namespace OrleansInference.Leases;

/// <summary>What an endpoint's grain is to be told of the calls on this silo since it was last told. Safe for concurrent use.</summary>
internal sealed class DemandTally
{
    private const int Arrivals = 0;
    private const int Completions = 1;
    private const int Predictions = 2;
    private const int Throttled = 3;
    private const int Failed = 4;
    private const int BusyMs = 5;
    private const int UseCost = 6;
    private const int Charged = 7;
    private const int AnsweredMs = 8;
    private const int ExpectedMs = 9;
    private const int High = 10;
    private const int Whole = 11;

    private readonly StripedCounters _counters = new(12);

    /// <summary>A request asks for a slot, or a job is on the lane.</summary>
    public void Arrived(TrafficClass trafficClass)
    {
        _counters.Increment(Arrivals);
        if (trafficClass == TrafficClass.High)
        {
            _counters.Increment(High);
        }
    }

    /// <summary>Takes out how many of the arrivals were of the urgent class.</summary>
    public int TakeHigh() => (int)_counters.Take(High);

    /// <summary>A call or job ended.</summary>
    public void Ended(CallEnd end, long busyMs, long expectedMs, Money useCost, Money charged)
    {
        _counters.Increment(Completions);
        Add(BusyMs, busyMs);
        Add(UseCost, useCost.Nanos);
        Add(Charged, charged.Nanos);
        switch (end)
        {
            case CallEnd.Answered:
                _counters.Increment(Predictions);
                AddWhole(busyMs, expectedMs);
                break;
            case CallEnd.SeenOff:
                AddWhole(busyMs, expectedMs);
                break;
            case CallEnd.Throttled:
                _counters.Increment(Throttled);
                break;
            case CallEnd.Failed:
                _counters.Increment(Failed);
                break;
            default:
                break;
        }
    }

    /// <summary>Takes out what was counted.</summary>
    public EndpointDemand Take(int waiting) => new()
    {
        Arrivals = (int)_counters.Take(Arrivals),
        Completions = (int)_counters.Take(Completions),
        Predictions = (int)_counters.Take(Predictions),
        Throttled = (int)_counters.Take(Throttled),
        Failed = (int)_counters.Take(Failed),
        BusyMilliseconds = _counters.Take(BusyMs),
        AnsweredMilliseconds = _counters.Take(AnsweredMs),
        ExpectedMilliseconds = _counters.Take(ExpectedMs),
        Whole = (int)_counters.Take(Whole),
        Waiting = waiting,
        UseCost = Money.FromNanos(_counters.Take(UseCost)),
        Charged = Money.FromNanos(_counters.Take(Charged)),
    };

    /// <summary>Puts back what could not be told.</summary>
    public void PutBack(EndpointDemand demand)
    {
        Add(Arrivals, demand.Arrivals);
        Add(Completions, demand.Completions);
        Add(Predictions, demand.Predictions);
        Add(Throttled, demand.Throttled);
        Add(Failed, demand.Failed);
        Add(BusyMs, demand.BusyMilliseconds);
        Add(AnsweredMs, demand.AnsweredMilliseconds);
        Add(ExpectedMs, demand.ExpectedMilliseconds);
        Add(Whole, demand.Whole);
        Add(High, demand.Queue?.HighArrivals ?? 0);
        Add(UseCost, demand.UseCost.Nanos);
        Add(Charged, demand.Charged.Nanos);
    }

    private void AddWhole(long busyMs, long expectedMs)
    {
        _counters.Increment(Whole);
        Add(AnsweredMs, busyMs);
        Add(ExpectedMs, expectedMs);
    }

    private void Add(int counter, long amount)
    {
        if (amount != 0)
        {
            _counters.Add(counter, amount);
        }
    }
}
