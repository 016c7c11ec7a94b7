namespace OrleansInference.Queueing;

/// <summary>A request's turn in an endpoint's queue: until when it is of use, and whose comes before it, from what the queue tells the silos of it: what a quote counts as ahead.</summary>
public static class FairTurn
{
    /// <summary>
    /// Requests that would be served before one more of a tenant: all that are more urgent, the tenant's own, and of each other tenant's as many as its share gives it
    /// until then (start-time fair queueing, as in <see cref="FairQueue{T}"/>). Those of tenants that were not told count one turn each.
    /// </summary>
    /// <param name="queue">What was told of the queue.</param>
    /// <param name="trafficClass">The request's class.</param>
    /// <param name="tenant">Whose request it is.</param>
    /// <param name="weight">The tenant's fair-share weight, greater than 0.</param>
    public static int AheadOf(SlotQueueReply queue, TrafficClass trafficClass, TenantId tenant, double weight)
    {
        ArgumentNullException.ThrowIfNull(queue);
        var waiting = (int)trafficClass < queue.Waiting.Length ? queue.Waiting[(int)trafficClass] : 0;
        var (own, told) = (0, 0);
        foreach (var other in queue.Tenants)
        {
            own = other.Tenant == tenant ? other.Of(trafficClass) : own;
            told += other.Of(trafficClass);
        }

        double turns = own + Math.Max(0, waiting - told);
        foreach (var other in queue.Tenants)
        {
            if (other.Tenant != tenant)
            {
                turns += Math.Min(other.Of(trafficClass), Math.Ceiling((own + 1) * other.Weight / weight));
            }
        }

        return (int)Math.Min(int.MaxValue, WaitingUpTo(queue, trafficClass) - waiting + turns);
    }

    /// <summary>The last moment at which a call should get its turn, Unix ms: by its deadline it has ended, but who has hardly time enough may wait for a quarter of it.</summary>
    /// <param name="serviceMs">How long the call will hardly exceed, in milliseconds, 0 or more.</param>
    /// <param name="deadline">The request's deadline, Unix ms.</param>
    /// <param name="now">Unix ms.</param>
    public static long LastBegin(double serviceMs, long deadline, long now) =>
        Math.Max(deadline - (long)Math.Min(serviceMs, long.MaxValue / 4), now + ((deadline - now) / 4));

    /// <summary>Requests of a class and of more urgent ones that wait.</summary>
    public static int WaitingUpTo(SlotQueueReply queue, TrafficClass trafficClass)
    {
        ArgumentNullException.ThrowIfNull(queue);
        var sum = 0;
        for (var i = 0; i < queue.Waiting.Length && i <= (int)trafficClass; i++)
        {
            sum += queue.Waiting[i];
        }

        return sum;
    }
}
