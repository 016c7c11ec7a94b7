using System.Globalization;

namespace OrleansInference.Budgets;

/// <summary>
/// A budget window's geometry: which spans of recorded spend count at a moment, and when they stop to. It holds no money.
/// Times of spend are whole Unix seconds (<c>uint</c>), moments are Unix milliseconds.
/// </summary>
internal sealed class BudgetWindow
{
    /// <summary>Shortest rolling window in seconds.</summary>
    public const long MinSeconds = 60;

    /// <summary>Longest rolling window in seconds: 366 days.</summary>
    public const long MaxSeconds = 31_622_400;

    // Each step divides the next, so that a span merged on a coarser grid stays within one cell of every coarser window.
    private static readonly uint[] Grids = [1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400, 172_800, 345_600];

    private readonly CalendarPeriods? _periods;
    private readonly long _skewMs;
    private Period _period;

    public BudgetWindow(BudgetWindowDefinition definition, TimeZoneInfo zone, long skewMs)
    {
        Definition = definition;
        _skewMs = skewMs;
        if (definition.Kind == BudgetWindowKind.Rolling)
        {
            Grid = Array.Find(Grids, g => g >= definition.Seconds / 128.0);
        }
        else
        {
            _periods = new(zone, months: definition.Kind == BudgetWindowKind.CalendarMonth);
            Grid = definition.Kind == BudgetWindowKind.CalendarDay ? 3600u : 86_400u;
        }
    }

    public BudgetWindowDefinition Definition { get; }

    public long Limit => Definition.Limit.Nanos;

    public bool IsCalendar => _periods is not null;

    /// <summary>Seconds of the cells in which spend is recorded for this window.</summary>
    public uint Grid { get; }

    /// <summary>
    /// Recorded spend counts at <paramref name="now"/> if its span ends after this second. A rolling window drops a cell
    /// only when the whole cell is older than the window. A calendar window goes on for the clock skew after its end,
    /// because a holder whose clock is behind may still be spending in it.
    /// </summary>
    public uint CountsAfter(long now) => _periods is null
        ? ToSeconds((now / 1000 - Definition.Seconds) / Grid * Grid * 1000)
        : ToSeconds(PeriodAt(now - _skewMs).Start);

    /// <summary>The first moment at which spend of a span ending at <paramref name="end"/> no longer counts.</summary>
    public long LeavesAt(uint end) => _periods is null
        ? ((end + (long)Grid - 1) / Grid * Grid + Definition.Seconds) * 1000
        : _periods.Containing(end * 1000L - 1).End + _skewMs;

    /// <summary>The period that is enforced at <paramref name="now"/>; only for calendar windows.</summary>
    public Period Enforced(long now) => PeriodAt(now - _skewMs);

    /// <summary>When something that happens once per period may happen again: for a rolling window after its length.</summary>
    public long PeriodEndsAt(long now) => _periods is null ? now + Definition.Seconds * 1000 : Enforced(now).End + _skewMs;

    /// <summary>The part of <paramref name="cell"/> around a second that lies in one calendar period.</summary>
    public (uint Start, uint End) Clip((uint Start, uint End) cell, uint second)
    {
        if (_periods is null)
        {
            return cell;
        }

        var period = PeriodAt(second * 1000L);
        return (Math.Max(cell.Start, ToSeconds(period.Start)), Math.Min(cell.End, ToSeconds(period.End)));
    }

    /// <summary>Length in milliseconds at <paramref name="now"/>.</summary>
    public long LengthMs(long now)
    {
        if (_periods is null)
        {
            return Definition.Seconds * 1000;
        }

        var period = Enforced(now);
        return period.End - period.Start;
    }

    /// <summary>The window in words, for reasons and alerts.</summary>
    public string Describe() => Definition.Kind switch
    {
        BudgetWindowKind.CalendarDay => $"{Definition.Limit} $ per calendar day",
        BudgetWindowKind.CalendarMonth => $"{Definition.Limit} $ per calendar month",
        _ => string.Create(CultureInfo.InvariantCulture, $"{Definition.Limit} $ per rolling {Definition.Seconds} s"),
    };

    /// <summary>Whole seconds of a moment, held within what can be stored (years 1970 to 2106).</summary>
    public static uint ToSeconds(long ms) => (uint)Math.Clamp(ms / 1000, 0, uint.MaxValue);

    private Period PeriodAt(long instant)
    {
        // Time moves on slowly, and finding a period asks the time zone several times: the last one is kept.
        var period = _period;
        if (!period.Contains(instant))
        {
            _period = period = _periods!.Containing(instant);
        }

        return period;
    }
}
