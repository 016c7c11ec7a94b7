namespace OrleansInference.Leases;

/// <summary>How a call on a slot ended, for the endpoint's statistics.</summary>
internal enum CallEnd
{
    /// <summary>With a prediction.</summary>
    Answered = 0,

    /// <summary>AWS took no more.</summary>
    Throttled = 1,

    /// <summary>AWS failed.</summary>
    Failed = 2,

    /// <summary>Without a prediction, but not by a fault of AWS: the model refused, the caller gave up, time ran out.</summary>
    Unanswered = 3,

    /// <summary>Run to its end by the model after nobody waited for it any more.</summary>
    SeenOff = 4,
}
