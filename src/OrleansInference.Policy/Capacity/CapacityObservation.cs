namespace OrleansInference.Capacity;

/// <summary>What a capacity decision is made from.</summary>
public readonly record struct CapacityObservation
{
    /// <summary>What is seen when nothing is told.</summary>
    public CapacityObservation()
    {
    }

    /// <summary>Unix ms.</summary>
    public required long Now { get; init; }

    /// <summary>Instances in service.</summary>
    public int InService { get; init; }

    /// <summary>Instances that the control plane reports as wanted; null: as many as the plan wants.</summary>
    public int? Reported { get; init; }

    /// <summary>Requests in flight on slots.</summary>
    public int InFlight { get; init; }

    /// <summary>Requests that wait for a slot; for the async lane every job that has not ended.</summary>
    public int Waiting { get; init; }

    /// <summary>Of those that wait, how many may wait until <see cref="DrainMs"/> have passed; of the async lane all may.</summary>
    public int Deferrable { get; init; }

    /// <summary>Within what time a backlog of requests that may wait is to be worked off, in milliseconds, greater than 0.</summary>
    public long DrainMs { get; init; } = 300_000;

    /// <summary>Requests that arrived since the last observation.</summary>
    public int Arrivals { get; init; }

    /// <summary>Calls that ended since then.</summary>
    public int Completions { get; init; }

    /// <summary>Of them those that AWS throttled: they were not served.</summary>
    public int Throttled { get; init; }

    /// <summary>Slot-milliseconds of the calls that ended.</summary>
    public long BusyMs { get; init; }

    /// <summary>Of <see cref="Arrivals"/> those of <see cref="TrafficClass.High"/>; null: the classes are not told apart, and each request is staffed for like one of High.</summary>
    public int? UrgentArrivals { get; init; }

    /// <summary>Of <see cref="Completions"/> those of High.</summary>
    public int UrgentCompletions { get; init; }

    /// <summary>Of <see cref="BusyMs"/> those of High.</summary>
    public long UrgentBusyMs { get; init; }

    /// <summary>How long a request of High can wait for a slot and still be in time, in milliseconds; 0: not known.</summary>
    public double UrgentWaitMs { get; init; }

    /// <summary>How long the other requests can wait for a slot and still be in time, in milliseconds; 0: not known, they are staffed for like those of High.</summary>
    public double PatientWaitMs { get; init; }

    /// <summary>Slot-milliseconds that <see cref="Arrivals"/> are expected to take; 0: not told, they are taken to be like those that ended.</summary>
    public double ArrivedWorkMs { get; init; }

    /// <summary>Slot-milliseconds that those who wait are expected to take; 0: not told.</summary>
    public double WaitingWorkMs { get; init; }

    /// <summary>Slots that deferred work needs on average to be done in time (<see cref="Queueing.DeferredWork{T}.SlotsNeeded"/>). Requests that are deferred are counted nowhere else here.</summary>
    public double DeferredSlots { get; init; }

    /// <summary>Whether some of the deferred work cannot be put off any longer.</summary>
    public bool DeferredIsDue { get; init; }

    /// <summary>What it would cost to serve somewhere else what finds no slot here, over the price of a slot here; 0: nowhere can it be served.</summary>
    public double SpillRatio { get; init; }

    /// <summary>How many requests are served there at a time, at most; 0: as many as come.</summary>
    public int SpillSlots { get; init; }

    /// <summary>Of <see cref="Arrivals"/> those that were turned away since the last decision, for want of a slot here and elsewhere.</summary>
    public int TurnedAway { get; init; }

    /// <summary>Whether a change that adds instances has to be done before any other can be asked for, as SageMaker has it; else changes may overlap.</summary>
    public bool OneChangeAtATime { get; init; }

    /// <summary>Why nothing can be changed now, in words; null if something can.</summary>
    public string? Hold { get; init; }
}

/// <summary>Instances wanted and why.</summary>
/// <param name="Desired">Instances.</param>
/// <param name="Reason">In words.</param>
/// <param name="HasChanged">Whether it differs from before.</param>
public readonly record struct CapacityDecision(int Desired, string Reason, bool HasChanged);

/// <summary>What a capacity decision expected.</summary>
public readonly record struct CapacityOutlook
{
    /// <summary>How far ahead, in milliseconds: until an instance that is asked for now would serve.</summary>
    public long LeadMs { get; init; }

    /// <summary>Arrivals per second then, the mean.</summary>
    public double Rate { get; init; }

    /// <summary>Arrivals per second that will hardly be exceeded then.</summary>
    public double HighRate { get; init; }

    /// <summary>Mean service time in milliseconds.</summary>
    public double ServiceMs { get; init; }

    /// <summary>Variance over mean of the calls in progress: 1 for Poisson arrivals.</summary>
    public double Peakedness { get; init; }

    /// <summary>How far the time of day is taken into account, 0..1.</summary>
    public double SeasonSkill { get; init; }

    /// <summary>Slots needed then.</summary>
    public int Slots { get; init; }

    /// <summary>Instances needed then, within the operator's bounds.</summary>
    public int Instances { get; init; }

    /// <summary>How long an instance that is not needed is kept, in milliseconds.</summary>
    public long KeepMs { get; init; }

    /// <summary>Calls in progress then, on average.</summary>
    public double Load => Rate * ServiceMs / 1000;
}
