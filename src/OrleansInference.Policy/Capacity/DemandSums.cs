namespace OrleansInference.Capacity;

/// <summary>
/// What an endpoint's requests did since its capacity was last decided, and how long they can wait: those of <see cref="TrafficClass.High"/>, and the others. Where
/// somebody tells only the whole, the classes are not told apart. Not thread-safe.
/// </summary>
public sealed class DemandSums
{
    // Of the slack that a request has more than those before it, what is believed of the next.
    private const double SlackShare = 0.02;

    // Of the patient requests, how many have to be of Medium for its slack to count, and how fast that is forgotten.
    private const double LeastMedium = 0.02;
    private const double MediumShare = 0.005;

    private double _mediumWaitMs;
    private double _lowWaitMs;
    private double _ofMedium;

    private int _arrivals;
    private int _completions;
    private int _throttled;
    private double _busyMs;
    private double _arrivedMs;
    private int _urgentArrivals;
    private int _urgentCompletions;
    private double _urgentBusyMs;
    private bool _isWholeOnly;
    private bool _isSpillUntold;
    private int _turnedAway;

    /// <summary>How long a request of High can wait for a slot and still be in time, in milliseconds; 0: none has come.</summary>
    public double UrgentWaitMs { get; private set; }

    /// <summary>How long the others can wait for a slot and still be in time, in milliseconds: those of Medium, unless hardly any come; 0: none has come.</summary>
    public double PatientWaitMs => _mediumWaitMs > 0 && (_ofMedium >= LeastMedium || _lowWaitMs <= 0) ? _mediumWaitMs : _lowWaitMs;

    /// <summary>A request came.</summary>
    /// <param name="trafficClass">Its class.</param>
    /// <param name="slackMs">How long it can wait for a slot, in milliseconds; less than 0 counts as 0.</param>
    /// <param name="serviceMs">How long it is expected to take, in milliseconds.</param>
    public void Arrived(TrafficClass trafficClass, double slackMs, double serviceMs)
    {
        _arrivals++;
        _arrivedMs += serviceMs;
        if (trafficClass == TrafficClass.High)
        {
            _urgentArrivals++;
            UrgentWaitMs = Follow(UrgentWaitMs, 1, slackMs);
        }
        else
        {
            HearPatient(trafficClass == TrafficClass.Medium ? 1 : 0, slackMs, trafficClass == TrafficClass.Low ? 1 : 0, slackMs);
        }
    }

    /// <summary>A request is served elsewhere that would have been cheaper here, had there been a slot: it counts as one that came and was served.</summary>
    /// <param name="trafficClass">Its class.</param>
    /// <param name="serviceMs">How long it would have taken, in milliseconds.</param>
    public void Spilled(TrafficClass trafficClass, double serviceMs)
    {
        var isUrgent = trafficClass == TrafficClass.High;
        Spilled(1, serviceMs, isUrgent ? 1 : 0, isUrgent ? serviceMs : 0);
    }

    /// <summary>A request was turned away that would have been served here at once or in its turn; that it <see cref="Arrived"/> is told beside.</summary>
    public void TurnedAway() => _turnedAway++;

    /// <summary>A request was turned away that would have been a job here, had there been more slots.</summary>
    /// <param name="serviceMs">How long it would have taken, in milliseconds.</param>
    public void Refused(double serviceMs)
    {
        _arrivals++;
        _arrivedMs += serviceMs;
    }

    /// <summary>A call ended.</summary>
    /// <param name="trafficClass">Its class.</param>
    /// <param name="busyMs">Slot-milliseconds that it took.</param>
    public void Ended(TrafficClass trafficClass, double busyMs)
    {
        _completions++;
        _busyMs += busyMs;
        if (trafficClass == TrafficClass.High)
        {
            _urgentCompletions++;
            _urgentBusyMs += busyMs;
        }
    }

