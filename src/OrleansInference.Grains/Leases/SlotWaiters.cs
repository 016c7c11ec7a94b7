using System.Collections.Immutable;

namespace OrleansInference.Leases;

/// <summary>A request that asks for a slot.</summary>
/// <param name="Class">Its class.</param>
/// <param name="Tenant">Whose it is.</param>
/// <param name="Weight">The tenant's fair-share weight, greater than 0.</param>
/// <param name="UsefulUntil">The last moment at which a slot is of use to it, Unix ms.</param>
/// <param name="ServiceMs">How long its call is expected to take, in milliseconds.</param>
/// <param name="SlackMs">How long it could wait and still be in time if its call takes as long as expected, in milliseconds.</param>
/// <param name="IsDeferred">Whether it is deferred work, which is no demand that instances are planned for by its arrivals.</param>
internal readonly record struct SlotAsk(TrafficClass Class, TenantId Tenant, double Weight, long UsefulUntil, double ServiceMs, double SlackMs, bool IsDeferred = false);

/// <summary>A slot, or why there is none.</summary>
/// <param name="Slot">The slot; null if there is none.</param>
/// <param name="Refusal">Why there is none.</param>
/// <param name="RetryAfterMs">In how many milliseconds another attempt may fare better; 0 if that is not known.</param>
internal readonly record struct SlotResult(HeldLease? Slot, SlotVerdict Refusal = SlotVerdict.Expired, long RetryAfterMs = 0);

/// <summary>One request that waits.</summary>
internal sealed class SlotWaiter(SlotTicket ticket)
{
    public SlotTicket Ticket { get; private set; } = ticket;

    /// <summary>Whether it waits no more.</summary>
    public bool HasLeft { get; set; }

    /// <summary>Whether the endpoint's grain is being told or has been told of it.</summary>
    public bool IsTold { get; set; }

    public TaskCompletionSource<SlotResult> Served { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Waits anew under another ticket.</summary>
    public void Renew(long id)
    {
        Ticket = Ticket with { Id = id };
        (HasLeft, IsTold) = (false, false);
    }
}

/// <summary>The requests of this silo that wait for a slot of one endpoint, and what its grain has yet to be told of them. Bounded. Safe for concurrent use.</summary>
internal sealed class SlotWaiters
{
    /// <summary>The most that wait.</summary>
    public const int MaxWaiting = 10_000;

    /// <summary>The most told in one message.</summary>
    public const int MaxTold = 1_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<long, SlotWaiter> _waiting = [];
    private readonly Queue<SlotWaiter> _untold = new();
    private readonly List<long> _left = [];
    private readonly int[] _counts = new int[3];
    private long _lastId;
    private int _count;

    /// <summary>How many wait.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Whether there is something to tell.</summary>
    public bool HasNews
    {
        get
        {
            lock (_lock)
            {
                return _untold.Count > 0 || _left.Count > 0;
            }
        }
    }

    /// <summary>How many of a class or a more urgent one wait.</summary>
    public int CountUpTo(TrafficClass trafficClass)
    {
        var sum = 0;
        for (var i = 0; i <= (int)trafficClass; i++)
        {
            sum += Volatile.Read(ref _counts[i]);
        }

        return sum;
    }

    /// <summary>Whether any of a class or a more urgent one waits.</summary>
    public bool AnyUpTo(TrafficClass trafficClass) => Count > 0 && CountUpTo(trafficClass) > 0;

    /// <summary>Joins; null if too many wait.</summary>
    public SlotWaiter? Join(in SlotAsk ask)
    {
        lock (_lock)
        {
            if (_count >= MaxWaiting)
            {
                return null;
            }

            var waiter = new SlotWaiter(new(++_lastId, ask.Tenant, ask.Weight, ask.Class, ask.UsefulUntil, (int)Math.Clamp(ask.ServiceMs, 1, int.MaxValue)));
            Add_NeedsLock(waiter);
            return waiter;
        }
    }

    /// <summary>Leaves without a slot; false if it was answered meanwhile.</summary>
    public bool Leave(SlotWaiter waiter)
    {
        lock (_lock)
        {
            if (waiter.HasLeft)
            {
                return false;
            }

            Remove_NeedsLock(waiter);
            if (waiter.IsTold)
            {
                _left.Add(waiter.Ticket.Id);
            }

            return true;
        }
    }

