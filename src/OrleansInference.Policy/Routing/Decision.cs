namespace OrleansInference.Routing;

/// <summary>What a decision came to.</summary>
public enum DecisionOutcome
{
    /// <summary>A candidate that meets the deadline (or the fixed rule's) was chosen.</summary>
    Routed = 0,

    /// <summary>Nothing meets the deadline; the likeliest was chosen because the tenant wants best effort.</summary>
    BestEffort = 1,

    /// <summary>Nothing meets the deadline.</summary>
    DeadlineUnreachable = 2,

    /// <summary>What meets the deadline is not affordable; <see cref="Decision.LowBudget"/> says what the tenant wants then.</summary>
    BudgetShort = 3,

    /// <summary>What could serve is failing, draining or was tried already.</summary>
    Unavailable = 4,

    /// <summary>The body is larger than every lane takes that is otherwise open to it.</summary>
    PayloadTooLarge = 5,

    /// <summary>The request's constraints leave nothing.</summary>
    NoCandidate = 6,

    /// <summary>Nothing meets the deadline at the target probability; one of the few requests that are sent to the likeliest all the same, so that what is believed of it stays true.</summary>
    Probe = 7,
}

/// <summary>The chosen candidate, or why there is none.</summary>
public readonly record struct Decision
{
    /// <summary>What it came to.</summary>
    public DecisionOutcome Outcome { get; init; }

    /// <summary>Index of the chosen candidate in <see cref="RoutingTable.Candidates"/>; -1 if there is none.</summary>
    public int Chosen { get; init; }

    /// <summary>The class the request was treated as.</summary>
    public TrafficClass Class { get; init; }

    /// <summary>Version of the routing table.</summary>
    public long TableVersion { get; init; }

    /// <summary>The chosen candidate's charge cap: what to reserve.</summary>
    public Money ChargeCap { get; init; }

    /// <summary>The longest the call may run in milliseconds; it must be cancelled there.</summary>
    public long LongestCallMs { get; init; }

    /// <summary>Predicted probability of answering by the deadline: what <see cref="Calibration"/> is fed with.</summary>
    public double ProbabilityInTime { get; init; }

    /// <summary>The size class under which the service time is to be recorded.</summary>
    public int SizeClass { get; init; }

    /// <summary>For refusals: milliseconds after which coming back may help; 0: it will not, or is not known.</summary>
    public long RetryAfterMs { get; init; }

    /// <summary>For <see cref="DecisionOutcome.BudgetShort"/>: hold or refuse. For a chosen candidate: the last step taken to afford it, if any was.</summary>
    public LowBudgetStep? LowBudget { get; init; }

    /// <summary>For <see cref="DecisionOutcome.BudgetShort"/>: the smallest charge cap of the candidates that the low-budget policy allows; more than the budget covers.</summary>
    public Money CapNeeded { get; init; }

    /// <summary>
    /// For a <see cref="DecisionOutcome.BudgetShort"/> that ends at <see cref="LowBudgetStep.Hold"/>: index of the candidate whose job is to
    /// wait for the budget; null if the caller takes no job, or no lane of jobs is open to the request.
    /// </summary>
    public int? Held { get; init; }

    /// <summary>Whether the request is to wait among the deferred work of the chosen endpoint.</summary>
    public bool IsDeferred { get; init; }

    /// <summary>Whether a candidate was chosen.</summary>
    public bool HasRoute => Chosen >= 0;
}
