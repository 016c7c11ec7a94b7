namespace OrleansInference.Queueing;

/// <summary>A request that waits for a slot of an endpoint.</summary>
/// <typeparam name="T">What the owner of the queue needs to answer it, such as the silo that holds the request.</typeparam>
public readonly record struct Ticket<T>
{
    /// <summary>Names it in the queue.</summary>
    public required long Id { get; init; }

    /// <summary>Whose request it is.</summary>
    public required TenantId Tenant { get; init; }

    /// <summary>The tenant's fair-share weight, greater than 0; the one heard last holds for all that the tenant has waiting in the class.</summary>
    public double Weight { get; init; } = 1;

    /// <summary>Its class.</summary>
    public required TrafficClass Class { get; init; }

    /// <summary>The last moment at which a slot is of use to it, Unix ms: the request's deadline less the time that its call needs.</summary>
    public required long Deadline { get; init; }

    /// <summary>Slot-milliseconds that its call is expected to take: what its turn costs the tenant's share. At least 1 is counted.</summary>
    public int ServiceMs { get; init; } = 1;

    /// <summary>The most slots in use with the one it takes; no bound for <see cref="TrafficClass.High"/>.</summary>
    public int MostInUse { get; init; } = int.MaxValue;

    /// <summary>What its owner needs to answer it.</summary>
    public T? Holder { get; init; }

    /// <summary>A ticket; set its members.</summary>
    public Ticket()
    {
    }
}
