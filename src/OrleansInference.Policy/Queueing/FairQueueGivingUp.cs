namespace OrleansInference.Queueing;

// In overload a tenant's longest tickets are given up for its shorter ones.
public sealed partial class FairQueue<T>
{
    private const int MostLookedAt = 1_024;

    private int[]? _near;
    private Comparison<int>? _longestFirst;

    /// <summary>Gives up the longest of the tenant's tickets that are due before one for which there is no time; false if it would not be in time for that, and then none is.</summary>
    private bool TryGiveUp(int tenant, in Ticket<T> ticket, double ahead, int slotsInUse, long slack, ICollection<Ticket<T>> givenUp)
    {
        var fair = _classes[(int)ticket.Class];
        var work = Math.Max(1, ticket.ServiceMs);
        if (_slots.WaitMs(ahead - fair.MuchLongerAhead(tenant, long.MaxValue, work), ticket.Class, slotsInUse) > slack)
        {
            return false;
        }

        _near ??= new int[MostLookedAt];
        _longestFirst ??= LongestFirst;

        var count = 0;
        foreach (var node in _near.AsSpan(0, fair.LastUpTo(tenant, ticket.Deadline, _near)))
        {
            if (FairShare.IsMuchLonger(_order.Work(node), work))
            {
                _near[count++] = node;
            }
        }

        var longer = _near.AsSpan(0, count);
        longer.Sort(_longestFirst);
        for (var i = 0; i < longer.Length; i++)
        {
            ahead -= _order.Work(longer[i]);
            if (_slots.WaitMs(ahead, ticket.Class, slotsInUse) <= slack)
            {
                foreach (var node in longer[..(i + 1)])
                {
                    givenUp.Add(_waiting[node].Ticket);
                    RemoveNode(node);
                }

                return true;
            }
        }

        return false;
    }

    // Of those that take as long the one that is due last has waited least.
    private int LongestFirst(int one, int other) =>
        (_order.Work(other), _order.Key(other), other).CompareTo((_order.Work(one), _order.Key(one), one));
}