    /// <summary>Answers a ticket. One that was called and finds no slot, or is to ask again, goes on waiting under a new ticket.</summary>
    public void Answer(in SlotAnswer answer, Func<TrafficClass, HeldLease?> tryTake)
    {
        lock (_lock)
        {
            if (_waiting.GetValueOrDefault(answer.Ticket) is not { } waiter)
            {
                return;
            }

            var slot = answer.Verdict == SlotVerdict.Called ? tryTake(waiter.Ticket.Class) : null;
            Remove_NeedsLock(waiter);
            if (slot is null && answer.Verdict is SlotVerdict.Called or SlotVerdict.AskAgain)
            {
                waiter.Renew(++_lastId);
                Add_NeedsLock(waiter);
                return;
            }

            waiter.Served.SetResult(new(slot, answer.Verdict, answer.RetryAfterMs));
        }
    }

    /// <summary>What the grain is to be told; <see cref="Untold"/> if it could not be.</summary>
    public (ImmutableArray<SlotTicket> Joined, ImmutableArray<long> Left) Telling()
    {
        lock (_lock)
        {
            var joined = ImmutableArray.CreateBuilder<SlotTicket>();
            while (joined.Count < MaxTold && _untold.TryDequeue(out var waiter))
            {
                if (!waiter.HasLeft)
                {
                    waiter.IsTold = true;
                    joined.Add(waiter.Ticket);
                }
            }

            ImmutableArray<long> left = [.. _left];
            _left.Clear();
            return (joined.ToImmutable(), left);
        }
    }

    /// <summary>What was being told may not have arrived.</summary>
    public void Untold(ImmutableArray<SlotTicket> joined, ImmutableArray<long> left)
    {
        lock (_lock)
        {
            foreach (var ticket in joined)
            {
                if (_waiting.GetValueOrDefault(ticket.Id) is { } waiter)
                {
                    _untold.Enqueue(waiter);
                }
            }

            _left.AddRange(left);
        }
    }

    /// <summary>The grain has forgotten who waits.</summary>
    public void TellAgain()
    {
        lock (_lock)
        {
            _untold.Clear();
            _left.Clear();
            foreach (var waiter in _waiting.Values)
            {
                _untold.Enqueue(waiter);
            }
        }
    }

    /// <summary>Answers all that wait with a refusal.</summary>
    public void TurnAway(SlotVerdict verdict)
    {
        lock (_lock)
        {
            foreach (var waiter in _waiting.Values.ToArray())
            {
                Remove_NeedsLock(waiter);
                if (waiter.IsTold)
                {
                    _left.Add(waiter.Ticket.Id);
                }

                waiter.Served.SetResult(new(null, verdict));
            }
        }
    }

    /// <summary>Serves by class, deadline and arrival while <paramref name="tryTake"/> finds slots: for when the grain cannot say whose turn it is.</summary>
    public void ServeHere(Func<TrafficClass, HeldLease?> tryTake)
    {
        lock (_lock)
        {
            foreach (var waiter in _waiting.Values.OrderBy(each => (each.Ticket.Class, each.Ticket.Deadline, each.Ticket.Id)).ToArray())
            {
                if (tryTake(waiter.Ticket.Class) is not { } slot)
                {
                    return;
                }

                Remove_NeedsLock(waiter);
                if (waiter.IsTold)
                {
                    _left.Add(waiter.Ticket.Id);
                }

                waiter.Served.SetResult(new(slot));
            }
        }
    }

    private void Add_NeedsLock(SlotWaiter waiter)
    {
        _waiting.Add(waiter.Ticket.Id, waiter);
        _untold.Enqueue(waiter);
        _counts[(int)waiter.Ticket.Class]++;
        _count++;
    }

    private void Remove_NeedsLock(SlotWaiter waiter)
    {
        waiter.HasLeft = true;
        _waiting.Remove(waiter.Ticket.Id);
        _counts[(int)waiter.Ticket.Class]--;
        _count--;
    }
}
