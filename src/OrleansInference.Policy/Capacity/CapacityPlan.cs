using System.Globalization;

namespace OrleansInference.Capacity;

/// <summary>
/// How many instances an endpoint should have. What is asked for now serves only when it has been provisioned, so the plan looks that far ahead
/// (<see cref="DemandForecast"/>), staffs for a short wait then (<see cref="Staffing"/>), adds what a queue needs to be worked off, and keeps what is no
/// longer needed for as long as that is worth its price (<see cref="ScaleIn"/>). Work that may wait, all of the async lane, is not staffed for a wait
/// but worked off in its time, and without any the lane goes down to zero where the operator allows it. Changes have a least time between them and a largest
/// step, and what others change is a new beginning. Not thread-safe.
/// </summary>
public sealed class CapacityPlan
{
    /// <summary>The least time between a change and more instances, in milliseconds.</summary>
    public const long CooldownMs = 10_000;

    /// <summary>The least time between a change and fewer instances, in milliseconds.</summary>
    public const long ReleaseCooldownMs = 60_000;

    /// <summary>An idle instance is kept at least about this long, in milliseconds: releasing takes time too.</summary>
    public const long LeastBreakEvenMs = 60_000;

    /// <summary>Starts that take longer than this are not waited out longer, in milliseconds.</summary>
    public const long MostBreakEvenMs = 900_000;

    /// <summary>How long the plan leaves alone what somebody else has changed, in milliseconds; doubled for each time that it happens again, up to an hour.</summary>
    public const long AdoptionMs = 300_000;

    private const long LongestLeadMs = 3_600_000;
    private const long LongestAdoptionMs = 3_600_000;
    private const int LeastStep = 4;
    private const int LeastDoublings = 2;
    private const int MostDoublings = 3;
    private const double FadeMs = 60_000;

    // Of the requests of ten minutes or so, so many and such a share may be turned away before nobody is relied on elsewhere.
    private const double TurnedAwayMs = 600_000;
    private const double LeastTurnedAway = 3;
    private const double MostTurnedAway = 0.01;
    private const double LeadShare = 0.3;
    private const double WaitShare = 0.8;

    // Of the requests of High: how many may be late at a rate that is exceeded one time in ten, so about one in a hundred of all. At the rate that is expected it is one in a hundred anyway.
    private const double UrgentLateShare = 0.1;

    // Of the highest load of High of late, what is kept for a burst that comes again: a start is late for those that come meanwhile, and few bursts that come again are as high.
    private const double AgainShare = 0.7;

    // Of the work that comes while an instance starts, what is late for it where those who can wait are told apart: the rest is in time, on slots that come free.
    private const double StartShare = 0.15;

    // Where no second change can be begun before the first is done: of what a burst may bring, what has to be there before it, for the change that it sets off is made
    // for the rest of it; and by how much the load may have grown by the time that the change is done, of which little is seen when it is asked for.
    private const double ReserveShare = 0.5;
    private const double Growth = 1.5;

    // A trace of load that has faded is no load.
    private const double LeastBusy = 0.05;

    private readonly DemandForecast _forecast;
    private readonly DemandForecast _urgent;
    private readonly CapacityPlanOptions _options;
    private readonly ScaleIn _scaleIn;
    private readonly IdleLevels _idle;
    private CapacityPlanState _state;
    private bool _toldApart;

    /// <summary>Begins with nothing, or with what was stored.</summary>
    /// <param name="state">What was stored.</param>
    /// <param name="options">Which ideas it uses; null: all.</param>
    public CapacityPlan(CapacityPlanState? state = null, CapacityPlanOptions? options = null)
    {
        _options = options ?? CapacityPlanOptions.Default;
        _state = state ?? new();
        _forecast = new(_state.Forecast);
        _urgent = new(_state.Urgent);
        _scaleIn = new(_state.IdleTimes);
        _idle = new(_state.Idle);
    }

    /// <summary>Instances wanted now.</summary>
    public int Desired => _state.Desired;

    /// <summary>Unix ms of the last change; 0 if there was none.</summary>
    public long ChangedAt => _state.ChangedAt;

    /// <summary>How many times instances were wanted again soon after their release.</summary>
    public int Flaps => _state.Flaps;

    /// <summary>Whether nothing has been decided or observed.</summary>
    public bool IsNew => _state is { Desired: 0, ChangedAt: 0, At: 0 };

    /// <summary>What the last observation led to expect.</summary>
    public CapacityOutlook Outlook { get; private set; }

