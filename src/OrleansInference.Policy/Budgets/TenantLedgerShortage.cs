using System.Globalization;

namespace OrleansInference.Budgets;

// What a ledger says to one who wants more than there is.
public sealed partial class TenantLedger
{
    /// <summary>Why an amount does not fit now, with figures that add up to the limit, and when it will.</summary>
    public BudgetShortage Shortage(Money amount, long now)
    {
        Tick(now);
        var fits = Fits(amount.Nanos);
        var window = fits?.Window ?? TooSmall(amount.Nanos) ?? throw new InvalidOperationException($"Tenant '{_definition.Id}' has no budget that could be short.");
        var after = window.CountsAfter(_now);
        var settled = Nanos(_book.Settled.SumAfter(after) + _book.Unreported.SumAfter(after));
        var reserved = Nanos(_book.Reserved.SumAfter(after));
        var outstanding = Money.FromNanos(_escrow.Outstanding);
        var free = Money.FromNanos(_escrow.Leases.Sum(static lease => lease.Free));
        var available = window.Definition.Limit - settled - reserved - outstanding;
        var left = available.IsNegative ? $"{Money.Zero - available} $ more than the limit, which was lowered" : $"and {available} $ are left";
        return new()
        {
            Amount = amount,
            Available = available,
            RetryAfterMs = fits is null ? 0 : Math.Max(1, fits.Value.At - _now),
            IsHeld = fits?.RestsOnHeld ?? false,
            Reason = $"the budget of {window.Describe()} does not allow {amount} $ more: {settled} $ are spent, {reserved} $ reserved by jobs, {outstanding - free} $ held by requests under way, {free} $ set aside for silos, {left}; {Outlook(fits)}",
        };
    }

    private BudgetWindow? TooSmall(long amount)
    {
        BudgetWindow? smallest = null;
        foreach (var window in _book.Windows)
        {
            smallest = window.Limit < amount && (smallest is null || window.Limit < smallest.Limit) ? window : smallest;
        }

        return smallest;
    }

    private static string Outlook(SpendBook.Fit? fits) => fits switch
    {
        null => "it never will, for that is more than the whole limit",
        { RestsOnHeld: true } => $"what is held and not spent comes back by {Moment(fits.Value.At)}",
        _ => $"enough has left the window at {Moment(fits.Value.At)}",
    };

    private static string Moment(long ms) => Time(ms + 999).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
