using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace OrleansInference.Budgets;

/// <summary>A budget window has reached a share of its limit.</summary>
/// <param name="Tenant">Whose budget.</param>
/// <param name="Window">Which window.</param>
/// <param name="Percent">The threshold in percent.</param>
/// <param name="Counted">What is spent in the window, without what is only reserved or leased.</param>
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
    /// <summary>The most thresholds a tenant may have.</summary>
    public const int MaxThresholds = 16;

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
    public bool Update(TenantDefinition tenant, SpendBook book, bool refused, long now)
    {
        var thresholds = tenant.AlertPercents.IsDefault ? [] : tenant.AlertPercents;
        var changed = _given is not null && _given.RemoveAll(g => g.Until <= now) > 0;
        foreach (var window in book.Windows)
        {
            var counted = book.Spent(window, now);
            var percent = Reached(counted, window.Limit, refused, thresholds);
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

            foreach (var threshold in thresholds)
            {
                if (threshold > given && threshold <= percent)
                {
                    (_waiting ??= []).Add(new(tenant.Id, definition, threshold, Money.FromNanos((long)Int128.Min(counted, long.MaxValue)), now));
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

    /// <summary>The highest threshold that a window has given in its present period; 0: none.</summary>
    public int GivenFor(BudgetWindow window, long now)
    {
        var definition = window.Definition;
        return _given?.Find(g => g.Kind == definition.Kind && g.Seconds == definition.Seconds && g.Limit == window.Limit && g.Until > now)?.Percent ?? 0;
    }

    // Whole charges do not add up to the limit to the nano-dollar: a refusal in the last twentieth is exhaustion too.
    private static int Reached(Int128 counted, long limit, bool refused, ImmutableArray<int> thresholds)
    {
        var reached = 0;
        foreach (var threshold in thresholds)
        {
            var isReached = limit == 0 ? refused : counted * 100 >= (Int128)limit * (refused && threshold == 100 ? 95 : threshold);
            reached = isReached ? Math.Max(reached, threshold) : reached;
        }

        return reached;
    }
}