    /// <summary>The plan as it is to be stored.</summary>
    public CapacityPlanState ToState() => _state with { Forecast = _forecast.ToState(), Urgent = _state.Urgent is null && !_toldApart ? null : _urgent.ToState(), IdleTimes = _scaleIn.ToState(), Idle = _idle.ToState() };

    /// <summary>Begins with what the endpoint was started with: it is not scaled in at first sight.</summary>
    /// <param name="instances">Instances wanted there.</param>
    public void Begin(int instances) => _state = _state with { Desired = Math.Max(0, instances) };

    /// <summary>Takes a change that somebody else made as the new beginning, and leaves it alone for a while.</summary>
    /// <param name="now">Unix ms.</param>
    /// <param name="instances">Instances that they want.</param>
    public void Adopt(long now, int instances)
    {
        var isAgain = _state.AdoptedAt > 0 && now - _state.AdoptedAt <= LongestAdoptionMs;
        _state = _state with { Desired = Math.Max(0, instances), ChangedAt = now, AdoptedAt = now, Adoptions = isAgain ? Math.Min(16, _state.Adoptions + 1) : 1 };
        _idle.Restart(now);
    }

    /// <summary>Decides anew.</summary>
    /// <param name="endpoint">Bounds, concurrency, and what is believed of its times.</param>
    /// <param name="observed">What is going on.</param>
    public CapacityDecision Observe(EndpointDefinition endpoint, in CapacityObservation observed)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        var isFirst = _state.At == 0;
        Take(endpoint, observed);
        var (undeferred, asked, load, why) = Need(endpoint, observed);
        var before = _state.Desired;
        var needed = Math.Max(undeferred, DeferredStaffing.Instances(load, observed, Math.Max(1, endpoint.ConcurrencyPerInstance), endpoint.MaxInstances, before, _options.Forecasts ? _forecast.PeakRate * Outlook.ServiceMs / 1000 : 0));
        var keep = KeepMs();
        Outlook = Outlook with { Instances = needed, KeepMs = keep };
        _idle.Forget(observed.Now, before, ScaleIn.LongestMs, _scaleIn.Learn);
        _idle.Observe(observed.Now, undeferred, before, _scaleIn.Learn);
        if (isFirst && before > needed)
        {
            // Nothing is known of how long they have been idle.
            _idle.Restart(observed.Now);
        }

