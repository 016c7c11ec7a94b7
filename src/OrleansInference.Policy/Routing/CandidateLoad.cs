namespace OrleansInference.Routing;

/// <summary>What this silo knows of a candidate's endpoint at this moment, beyond the snapshot.</summary>
public readonly record struct CandidateLoad
{
    /// <summary>Requests in flight from this silo.</summary>
    public int InFlight { get; init; }

    /// <summary>Of <see cref="InFlight"/> those of a class more urgent than the request's.</summary>
    public int InFlightUrgent { get; init; }

    /// <summary>Requests of the same or a more urgent class that wait for a slot.</summary>
    public int Waiting { get; init; }

    /// <summary>Slot-milliseconds that those of <see cref="Waiting"/> whose turn comes before the request's are expected to take; 0: not known, each is taken to be like the others.</summary>
    public long WaitingWorkMs { get; init; }

    /// <summary>Slots that this silo holds on lease and does not use.</summary>
    public int Available { get; init; }

    /// <summary>Whether this silo's breaker keeps requests off.</summary>
    public bool BreakerOpen { get; init; }

    /// <summary>Serverless: environments believed idle and still warm (see <see cref="EnvironmentPool"/>). None: the next call starts cold.</summary>
    public int WarmEnvironments { get; init; }

    /// <summary>On a shared endpoint: the model is believed not to be in memory, so that the next call loads it (see <see cref="Capacity.ModelResidency"/>).</summary>
    public bool ModelMissing { get; init; }

    /// <summary>Async: jobs that this silo handed over or is handing over, less those it saw end, that the snapshot's backlog does not count yet. Negative while more ended.</summary>
    public int BacklogChange { get; init; }

    /// <summary>Batch: Unix ms when the open window closes at the latest; 0: not known, a whole window is assumed.</summary>
    public long WindowClosesAt { get; init; }

    /// <summary>Batch: members of the open window; 0: not known.</summary>
    public int WindowMembers { get; init; }

    /// <summary>Real-time: slot-milliseconds of the work that waits for slots which are free anyway (<see cref="Queueing.DeferredWork{T}"/>); null: none may wait so, and instances follow the rate of requests and not the work that waits.</summary>
    public long? DeferredWorkMs { get; init; }
}
