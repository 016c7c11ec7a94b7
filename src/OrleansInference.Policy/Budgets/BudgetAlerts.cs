using System.Text.Json.Serialization;

namespace OrleansInference.Budgets;

/// <summary>A budget window has reached a share of its limit.</summary>
/// <param name="Tenant">Whose budget.</param>
/// <param name="Window">Which window.</param>
/// <param name="Percent">The threshold: 50, 80 or 100 percent.</param>
/// <param name="Counted">What counts in the window.</param>
/// <param name="At">Unix ms.</param>
public sealed record BudgetAlert(TenantId Tenant, BudgetWindowDefinition Window, int Percent, Money Counted, long At);

/// <summary>The alerts that a window has given in its present period.</summary>
public sealed record AlertRecord
{
    /// <summary>The window's kind.</summary>
    [JsonPropertyName("kind")] public BudgetWindowKind Kind { get; init; }

    /// <summary>The window's length in seconds if it rolls.</summary>
    [JsonPropertyName("seconds")] public long Seconds { get; init; }

    /// <summary>The limit that they were given for.</summary>
    [JsonPropertyName("limit")] public long Limit { get; init; }

    /// <summary>The highest threshold given, in percent.</summary>
    [JsonPropertyName("percent")] public int Percent { get; init; }

    /// <summary>Unix ms after which alerts are given anew: the end of the period, or the first alert and a window's length.</summary>
    [JsonPropertyName("until")] public long Until { get; init; }
}

/// <summary>Gives each threshold of each window once per period.</summary>
internal sealed class BudgetAlerts(IReadOnlyList<AlertRecord>? stored)
{
    private static readonly int[] Thresholds = [50, 80, 100];

    private List<AlertRecord>? _given = stored is { Count: > 0 } ? [.. stored] : null;
    private List<BudgetAlert>? _waiting;

    public IReadOnlyList<AlertRecord>? ToList() => _given is { Count: > 0 } ? [.. _given] : null;

    /// <summary>Alerts since the last call.</summary>
    public IReadOnlyList<BudgetAlert> Take()
    {
        var waiting = _waiting;
        _waiting = null;
        return waiting ?? (IReadOnlyList<BudgetAlert>)[];
    }

    /// <summary>Looks at every window; <paramref name="refused"/> says that a request was just refused for lack of money.</summary>
    /// <returns>Whether anything changed.</returns>
    public bool Update(TenantId tenant, SpendBook book, bool refused, long now)
    {
        var changed = _given is not null && _given.RemoveAll(g => g.Until <= now) > 0;
        foreach (var window in book.Windows)
        {
            var counted = book.Counted(window, now);
            var percent = Reached(counted, window.Limit, refused);
            if (percent == 0)
            {
                continue;
            }

            var definition = window.Definition;
            _given ??= [];
            var index = _given.FindIndex(g => g.Kind == definition.Kind && g.Seconds == definition.Seconds && g.Limit == window.Limit);
            var given = index < 0 ? 0 : _given[index].Percent;
            if (percent <= given)
            {
                continue;
            }

            foreach (var threshold in Thresholds)
            {
                if (threshold > given && threshold <= percent)
                {
                    (_waiting ??= []).Add(new(tenant, definition, threshold, Money.FromNanos((long)Int128.Min(counted, long.MaxValue)), now));
                }
            }

            changed = true;
            if (index >= 0)
            {
                _given[index] = _given[index] with { Percent = percent };
            }
            else
            {
                _given.Add(new() { Kind = definition.Kind, Seconds = definition.Seconds, Limit = window.Limit, Percent = percent, Until = window.PeriodEndsAt(now) });
            }
        }

        return changed;
    }

    // Whole charges do not add up to the limit to the nano-dollar: a refusal in the last twentieth is exhaustion too.
    private static int Reached(Int128 counted, long limit, bool refused)
    {
        if (limit == 0)
        {
            return refused ? 100 : 0;
        }

        var hundredths = counted * 100;
        return hundredths >= (Int128)limit * (refused ? 95 : 100) ? 100
            : hundredths >= (Int128)limit * 80 ? 80
            : hundredths >= (Int128)limit * 50 ? 50 : 0;
    }
}