        return observed.Hold is { } hold ? new(before, hold, false) : Decide(endpoint, observed, needed, Math.Max(needed, asked), why, keep);
    }

    private CapacityDecision Decide(EndpointDefinition endpoint, in CapacityObservation observed, int needed, int asked, string why, long keep)
    {
        var before = _state.Desired;
        var (least, most) = Bounds(endpoint);
        var sinceChange = _state.ChangedAt <= observed.Now ? observed.Now - _state.ChangedAt : long.MaxValue;
        if (before < least || before > most)
        {
            return Change(Math.Clamp(before, least, most), $"the bounds are {least} to {most}", observed.Now);
        }

        if (IsAdopted(observed.Now) && !(observed.Waiting > 0 && needed > before && sinceChange >= ReleaseCooldownMs))
        {
            return new(before, "somebody else changed it a while ago", false);
        }

        if (needed > before)
        {
            if (sinceChange < CooldownMs && before > 0)
            {
                return new(before, "changed a moment ago", false);
            }

            if (_state.ReleasedAt > 0 && observed.Now - _state.ReleasedAt < keep)
            {
                // It was released too soon, as the idle time that ends with it teaches.
                _state = _state with { Flaps = _state.Flaps + 1 };
            }

            return Change((int)Math.Min(asked, MostAfter(before, sinceChange)), asked > needed ? Text($"{why}, and {asked} until another change can be made") : why, observed.Now);
        }

        var kept = Math.Max(needed, _idle.Kept(observed.Now, before, keep));
        if (kept >= before)
        {
            return new(before, needed < before ? Text($"{before - needed} of {before} instances are idle and kept up to {keep / 1000} s") : "fits the load", false);
        }

        if (sinceChange < ReleaseCooldownMs)
        {
            return new(before, "changed a moment ago", false);
        }

        var desired = Math.Max(kept, before - Math.Max(1, before / 2));
        _state = _state with { ReleasedAt = observed.Now };
        return Change(desired, Text($"{before - desired} of {before} instances were not needed for {keep / 1000} s, as long as keeping them is worth a start of {Outlook.LeadMs / 1000} s"), observed.Now);
    }

    private void Take(EndpointDefinition endpoint, in CapacityObservation observed)
    {
        var elapsed = Math.Max(0, observed.Now - _state.At);
        var (inUse, _) = Split(endpoint, observed);

        // Jobs of the async lane take no slot of ours: what they take is seen by how many run (Little's law).
        var busyMs = endpoint.Lane == Lane.Async && observed.BusyMs == 0 ? (elapsed <= DemandForecast.GapMs ? inUse * (double)elapsed : 0) : observed.BusyMs;
        _forecast.Observe(observed.Now, observed.Arrivals, Math.Max(0, observed.Completions - observed.Throttled), busyMs);
        if (observed.UrgentArrivals is { } urgent)
        {
            _toldApart = true;
            _urgent.Observe(observed.Now, urgent, observed.UrgentCompletions, observed.UrgentBusyMs);
        }

        var fade = _state.At == 0 ? 0 : Math.Exp(-elapsed / FadeMs);
        var offered = elapsed > 0 && observed.ArrivedWorkMs > 0 ? observed.ArrivedWorkMs / elapsed : 0;
        _state = _state with { Busy = (_state.Busy * fade) + (inUse * (1 - fade)), Offered = (_state.Offered * fade) + (offered * (1 - fade)), At = Math.Max(_state.At, observed.Now) };
        var seldom = Math.Exp(-elapsed / TurnedAwayMs);
        _state = _state with { Came = (_state.Came * seldom) + observed.Arrivals, TurnedAway = (_state.TurnedAway * seldom) + observed.TurnedAway };
        Provision(observed);
        var deferrable = endpoint.Lane == Lane.Async ? observed.Waiting : observed.Deferrable;
        _state = _state with { DrainBy = deferrable <= 0 ? 0 : _state.DrainBy <= observed.Now ? observed.Now + Math.Max(1, observed.DrainMs) : _state.DrainBy };
    }

    /// <summary>Measures how long instances take from being wanted until they serve.</summary>
    private void Provision(in CapacityObservation observed)
    {
        var wanted = observed.Reported ?? _state.Desired;
        if (_state.GrowingSince > 0 && observed.InService >= _state.GrowingTo)
        {
            var took = Math.Clamp(observed.Now - _state.GrowingSince, 1, LongestLeadMs);
            _state = _state with { LeadMs = _state.LeadMs <= 0 ? took : _state.LeadMs + (LeadShare * (took - _state.LeadMs)), GrowingSince = 0, GrowingTo = 0 };
        }

        if (wanted <= observed.InService)
        {
            _state = _state with { GrowingSince = 0, GrowingTo = 0 };
        }
        else if (_state.GrowingSince == 0 || _state.GrowingTo > wanted)
        {
            _state = _state with { GrowingSince = _state.GrowingSince == 0 ? observed.Now : _state.GrowingSince, GrowingTo = wanted };
        }
    }

    private double Busy => _state.Busy < LeastBusy ? 0 : _state.Busy;

    private (int Instances, int Asked, double Load, string Why) Need(EndpointDefinition endpoint, in CapacityObservation observed)
    {
        var lead = LeadMs(endpoint, observed.Now);
        _forecast.Promise(2 * lead);

        // What comes all at once in the async lane waits, and is seen so.
        var ahead = Ahead(_forecast, lead, countsBurst: endpoint.Lane != Lane.Async);
        var perInstance = Math.Max(1, endpoint.ConcurrencyPerInstance);
        var (least, most) = Bounds(endpoint);
        var mostSlots = (int)Math.Min(int.MaxValue, (long)most * perInstance);
        var (inUse, queue) = Split(endpoint, observed);
        var isAsync = endpoint.Lane == Lane.Async;
        var service = _forecast.ServiceMs(endpoint.Prior, isAsync ? inUse : 0);
        if (_state.Offered > 0 && _forecast.RecentRate > 0)
        {
            // Those who come now may be longer or shorter than those who ended. Of jobs it is known what they take when they run: a backlog is not worked off by what was told of it.
            var told = 1000 * _state.Offered / _forecast.RecentRate;
            service = isAsync ? Math.Max(service, told) : told;
        }

        var busy = Busy;
        var mean = Math.Max(ahead.Rate * service / 1000, busy);
        var deferrable = isAsync ? queue : Math.Min(queue, observed.Deferrable);
        var staffed = isAsync ? mean
            : observed.UrgentArrivals is null ? Staffing.Slots(Math.Max(ahead.HighRate * service / 1000, busy), ahead.Peakedness, WaitTarget.Default, mostSlots)
            : Math.Max(StaffPatient(observed, ahead, service, lead, queue, perInstance, isAsking: false), StaffUrgent(endpoint, observed, lead, mostSlots));
        var asked = observed.OneChangeAtATime && !isAsync && observed.UrgentArrivals is not null && observed.SpillRatio <= 0 ? StaffPatient(observed, ahead, service, lead, queue, perInstance, isAsking: true) : 0;
        if (observed.SpillRatio > 0 && !isAsync)
        {
            var urgent = observed.UrgentArrivals is null || mean <= 0 ? 1 : Math.Clamp(_urgent.RecentRate * _urgent.ServiceMs(endpoint.Prior) / 1000 / mean, 0, 1);
            var saving = SpillStaffing.Instances(mean, urgent, perInstance, most, observed.SpillRatio, observed.SpillSlots) * perInstance;

            // Who is turned away has not gone elsewhere: there is no room, or it is no place for such requests, or it fails. Then as many are needed as if there were nothing.
            staffed = _state.TurnedAway > Math.Max(LeastTurnedAway, MostTurnedAway * _state.Came) ? Math.Max(saving, staffed) : saving;

            // Nor has who waits here.
            staffed = observed.Waiting > 0 ? Math.Max(staffed, 1) : staffed;
        }

        // The work of those who can wait is in what they are staffed for.
        var isStaffedFor = observed.UrgentArrivals is not null && observed.PatientWaitMs > 0;
        var slots = staffed
            + (isStaffedFor ? 0 : ToWorkOff((queue - deferrable) * service, lead * 2, lead, (observed.InService * perInstance) - mean))
            + ToWorkOff(deferrable * service, Math.Max(_state.DrainBy - observed.Now, observed.DrainMs / 4), lead, (observed.InService * perInstance) - mean);
        if ((isAsync || (least == 0 && observed is { InFlight: 0, SpillRatio: <= 0 })) && observed.Waiting == 0 && (ahead.Rate * lead / 1000) < Math.Log(2))
        {
            // Nobody is there, and likelier than not nobody will have come by the time that an instance could serve. Else what is left of a rate that fades would keep one for a day.
            (slots, asked) = (0, 0);
        }

        Outlook = new()
        {
            LeadMs = lead,
            Rate = ahead.Rate,
            HighRate = ahead.HighRate,
            ServiceMs = service,
            Peakedness = ahead.Peakedness,
            SeasonSkill = _forecast.SeasonSkill,
            Slots = (int)Math.Min(mostSlots, Math.Ceiling(slots)),
        };
        var instances = (int)Math.Clamp(Math.Ceiling(Math.Min(slots, mostSlots) / perInstance), least, most);
        return (instances, (int)Math.Clamp(Math.Ceiling(asked / perInstance), instances, most), mean, Why(observed, queue, instances, isAsync));
    }

    /// <summary>
    /// Slots for the requests of High alone: the others, who can wait longer, take what those leave. Starts would be late for what has been there for long, pauses, and comes again at once, and for
    /// another burst like the last one.
    /// </summary>
    private int StaffUrgent(EndpointDefinition endpoint, in CapacityObservation observed, long lead, int mostSlots)
    {
        _urgent.Promise(2 * lead);
        var ahead = Ahead(_urgent, lead);
        var service = _urgent.ServiceMs(endpoint.Prior);
        var target = observed.UrgentWaitMs > 0 ? new WaitTarget(WaitShare * observed.UrgentWaitMs / service, WaitTarget.Default.LateShare) : WaitTarget.Default;
        var staffed = Math.Max(
            Staffing.Slots(ahead.Rate * service / 1000, ahead.Peakedness, target, mostSlots),
            Staffing.Slots(ahead.HighRate * service / 1000, ahead.Peakedness, target with { LateShare = UrgentLateShare }, mostSlots));
        var again = Math.Max(endpoint.MinInstances > 0 ? _urgent.LastingLoad : 0, AgainShare * _urgent.PeakLoad);
        return Math.Max(staffed, (int)Math.Min(mostSlots, _options.Forecasts ? again : 0));
    }

    /// <summary>
    /// Slots for all requests where those that are not of High can wait for some time; of a change that is to be asked for anyway, how many are to be asked for if
    /// no other can be begun before it is done.
    /// </summary>
    private double StaffPatient(in CapacityObservation observed, in ArrivalForecast ahead, double service, long lead, int queue, int perInstance, bool isAsking)
    {
        var perRequest = service / 1000;
        var present = Math.Max(_forecast.RecentRate * (isAsking ? Growth : 1), _options.Forecasts ? _forecast.PresentRate : 0) * perRequest;
        var expected = Math.Max(ahead.Rate * perRequest, isAsking ? present : 0);
        var burst = Math.Max(ahead.HighRate, _options.Forecasts ? _forecast.PeakRate : 0) * perRequest;
        return Math.Max(Math.Max(expected, Busy), observed.PatientWaitMs <= 0 ? ahead.HighRate * perRequest : PatientStaffing.Slots(new()
        {
            Present = present,
            Expected = expected,
            Burst = observed.OneChangeAtATime && !isAsking ? ReserveShare * burst : burst,
            Slots = (double)observed.InService * perInstance,
            WaitingMs = observed.WaitingWorkMs > 0 ? observed.WaitingWorkMs : queue * service,
            WaitMs = observed.PatientWaitMs,
            LeadMs = isAsking ? 2 * lead : lead,
        }));
    }

    // While a change is made no other can be begun: what is asked for now has to do until the next one serves (a periodic review, as of stock with a lead time).
    private ArrivalForecast Ahead(DemandForecast forecast, long lead, bool countsBurst = true)
    {
        if (!_options.Forecasts)
        {
            return new(forecast.RecentRate, forecast.RecentRate, forecast.At(0).Dispersion);
        }

        var (soon, later) = (forecast.At(lead, countsBurst), forecast.At(2 * lead, countsBurst));
        return later.Rate > soon.Rate ? later : soon;
    }

    private string Why(in CapacityObservation observed, double queue, int instances, bool isAsync)
    {
        var o = Outlook;
        return observed is { InService: 0, Waiting: > 0 }
            ? Text($"{observed.Waiting} requests wait and nothing is in service")
            : Text($"{o.Rate:0.##} to {o.HighRate:0.##} requests/s of {o.ServiceMs / 1000:0.##} s expected within {2 * o.LeadMs / 1000} s and {queue} waiting need {o.Slots} slots{(isAsync ? "" : Text($" at peakedness {o.Peakedness:0.#}"))}: {instances} instances");
    }

    /// <summary>Slots above those that the load takes, so that work is done in time though new ones come only after <paramref name="lead"/>.</summary>
    private static double ToWorkOff(double work, double within, double lead, double spare)
    {
        if (work <= 0)
        {
            return 0;
        }

        var free = Math.Max(0, spare);
        var alone = work / within;
        return alone <= free ? alone : free + ((work - (free * within)) / Math.Max(within - lead, within / 4));
    }

    // At most fourfold per cooldown; a change that lasts minutes lets no second one begin, so after it what was not asked for meanwhile may be made up for.
    private static long MostAfter(int before, long sinceChange) =>
        Math.Max(before + LeastStep, (long)before << (int)Math.Clamp(sinceChange / CooldownMs, LeastDoublings, MostDoublings));

    private static (int InUse, int Queue) Split(EndpointDefinition endpoint, in CapacityObservation observed)
    {
        if (endpoint.Lane != Lane.Async)
        {
            return (observed.InFlight, observed.Waiting);
        }

        var running = (int)Math.Min(observed.Waiting, (long)observed.InService * endpoint.ConcurrencyPerInstance);
        return (running, observed.Waiting - running);
    }

    private static (int Least, int Most) Bounds(EndpointDefinition endpoint) => (Math.Min(endpoint.MinInstances, endpoint.MaxInstances), endpoint.MaxInstances);

    private long LeadMs(EndpointDefinition endpoint, long now)
    {
        var lead = _state.LeadMs > 0 ? _state.LeadMs : endpoint.Prior.ColdStartSeconds * 1000;

        // What is on its way already and has not come teaches as well.
        var growing = _state.GrowingSince > 0 ? now - _state.GrowingSince : 0;
        return (long)Math.Clamp(Math.Max(lead, growing), 1_000, LongestLeadMs);
    }

    // A start is billed from the moment that the instance serves, so its price is the work that comes late meanwhile: at most an instance's, for as long as it lasts.
    private long KeepMs() => !_options.KeepsIdle ? 1 : _scaleIn.KeepMs(Math.Clamp((long)(Outlook.LeadMs * (_toldApart ? StartShare : 1)), LeastBreakEvenMs, MostBreakEvenMs));

    private bool IsAdopted(long now) =>
        _state.AdoptedAt > 0 && now - _state.AdoptedAt < Math.Min(LongestAdoptionMs, AdoptionMs << Math.Clamp(_state.Adoptions - 1, 0, 4));

    private CapacityDecision Change(int desired, string reason, long now)
    {
        _state = _state with { Desired = desired, ChangedAt = now };
        return new(desired, reason, true);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
