using System.Globalization;

namespace OrleansInference.Budgets;

// What a ledger says to one who wants more than there is.
public sealed partial class TenantLedger
{
    /// <summary>Why an amount does not fit now, with figures that add up to the limit, and when it will.</summary>
    public BudgetShortage Shortage(Money amount, long now)
    {
        Tick(now);
        var fits = Fits(Wanted(amount.Nanos));
        var window = fits?.Window ?? TooSmall(amount.Nanos) ?? throw new InvalidOperationException($"Tenant '{_definition.Id}' has no budget that could be short.");
        return new()
        {
            Amount = amount,
            Available = Money.FromNanos(_isSaving ? Math.Min(0, _book.Available(_escrow.Outstanding, _now)) : _book.Available(_escrow.Outstanding, _now)),
            RetryAfterMs = fits is null ? 0 : Math.Max(1, fits.Value.At - _now),
            IsHeld = fits?.RestsOnHeld ?? false,
            Reason = $"{amount} $ are needed and {Account(window)}; {Outlook(fits)}",
        };
    }

    // What is available is what the parts leave of the limit; what is nothing is not worth a word.
    private string Account(BudgetWindow window)
    {
        var after = window.CountsAfter(_now);
        var settled = Nanos(_book.Settled.SumAfter(after));
        var unreported = Nanos(_book.Unreported.SumAfter(after));
        var reserved = Nanos(_book.Reserved.SumAfter(after));
        var leased = Money.FromNanos(_escrow.Outstanding);
        var idle = Money.FromNanos(_escrow.Leases.Sum(static lease => lease.Free));
        var available = window.Definition.Limit - settled - unreported - reserved - leased;
        List<string> parts = [$"{settled} $ are settled"];
        AddPart(unreported, "unreported by silos and jobs that vanished");
        AddPart(reserved, "reserved by jobs");
        AddPart(leased - idle, "held by requests under way");
        AddPart(idle, "set aside for silos");
        if (_isSaving && !available.IsNegative)
        {
            AddPart(available, "saved for held jobs");
            available = Money.Zero;
        }

        return available.IsNegative
            ? $"the budget of {window.Describe()} is {Money.Zero - available} $ over its limit, which was lowered: {string.Join(", ", parts)}"
            : $"of the budget of {window.Describe()} {available} $ are available: {string.Join(", ", parts)}";

        void AddPart(Money amount, string what)
        {
            if (amount > Money.Zero)
            {
                parts.Add($"{amount} $ {what}");
            }
        }
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