    /// <summary>Takes what a silo tells.</summary>
    public void Hear(EndpointDemand demand)
    {
        ArgumentNullException.ThrowIfNull(demand);
        _arrivals += Math.Max(0, demand.Arrivals) + Math.Max(0, demand.Refused);
        _completions += Math.Max(0, demand.Completions);
        _throttled += Math.Max(0, demand.Throttled);
        _busyMs += Math.Max(0, demand.BusyMilliseconds);
        _arrivedMs += Math.Max(0, demand.RefusedMilliseconds);
        _isSpillUntold |= demand.Spilled is null && demand.Arrivals + demand.Completions > 0;
        _turnedAway += Math.Max(0, demand.Spilled?.TurnedAway ?? 0);
        if (demand.Spilled is { Requests: > 0 } spilled)
        {
            Spilled(spilled.Requests, Math.Max(0, spilled.Milliseconds), Math.Clamp(spilled.UrgentRequests, 0, spilled.Requests), Math.Max(0, spilled.UrgentMilliseconds));
        }

        if (demand.Classes is not { } classes)
        {
            // A silo of an earlier version, which tells the whole only.
            _isWholeOnly |= demand.Arrivals + demand.Completions > 0;
            return;
        }

        _arrivedMs += Math.Max(0, classes.ArrivedMilliseconds);
        _urgentArrivals += Math.Max(0, classes.UrgentArrivals);
        _urgentCompletions += Math.Max(0, classes.UrgentCompletions);
        _urgentBusyMs += Math.Max(0, classes.UrgentBusyMilliseconds);
        var (urgent, medium) = (Math.Max(0, classes.UrgentArrivals), Math.Max(0, classes.MediumArrivals));
        var low = Math.Max(0, demand.Arrivals - urgent - medium);
        UrgentWaitMs = Follow(UrgentWaitMs, urgent, (double)classes.UrgentSlackMilliseconds / Math.Max(1, urgent));
        HearPatient(medium, (double)classes.MediumSlackMilliseconds / Math.Max(1, medium), low, (double)classes.LowSlackMilliseconds / Math.Max(1, low));
    }

    /// <summary>Puts into an observation what was counted since the last one.</summary>
    /// <param name="observed">What else is known.</param>
    /// <param name="tellsApart">Whether the classes are to be told apart, as far as they can be.</param>
    public CapacityObservation Take(in CapacityObservation observed, bool tellsApart)
    {
        var taken = observed with { Arrivals = _arrivals, Completions = _completions, Throttled = _throttled, BusyMs = (long)_busyMs, TurnedAway = _turnedAway };
        if (_isSpillUntold)
        {
            // Of a silo of an earlier version it is not known what it served elsewhere: nothing says how much that is.
            taken = taken with { SpillRatio = 0 };
        }

        if (tellsApart && !_isWholeOnly)
        {
            taken = taken with
            {
                Deferrable = 0,
                ArrivedWorkMs = _arrivedMs,
                UrgentArrivals = _urgentArrivals,
                UrgentCompletions = _urgentCompletions,
                UrgentBusyMs = (long)_urgentBusyMs,
                UrgentWaitMs = UrgentWaitMs,
                PatientWaitMs = PatientWaitMs,
            };
        }
        else
        {
            taken = taken with { WaitingWorkMs = 0 };
        }

        (_arrivals, _completions, _throttled, _busyMs, _arrivedMs, _urgentArrivals, _urgentCompletions, _urgentBusyMs) = (0, 0, 0, 0, 0, 0, 0, 0);
        (_turnedAway, _isWholeOnly, _isSpillUntold) = (0, false, false);
        return taken;
    }

    private void Spilled(int requests, double milliseconds, int urgent, double urgentMs)
    {
        _arrivals += requests;
        _arrivedMs += milliseconds;
        _completions += requests;
        _busyMs += milliseconds;
        _urgentArrivals += urgent;
        _urgentCompletions += urgent;
        _urgentBusyMs += urgentMs;
    }

    private void HearPatient(int medium, double mediumSlackMs, int low, double lowSlackMs)
    {
        if (medium + low == 0)
        {
            return;
        }

        _mediumWaitMs = Follow(_mediumWaitMs, medium, mediumSlackMs);
        _lowWaitMs = Follow(_lowWaitMs, low, lowSlackMs);
        _ofMedium += ShareOfAll(MediumShare, medium + low) * (((double)medium / (medium + low)) - _ofMedium);
    }

    private static double Follow(double mean, int requests, double slackMs) =>
        requests == 0 ? mean : mean + ((mean <= 0 ? 1 : ShareOfAll(SlackShare, requests)) * (Math.Max(0, slackMs) - mean));

    // Of which each has a share of what those before it left; most come one by one.
    private static double ShareOfAll(double share, int requests) => 1 - (requests == 1 ? 1 - share : Math.Pow(1 - share, requests));
}
