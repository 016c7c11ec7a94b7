using System.Collections.Immutable;

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

    /// <summary>
    /// Slot-milliseconds that would be served before one more request of a tenant: all that is more urgent, the tenant's own but for what would be given up for it, and of each other tenant's as
    /// much as its share gives it until then, as in <see cref="FairQueue{T}.WorkAhead(in Ticket{T})"/>. What was told of nobody in particular counts in full, and deadlines are not told. At least 1; 0 if the work was not told.
    /// </summary>
    /// <param name="queue">What was told of the queue.</param>
    /// <param name="trafficClass">The request's class.</param>
    /// <param name="tenant">Whose request it is.</param>
    /// <param name="weight">The tenant's fair-share weight, greater than 0.</param>
    /// <param name="serviceMs">How long its call is expected to take, in milliseconds.</param>
    public static double WorkAheadOf(SlotQueueReply queue, TrafficClass trafficClass, TenantId tenant, double weight, double serviceMs)
    {
        ArgumentNullException.ThrowIfNull(queue);
        if (queue.WorkMs.IsDefaultOrEmpty || queue.Work.IsDefault || (int)trafficClass >= queue.WorkMs.Length)
        {
            return 0;
        }

        double ahead = 0;
        for (var i = 0; i <= (int)trafficClass; i++)
        {
            ahead += queue.WorkMs[i];
        }

        var work = (int)Math.Clamp(serviceMs, 1, int.MaxValue);
        double own = 0;
        foreach (var part in queue.Work)
        {
            if (part.Class == trafficClass && part.Tenant == tenant)
            {
                var isBefore = part.Length < FairShare.LengthOf(work) + FairShare.MuchLonger;
                own += isBefore ? part.WorkMs : 0;
                ahead -= isBefore ? 0 : part.WorkMs;
            }
        }

        // Of the others what is beyond their share comes later.
        var until = (own + work) / weight;
        double others = 0;
        for (var i = 0; i < queue.Work.Length; i++)
        {
            var part = queue.Work[i];
            if (part.Class == trafficClass && part.Tenant != tenant)
            {
                others += part.WorkMs;
            }

            if (i + 1 == queue.Work.Length || queue.Work[i + 1].Tenant != part.Tenant)
            {
                ahead -= Math.Max(0, others - (until * WeightOf(queue.Work, i, trafficClass)));
                others = 0;
            }
        }

        return Math.Max(1, ahead);
    }

    // Those of a tenant stand one after the other: the weight of the last of its class that is at or before a place.
    private static double WeightOf(ImmutableArray<WaitingWork> work, int last, TrafficClass trafficClass)
    {
        var at = last;
        while (at > 0 && work[at].Class != trafficClass && work[at - 1].Tenant == work[last].Tenant)
        {
            at--;
        }

        return work[at].Weight;
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
