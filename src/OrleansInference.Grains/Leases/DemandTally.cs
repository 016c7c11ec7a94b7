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
    private const int ArrivedMs = 12;
    private const int HighEnded = 13;
    private const int HighBusyMs = 14;
    private const int Medium = 15;

    // By class, the most urgent first.
    private const int SlackMs = 16;

    private const int OfDeferred = 19;
    private const int TurnedAway = 20;
    private const int TurnedAwayMs = 21;
    private const int Spilt = 22;
    private const int SpiltMs = 23;
    private const int HighSpilt = 24;
    private const int HighSpiltMs = 25;
    private const int Lacked = 26;

    private readonly StripedCounters _counters = new(27);

    /// <summary>A request asks for a slot, or a job is on the lane.</summary>
    /// <param name="trafficClass">Its class.</param>
    /// <param name="slackMs">How long it can wait for a slot and still be in time, in milliseconds; less than 0 counts as 0.</param>
    /// <param name="serviceMs">How long it is expected to take, in milliseconds.</param>
    public void Arrived(TrafficClass trafficClass, double slackMs, double serviceMs)
    {
        _counters.Increment(Arrivals);
        Add(ArrivedMs, (long)serviceMs);
        Add(SlackMs + (int)trafficClass, (long)Math.Max(0, slackMs));
        if (trafficClass != TrafficClass.Low)
        {
            _counters.Increment(trafficClass == TrafficClass.High ? High : Medium);
        }
    }

    /// <summary>A request was turned away that would have been a job here, had there been instances.</summary>
    /// <param name="serviceMs">How long it would have taken, in milliseconds.</param>
    public void Refused(double serviceMs)
    {
        _counters.Increment(TurnedAway);
        Add(TurnedAwayMs, (long)serviceMs);
    }

    /// <summary>A request was turned away that would have been served here, had there been a slot; it counts as one that came.</summary>
    /// <param name="trafficClass">Its class.</param>
    /// <param name="slackMs">How long it could have waited for a slot, in milliseconds; less than 0 counts as 0.</param>
    /// <param name="serviceMs">How long it would have taken, in milliseconds.</param>
    public void TurnedAwayHere(TrafficClass trafficClass, double slackMs, double serviceMs)
    {
        Arrived(trafficClass, slackMs, serviceMs);
        _counters.Increment(Lacked);
    }

    /// <summary>A request is served elsewhere that would have been cheaper here, had there been a slot.</summary>
    /// <param name="trafficClass">Its class.</param>
    /// <param name="serviceMs">How long it would have taken, in milliseconds.</param>
    public void Spilled(TrafficClass trafficClass, double serviceMs)
    {
        _counters.Increment(Spilt);
        Add(SpiltMs, (long)serviceMs);
        if (trafficClass == TrafficClass.High)
        {
            _counters.Increment(HighSpilt);
            Add(HighSpiltMs, (long)serviceMs);
        }
    }

    /// <summary>A call or job ended.</summary>
    public void Ended(TrafficClass trafficClass, CallEnd end, long busyMs, long expectedMs, Money useCost, Money charged)
    {
        _counters.Increment(Completions);
        Add(BusyMs, busyMs);
        if (trafficClass == TrafficClass.High)
        {
            _counters.Increment(HighEnded);
            Add(HighBusyMs, busyMs);
        }

        Add(UseCost, useCost.Nanos);
        Count(end, busyMs, expectedMs, charged);
    }

    /// <summary>The call of a deferred job ended: what it used is told, but it is no demand.</summary>
    public void DeferredEnded(CallEnd end, long busyMs, long expectedMs, Money charged)
    {
        _counters.Increment(OfDeferred);
        Count(end, busyMs, expectedMs, charged);
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
        DeferredCompletions = (int)_counters.Take(OfDeferred),
        Refused = (int)_counters.Take(TurnedAway),
        RefusedMilliseconds = _counters.Take(TurnedAwayMs),
        Spilled = new()
        {
            Requests = (int)_counters.Take(Spilt),
            Milliseconds = _counters.Take(SpiltMs),
            UrgentRequests = (int)_counters.Take(HighSpilt),
            UrgentMilliseconds = _counters.Take(HighSpiltMs),
            TurnedAway = (int)_counters.Take(Lacked),
        },
        Classes = new()
        {
            UrgentArrivals = (int)_counters.Take(High),
            UrgentCompletions = (int)_counters.Take(HighEnded),
            UrgentBusyMilliseconds = _counters.Take(HighBusyMs),
            ArrivedMilliseconds = _counters.Take(ArrivedMs),
            UrgentSlackMilliseconds = _counters.Take(SlackMs + (int)TrafficClass.High),
            MediumArrivals = (int)_counters.Take(Medium),
            MediumSlackMilliseconds = _counters.Take(SlackMs + (int)TrafficClass.Medium),
            LowSlackMilliseconds = _counters.Take(SlackMs + (int)TrafficClass.Low),
        },
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
        Add(UseCost, demand.UseCost.Nanos);
        Add(Charged, demand.Charged.Nanos);
        Add(OfDeferred, demand.DeferredCompletions);
        Add(TurnedAway, demand.Refused);
        Add(TurnedAwayMs, demand.RefusedMilliseconds);
        if (demand.Spilled is { } spilled)
        {
            Add(Spilt, spilled.Requests);
            Add(SpiltMs, spilled.Milliseconds);
            Add(HighSpilt, spilled.UrgentRequests);
            Add(HighSpiltMs, spilled.UrgentMilliseconds);
            Add(Lacked, spilled.TurnedAway);
        }

        if (demand.Classes is { } classes)
        {
            Add(High, classes.UrgentArrivals);
            Add(HighEnded, classes.UrgentCompletions);
            Add(HighBusyMs, classes.UrgentBusyMilliseconds);
            Add(ArrivedMs, classes.ArrivedMilliseconds);
            Add(Medium, classes.MediumArrivals);
            Add(SlackMs + (int)TrafficClass.High, classes.UrgentSlackMilliseconds);
            Add(SlackMs + (int)TrafficClass.Medium, classes.MediumSlackMilliseconds);
            Add(SlackMs + (int)TrafficClass.Low, classes.LowSlackMilliseconds);
        }
    }

    private void Count(CallEnd end, long busyMs, long expectedMs, Money charged)
    {
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
