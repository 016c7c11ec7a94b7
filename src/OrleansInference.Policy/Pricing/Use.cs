namespace OrleansInference.Pricing;

/// <summary>What a request used of an endpoint: the quantities that a <see cref="Tariff"/> prices. None is negative.</summary>
public readonly record struct Use
{
    /// <summary>Milliseconds that one slot was busy, from send to answer.</summary>
    public long SlotMilliseconds { get; init; }

    /// <summary>Requests sent.</summary>
    public long Requests { get; init; }

    /// <summary>Input tokens.</summary>
    public long InputTokens { get; init; }

    /// <summary>Output tokens.</summary>
    public long OutputTokens { get; init; }

    /// <summary>Bytes of request and response bodies together.</summary>
    public long Bytes { get; init; }
}
