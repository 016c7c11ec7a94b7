namespace OrleansInference.Routing;

/// <summary>A candidate's predicted completion, its charge and its marginal cost. Times are milliseconds from now.</summary>
public record struct Quote
{
    /// <summary>Why it was not chosen; <see cref="DropReason.None"/> for the chosen one.</summary>
    public DropReason Dropped { get; internal set; }

    /// <summary>Probability of answering by the deadline, 0..1. Zero for candidates dropped before they were quoted.</summary>
    public double ProbabilityInTime { get; internal set; }

    /// <summary>Expected wait until the endpoint can begin: for a slot, for the window to close.</summary>
    public double WaitMs { get; internal set; }

    /// <summary>Gamma shape of the wait; 0: the wait is taken as certain.</summary>
    public double WaitShape { get; internal set; }

    /// <summary>Expected cold start before the service; 0: warm.</summary>
    public double ColdStartMs { get; internal set; }

    /// <summary>Expected service time.</summary>
    public double ServiceMs { get; internal set; }

    /// <summary>Expected time to load the model into memory, on a shared endpoint that is believed not to have it, in milliseconds.</summary>
    public double ModelLoadMs { get; internal set; }

    /// <summary>The longest the call may run: the lesser of time to the deadline and the endpoint's limit. The caller of the model must cancel it there.</summary>
    public long LongestCallMs { get; internal set; }

    /// <summary>The most that would be charged.</summary>
    public Money ChargeCap { get; internal set; }

    /// <summary>What would probably be charged.</summary>
    public Money ExpectedCharge { get; internal set; }

    /// <summary>What serving it would add to the operator's bill, in nano-dollars.</summary>
    public double MarginalCost { get; internal set; }

    /// <summary>Price of the load it adds, in nano-dollars.</summary>
    public double CongestionPrice { get; internal set; }

    /// <summary>What is minimised, in nano-dollars: marginal cost + pacing × expected charge + congestion price.</summary>
    public double Score { get; internal set; }

    /// <summary>Utilisation with this request on it: requests in flight or waiting over slots.</summary>
    public double Load { get; internal set; }

    /// <summary>Whether the request would wait among the deferred work of the endpoint, for a slot that is free anyway.</summary>
    public bool IsDeferred { get; internal set; }
}
