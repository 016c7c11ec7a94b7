using System.Collections.Immutable;

namespace OrleansInference.Budgets;

// What a ledger shows, and what it asks of a definition.
public sealed partial class TenantLedger
{
    /// <summary>The most windows one tenant may have.</summary>
    public const int MaxWindows = 16;

    /// <summary>What is wrong with a tenant's budgets and time zone, each in one sentence; nothing if they can be kept.</summary>
    public static IReadOnlyList<string> Problems(TenantDefinition definition)
    {
        ArgumentNullException.ThrowIfNull(definition);
        List<string> problems = [];
        if (!CalendarPeriods.TryZone(definition.TimeZone, out _))
        {
            problems.Add($"Tenant '{definition.Id}': '{definition.TimeZone}' is not a time zone known to this machine; use an IANA id such as 'UTC' or 'Europe/Berlin', and make sure that the package tzdata is installed.");
        }

        if (definition.Budgets.IsDefault)
        {
            problems.Add($"Tenant '{definition.Id}': the list of budgets is missing.");
            return problems;
        }

        if (definition.Budgets.Length > MaxWindows)
        {
            problems.Add($"Tenant '{definition.Id}': {definition.Budgets.Length} budgets; at most {MaxWindows} are allowed.");
        }

        foreach (var window in definition.Budgets)
        {
            if (window.Limit.IsNegative)
            {
                problems.Add($"Tenant '{definition.Id}': a budget's limit of {window.Limit} $ is negative; it must be 0 or more.");
            }

            if (!Enum.IsDefined(window.Kind))
            {
                problems.Add($"Tenant '{definition.Id}': budget kind {(int)window.Kind} is unknown.");
            }
            else if (window.Kind == BudgetWindowKind.Rolling && window.Seconds is < BudgetWindow.MinSeconds or > BudgetWindow.MaxSeconds)
            {
                problems.Add($"Tenant '{definition.Id}': a rolling budget of {window.Seconds} s; it must have {BudgetWindow.MinSeconds} to {BudgetWindow.MaxSeconds} s.");
            }
        }

        return problems;
    }

    /// <summary>The budget as it stands.</summary>
    public BudgetView GetView(long now)
    {
        Tick(now);
        var perMs = BudgetForecast.Fade(_recent, _recentAt, _now) / BudgetForecast.FadeMs;
        var outstanding = _escrow.Outstanding;
        var windows = ImmutableArray.CreateBuilder<BudgetWindowView>(_book.Windows.Length);
        foreach (var window in _book.Windows)
        {
            windows.Add(ViewOf(window, outstanding, perMs));
        }

        return new()
        {
            Tenant = _definition.Id,
            Windows = windows.MoveToImmutable(),
            SettledTotal = SettledTotal,
            UnreportedTotal = UnreportedTotal,
            Reserved = Nanos(_book.Reserved.SumAfter(0)),
            Leases = [.. _escrow.Leases.Select(static l => new LeaseView
            {
                Holder = l.Holder,
                Outstanding = Money.FromNanos(l.Outstanding),
                Pending = Money.FromNanos(Math.Min(l.Pending, l.Outstanding)),
                SpendUntil = Time(l.SpendUntil),
            })],
            At = Time(_now),
            LimitChangeRouterSeconds = _escrow.Options.ReportMs / 1000.0,
            SpendPerHour = Money.FromNanos((long)Math.Min(perMs * 3_600_000, long.MaxValue / 2)),
        };
    }

    private BudgetWindowView ViewOf(BudgetWindow window, long outstanding, double perMs)
    {
        var after = window.CountsAfter(_now);
        var unreported = _book.Unreported.SumAfter(after);
        var counted = _book.Counted(window, _now);
        var reserved = Nanos(_book.Reserved.SumAfter(after));
        var given = _alerts.GivenFor(window, _now);
        var view = new BudgetWindowView
        {
            Window = window.Definition,
            Reserved = reserved,
            Leased = Money.FromNanos(outstanding),
            BeyondLimit = Nanos(Int128.Clamp(counted + outstanding - window.Limit, 0, outstanding + (Int128)reserved.Nanos)),
            OverLimit = Nanos(Int128.Max(0, counted + outstanding - window.Limit)),
            Alerts = _definition.AlertPercents.IsDefault ? [] : [.. _definition.AlertPercents.Where(percent => percent <= given)],
            Settled = Nanos(_book.Settled.SumAfter(after)),
            Unreported = Nanos(unreported),
            Available = Nanos(Int128.Max(0, window.Limit - counted - outstanding)),
            FreesAt = FreesAt(window, after) is { } frees ? Time(frees) : null,
            ExhaustedAt = BudgetForecast.ExhaustedAt(_book, window, perMs, _now) is { } exhausted ? Time(exhausted) : null,
        };
        var pace = Pacing.Pace(view, perMs, window.LengthMs(_now), _now);
        return view with { Pace = double.IsFinite(pace) ? pace : double.MaxValue };
    }

    private long? FreesAt(BudgetWindow window, uint after)
    {
        long? first = null;
        foreach (var history in (ReadOnlySpan<SpendHistory>)[_book.Settled, _book.Unreported, _book.Reserved])
        {
            var i = history.FirstAfter(after);
            if (i < history.Count)
            {
                var leaves = window.LeavesAt(history[i].End);
                first = first is null ? leaves : Math.Min(first.Value, leaves);
            }
        }

        return first;
    }

    private static Money Nanos(Int128 nanos) => Money.FromNanos((long)Int128.Min(nanos, long.MaxValue));

    private static DateTimeOffset Time(long ms) => DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(ms, 0, 253_402_300_799_999));

    private static void Require(TenantDefinition definition)
    {
        if (Problems(definition) is { Count: > 0 } problems)
        {
            throw new ArgumentException(string.Join(' ', problems), nameof(definition));
        }
    }
}
