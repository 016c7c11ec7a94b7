namespace OrleansInference.Routing;

/// <summary>The rule that took a candidate out. Rules are tried in this order; the first that applies is named.</summary>
public enum DropReason
{
    /// <summary>Not dropped.</summary>
    None = 0,

    /// <summary>It failed this request before.</summary>
    Excluded = 1,

    /// <summary>The operator drains it.</summary>
    Draining = 2,

    /// <summary>It has failed, or its breaker is open.</summary>
    Unhealthy = 3,

    /// <summary>Its lane is not among those the request allows.</summary>
    Lane = 4,

    /// <summary>The variant's quality is below the floor.</summary>
    Quality = 5,

    /// <summary>It cannot stream.</summary>
    Streaming = 6,

    /// <summary>The body is larger than the lane takes.</summary>
    Payload = 7,

    /// <summary>The caller takes no job and may not be kept waiting for this lane.</summary>
    CannotDefer = 8,

    /// <summary>It can never have an instance.</summary>
    NoCapacity = 9,

    /// <summary>Its charge cap is above the most the request may be charged.</summary>
    ChargeAboveMax = 10,

    /// <summary>The call would probably run longer than the lane allows.</summary>
    ServiceTooLong = 11,

    /// <summary>It would probably not answer by the deadline.</summary>
    Deadline = 12,

    /// <summary>The fixed rule sends this class to another lane.</summary>
    FixedRule = 13,

    /// <summary>Its charge cap is above what the tenant's budget covers.</summary>
    Budget = 14,

    /// <summary>Affordable, but only by a step the tenant's low-budget policy does not take.</summary>
    LowBudgetPolicy = 15,

    /// <summary>It would do, at a higher score than the chosen one.</summary>
    CostsMore = 16,

    /// <summary>As good as the chosen one, which is less loaded or was drawn.</summary>
    Tie = 17,

    /// <summary>Nothing meets the deadline, and another is likelier to come close.</summary>
    LessLikely = 18,
}
