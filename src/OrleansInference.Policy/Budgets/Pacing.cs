using System.Text.Json.Serialization;

namespace OrleansInference.Budgets;

/// <summary>A <see cref="Pacing"/> as it is stored.</summary>
/// <param name="Multiplier">The dual variable.</param>
/// <param name="At">Unix ms of the last observation.</param>
public sealed record PacingState([property: JsonPropertyName("multiplier")] double Multiplier, [property: JsonPropertyName("at")] long At);

/// <summary>
/// The weight of a tenant's charges in route decisions: the dual variable of its tightest budget. It rises when spend runs
/// ahead of the window's pace and falls when it is behind, so that cheap lanes are preferred before the money is gone. One
/// step of mirror descent with the entropy mirror map is a multiplication (Balseiro, Lu, Mirrokni, "The Best of Many
/// Worlds: Dual Mirror Descent for Online Allocation Problems", 2023). Not thread-safe.
/// </summary>
public sealed class Pacing
{
    /// <summary>The largest weight: a dollar charged then counts as a hundred dollars of cost.</summary>
    public const double MaxWeight = 100;

    // A multiplicative step cannot leave zero: this is where it starts, and at or below it the weight is none.
    private const double Floor = 0.01;
    private const double MaxStep = 3;

    private double _multiplier;
    private long _at;

    /// <summary>Begins with no weight, or with what was stored.</summary>
    public Pacing(PacingState? state = null)
    {
        _multiplier = state is null || !double.IsFinite(state.Multiplier) ? Floor : Math.Clamp(state.Multiplier, Floor, MaxWeight);
        _at = state?.At ?? 0;
    }

    /// <summary>The weight, 0..<see cref="MaxWeight"/>.</summary>
    public double Weight => _multiplier <= Floor ? 0 : _multiplier;

    /// <summary>The pacing as it is to be stored.</summary>
    public PacingState ToState() => new(_multiplier, _at);

    /// <summary>Takes the budget as it stands.</summary>
    /// <param name="view">Windows and recent rate of spend.</param>
    /// <param name="now">Unix ms; an earlier one than the last changes nothing.</param>
    public void Observe(BudgetView view, long now)
    {
        ArgumentNullException.ThrowIfNull(view);
        var elapsed = now - _at;
        if (_at == 0 || elapsed <= 0)
        {
            _at = Math.Max(_at, now);
            return;
        }

        _at = now;
        var step = double.NegativeInfinity;
        foreach (var window in view.Windows)
        {
            var lengthMs = LengthMs(window.Window);
            var ahead = Pace(window, view.SpendPerHour.Nanos / 3_600_000.0, lengthMs, now) - 1;

            // A short window reacts within seconds, a long one within minutes.
            var settleMs = Math.Clamp(lengthMs / 50, 10_000, 600_000);

            // It falls for as long as nobody looked, for nothing was spent in that time; it rises only by what has been seen.
            step = Math.Max(step, Math.Clamp(ahead, -1, MaxStep) * (ahead < 0 ? elapsed / settleMs : Math.Min(1, elapsed / settleMs)));
        }

        _multiplier = view.Windows.IsDefaultOrEmpty ? Floor : Math.Clamp(_multiplier * Math.Exp(step), Floor, MaxWeight);
    }

    /// <summary>Recent spend in nano-dollars per millisecond over the rate at which the window would just last: above 1 is ahead of pace.</summary>
    internal static double Pace(BudgetWindowView window, double perMs, double lengthMs, long now)
    {
        var limit = window.Window.Limit.Nanos;
        if (limit <= 0 || perMs <= 0)
        {
            return 0;
        }

        var (amount, overMs) = window.Window.Kind == BudgetWindowKind.Rolling || window.FreesAt is not { } ends
            ? (limit, lengthMs)
            : (window.Available.Nanos, Math.Max(1, ends.ToUnixTimeMilliseconds() - now));
        return amount <= 0 ? double.PositiveInfinity : perMs / (amount / overMs);
    }

    private static double LengthMs(BudgetWindowDefinition window) => window.Kind switch
    {
        BudgetWindowKind.Rolling => window.Seconds * 1000.0,
        BudgetWindowKind.CalendarDay => 86_400_000.0,
        _ => 30 * 86_400_000.0,
    };
}
