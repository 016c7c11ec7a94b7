using System.Collections.Immutable;

namespace OrleansInference.Budgets;

/// <summary>
/// What a tenant has spent, when, and how much of it counts in each of its budget windows. One history serves all
/// windows, so a window that is added later finds what is known, as finely as it was kept.
/// </summary>
/// <remarks>
/// Why nothing is counted too short. Let every clock be within the skew S of every other, and let a charge be labelled
/// with its holder's time a of admission. It was granted by the owner's time a + S at the latest, and counts from then
/// on. It was reported by the owner's time r ≥ a − S and is recorded at r + 2S ≥ a + S, so it leaves a rolling window W
/// after a + S + W at the earliest. Hence all charges of the window position (x − W, x] are counted together at the
/// owner's time x + S, and what is counted never exceeded the limit. For a calendar period the same moment is its end + S.
/// </remarks>
internal sealed class SpendBook
{
    /// <summary>Spend is kept at least this long for windows that may be added later.</summary>
    public const long KeepSeconds = 32 * 86_400;

    private const uint CoarsestGrid = 86_400;

    private readonly long _skewMs;
    private BudgetWindow[] _windows = [];
    private Frees[] _frees = [];

    public SpendBook(long skewMs, long[]? settled, long[]? unreported, long[]? reserved)
    {
        _skewMs = skewMs;
        (Settled, Unreported, Reserved) = (new(settled), new(unreported), new(reserved));
    }

    /// <summary>Final charges.</summary>
    public SpendHistory Settled { get; }

    /// <summary>Money of holders that vanished, and of reservations that ran out: counted as spent.</summary>
    public SpendHistory Unreported { get; }

    /// <summary>Direct reservations that have not ended.</summary>
    public SpendHistory Reserved { get; }

    public ReadOnlySpan<BudgetWindow> Windows => _windows;

    public bool Limited => _windows.Length > 0;

    public void Configure(ImmutableArray<BudgetWindowDefinition> definitions, string timeZone)
    {
        var zone = definitions.Any(static d => d.Kind != BudgetWindowKind.Rolling) ? CalendarPeriods.Zone(timeZone) : TimeZoneInfo.Utc;
        _windows = [.. definitions.Select(d => new BudgetWindow(d, zone, _skewMs))];
        _frees = [.. _windows.Select(static _ => new Frees([], -1, 0, 0))];
    }

    /// <summary>The second at which something that happens now is recorded: late enough for every clock.</summary>
    public uint Label(long now) => BudgetWindow.ToSeconds(now + 2 * _skewMs);

    public void Record(SpendHistory history, uint second, long amount, long now)
    {
        if (history.Add(second, amount, CellOf(second)))
        {
            Compact(history, now);
        }
    }

    /// <summary>Everything recorded that counts in a window.</summary>
    public Int128 Counted(BudgetWindow window, long now)
    {
        var after = window.CountsAfter(now);
        return Settled.SumAfter(after) + Unreported.SumAfter(after) + Reserved.SumAfter(after);
    }

    /// <summary>What is known to be spent in a window, or must be taken to be: without what is only reserved.</summary>
    public Int128 Spent(BudgetWindow window, long now)
    {
        var after = window.CountsAfter(now);
        return Settled.SumAfter(after) + Unreported.SumAfter(after);
    }

    /// <summary>What no window forbids, after <paramref name="outstanding"/> on leases; negative after a limit was lowered. No window: no bound.</summary>
    public long Available(long outstanding, long now)
    {
        Int128 least = long.MaxValue;
        foreach (var window in _windows)
        {
            least = Int128.Min(least, window.Limit - Counted(window, now) - outstanding);
        }

        return (long)Int128.Max(least, long.MinValue / 2);
    }

