using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansInference.Budgets;

/// <summary>Called before each atomic step on shared state, so that a test can choose which thread goes next.</summary>
internal interface ILeaseStep
{
    void Next();

    /// <summary>The cell that the caller is to use first, of so many.</summary>
    int Local(int cells);
}

/// <summary>No test watches: the call vanishes.</summary>
internal readonly struct Unwatched : ILeaseStep
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Next()
    {
    }

    /// <summary>The cell of the core that runs the caller.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Local(int cells) => (int)((uint)Thread.GetCurrentProcessorId() % (uint)cells);
}

/// <summary>
/// Units that any thread may take and put back without a lock. They lie in one cell per core, each on cache lines of its
/// own: a thread takes from its cell first and gathers from the others when that is empty. Every unit is in exactly one
/// cell or in exactly one thread's hands, because every step is one atomic instruction on one cell.
/// </summary>
internal sealed class LeaseCells<TStep>
    where TStep : struct, ILeaseStep
{
    /// <summary>The most units that may ever be put in.</summary>
    public const long MaxUnits = 1L << 60;

    // A closed cell is so far below zero that no amount put into it makes it positive.
    private const long ClosedOffset = 1L << 62;
    private const int GatherAttempts = 4;

    private readonly LeaseCell[] _cells;
    private readonly TStep _step;
    private int _closed;

    public LeaseCells(int cells, TStep step)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(cells, 1);
        _cells = new LeaseCell[cells];
        _step = step;
    }

    public int Count => _cells.Length;

    public bool IsClosed => Volatile.Read(ref _closed) != 0;

    /// <summary>The cell that the caller should use first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Local() => _cells.Length == 1 ? 0 : _step.Local(_cells.Length);

    /// <summary>Takes the amount if it is there. May fail while other threads hold parts of it in their hands.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryTake(int local, long amount)
    {
        ref var available = ref _cells[local].Available;
        _step.Next();
        var have = Volatile.Read(ref available);
        while (have >= amount)
        {
            _step.Next();
            var seen = Interlocked.CompareExchange(ref available, have - amount, have);
            if (seen == have)
            {
                return true;
            }

            have = seen;
        }

        return _cells.Length > 1 && have > -ClosedOffset / 2 && TryGather(local, amount);
    }

    /// <summary>Puts units in.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Put(int local, long amount)
    {
        _step.Next();
        Interlocked.Add(ref _cells[local].Available, amount);
    }

    /// <summary>Counts units as spent.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Settle(int local, long charged)
    {
        _step.Next();
        Interlocked.Add(ref _cells[local].Settled, charged);
    }

    /// <summary>Counts the beginning of an attempt to take units, for the measure of demand and for <see cref="Open"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Ask(int local, long amount)
    {
        Interlocked.Add(ref _cells[local].Asked, amount);
        _step.Next();
        Interlocked.Increment(ref _cells[local].Asks);
    }

    /// <summary>Counts the end of what began with <see cref="Ask"/>; the last step of it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void End(int local)
    {
        _step.Next();
        Interlocked.Increment(ref _cells[local].Ends);
    }

    /// <summary>Attempts and reservations that have not ended: never less than what is true when the call begins.</summary>
    public long Open()
    {
        // Ends are read before beginnings, or one that ends in between would hide one that goes on.
        var open = 0L;
        for (var i = 0; i < _cells.Length; i++)
        {
            _step.Next();
            open -= Volatile.Read(ref _cells[i].Ends);
        }

        for (var i = 0; i < _cells.Length; i++)
        {
            _step.Next();
            open += Volatile.Read(ref _cells[i].Asks);
        }

        return open;
    }

    /// <summary>Puts units in, spread over the cells if there are enough.</summary>
    public void Spread(long amount, long atLeastEach)
    {
        if (amount / _cells.Length < Math.Max(1, atLeastEach))
        {
            Put(Local(), amount);
            return;
        }

        for (var i = 0; i < _cells.Length; i++)
        {
            var part = amount / (_cells.Length - i);
            amount -= part;
            Put(i, part);
        }
    }

    /// <summary>Takes up to an amount from wherever it is.</summary>
    public long TakeUpTo(int local, long amount)
    {
        var got = 0L;
        for (var i = 0; i < _cells.Length && got < amount; i++)
        {
            ref var available = ref _cells[(local + i) % _cells.Length].Available;
            _step.Next();
            var have = Volatile.Read(ref available);
            while (have > 0)
            {
                var part = Math.Min(have, amount - got);
                _step.Next();
                var seen = Interlocked.CompareExchange(ref available, have - part, have);
                if (seen == have)
                {
                    got += part;
                    break;
                }

                have = seen;
            }
        }

        return got;
    }

    /// <summary>From now on nothing can be taken but by <see cref="Drain"/>. One caller, once.</summary>
    public void Close()
    {
        Volatile.Write(ref _closed, 1);
        for (var i = 0; i < _cells.Length; i++)
        {
            _step.Next();
            Interlocked.Add(ref _cells[i].Available, -ClosedOffset);
        }
    }

    /// <summary>After <see cref="Close"/>: takes all units that have been put back. One caller at a time.</summary>
    public long Drain()
    {
        var drained = 0L;
        for (var i = 0; i < _cells.Length; i++)
        {
            _step.Next();
            var units = Volatile.Read(ref _cells[i].Available) + ClosedOffset;
            _step.Next();
            Interlocked.Add(ref _cells[i].Available, -units);
            drained += units;
        }

        return drained;
    }

    /// <summary>Units in the cells; cells are read one after the other.</summary>
    public long Available()
    {
        var sum = 0L;
        for (var i = 0; i < _cells.Length; i++)
        {
            _step.Next();
            sum += Math.Max(0, Volatile.Read(ref _cells[i].Available));
        }

        return sum;
    }

    public long AvailableIn(int cell) => Volatile.Read(ref _cells[cell].Available);

    /// <summary>Units spent so far; at most what was true when the call returns.</summary>
    public long Settled()
    {
        var sum = 0L;
        for (var i = 0; i < _cells.Length; i++)
        {
            _step.Next();
            sum += Volatile.Read(ref _cells[i].Settled);
        }

        return sum;
    }

    /// <summary>Units and attempts counted by <see cref="Ask"/>.</summary>
    public (long Units, long Times) Asked()
    {
        var (units, times) = (0L, 0L);
        for (var i = 0; i < _cells.Length; i++)
        {
            units += Volatile.Read(ref _cells[i].Asked);
            times += Volatile.Read(ref _cells[i].Asks);
        }

        return (units, times);
    }

    // Two gatherers may each hold a part of what only one can have. Both put back and look again; the bound on attempts
    // keeps it wait-free, and who fails asks the owner, which is where an empty lease leads anyway.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryGather(int local, long amount)
    {
        for (var attempt = 0; attempt < GatherAttempts; attempt++)
        {
            if (Available() < amount)
            {
                return false;
            }

            var got = TakeUpTo(local, amount);
            if (got == amount)
            {
                return true;
            }

            if (got > 0)
            {
                Put(local, got);
            }
        }

        return false;
    }
}

/// <summary>
/// One core's units and counts, in the middle of 256 bytes: at least a cache line from the next cell's and from what else lies before
/// or after the array, wherever the array begins; processors fetch lines in pairs, and the lease that all cores read was made next to it.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal struct LeaseCell
{
    /// <summary>Units that can be taken.</summary>
    [FieldOffset(104)] public long Available;

    /// <summary>Units spent for good.</summary>
    [FieldOffset(112)] public long Settled;

    /// <summary>Units asked for.</summary>
    [FieldOffset(120)] public long Asked;

    /// <summary>Times that units were asked for.</summary>
    [FieldOffset(128)] public long Asks;

    /// <summary>Times that what was asked for ended: refused, or settled.</summary>
    [FieldOffset(136)] public long Ends;
}