    /// <summary>
    /// The first moment at which <paramref name="amount"/> fits every window if nobody else spends; null if it never will.
    /// <paramref name="holds"/> adds what is out on leases and reserved, with the time at which it is back or stops to count in the given window; it is asked
    /// again when <paramref name="version"/> has changed, or the first of those times has passed.
    /// </summary>
    public Fit? FitsAt(long amount, long outstanding, long now, long version, Action<BudgetWindow, List<Freeing>> holds)
    {
        Fit? latest = null;
        for (var i = 0; i < _windows.Length; i++)
        {
            var window = _windows[i];
            if (amount > window.Limit)
            {
                return null;
            }

            var need = amount + Counted(window, now) + outstanding - window.Limit;
            var fit = new Fit(now, window, false);
            if (need > 0)
            {
                foreach (var free in FreesOf(i, now, version, holds))
                {
                    need -= free.Amount;
                    fit = fit with { At = free.At, RestsOnHeld = fit.RestsOnHeld || free.IsHeld };
                    if (need <= 0)
                    {
                        break;
                    }
                }
            }

            latest = latest is null || fit.At > latest.Value.At ? fit : latest;
        }

        return latest;
    }

    // Who is short of money asks for several amounts running, and others as short come after it: what frees when is sorted once for all of them.
    private List<Freeing> FreesOf(int index, long now, long version, Action<BudgetWindow, List<Freeing>> holds)
    {
        var known = _frees[index];
        if (known.Version == version && now >= known.At && now < known.Until)
        {
            return known.Sorted;
        }

        var (window, frees) = (_windows[index], known.Sorted);
        frees.Clear();
        holds(window, frees);
        AddLeaving(Settled, window, now, frees);
        AddLeaving(Unreported, window, now, frees);
        frees.RemoveAll(static free => free.Amount == 0);
        frees.Sort(static (a, b) => a.At.CompareTo(b.At));
        _frees[index] = known with { Version = version, At = now, Until = frees.Count == 0 ? long.MaxValue : frees[0].At };
        return frees;
    }

    /// <summary>The cell in which a second is recorded: of the finest window, within one period of every calendar window.</summary>
    public (uint Start, uint End) CellOf(uint second)
    {
        var grid = CoarsestGrid;
        foreach (var window in _windows)
        {
            grid = Math.Min(grid, window.Grid);
        }

        var start = second / grid * grid;
        var cell = (start, start > uint.MaxValue - grid ? uint.MaxValue : start + grid);
        foreach (var window in _windows)
        {
            cell = window.Clip(cell, second);
        }

        return cell;
    }

    /// <summary>Drops and merges what is too old to be kept or kept apart.</summary>
    public void Compact(long now)
    {
        Compact(Settled, now);
        Compact(Unreported, now);
        Compact(Reserved, now);
    }

    /// <summary>Adds when each part of a history stops to count in a window.</summary>
    public static void AddLeaving(SpendHistory history, BudgetWindow window, long now, List<Freeing> frees)
    {
        for (var i = history.FirstAfter(window.CountsAfter(now)); i < history.Count; i++)
        {
            var (end, spent) = history[i];
            frees.Add(new(window.LeavesAt(end), spent, false));
        }
    }

    private void Compact(SpendHistory history, long now)
    {
        Span<SpendHistory.Resolution> needs = stackalloc SpendHistory.Resolution[_windows.Length];
        Span<uint> boundaries = stackalloc uint[2 * _windows.Length];
        var boundaryCount = 0;
        var dropUntil = BudgetWindow.ToSeconds(now - KeepSeconds * 1000);
        for (var i = 0; i < _windows.Length; i++)
        {
            var after = _windows[i].CountsAfter(now);
            needs[i] = new(after, _windows[i].Grid);
            dropUntil = Math.Min(dropUntil, after);
            if (_windows[i].IsCalendar)
            {
                var period = _windows[i].Enforced(now);
                boundaries[boundaryCount++] = BudgetWindow.ToSeconds(period.Start);
                boundaries[boundaryCount++] = BudgetWindow.ToSeconds(period.End);
            }
        }

        history.Compact(needs, boundaries[..boundaryCount], dropUntil, CoarsestGrid);
    }

    /// <summary>Money that stops to count: it left the window, or it is held and back.</summary>
    internal readonly record struct Freeing(long At, long Amount, bool IsHeld);

    /// <summary>What stops to count in a window, in order, as it was at a version of the ledger from a moment on until the first of it does.</summary>
    private readonly record struct Frees(List<Freeing> Sorted, long Version, long At, long Until);

    /// <summary>When an amount fits, the window that decides it, and whether that rests on held money coming back unspent.</summary>
    internal readonly record struct Fit(long At, BudgetWindow Window, bool RestsOnHeld);
}
