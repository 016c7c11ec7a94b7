namespace OrleansInference.Budgets;

/// <summary>When a window runs out if spend goes on at its recent rate.</summary>
internal static class BudgetForecast
{
    /// <summary>Time over which recent spend fades, in milliseconds.</summary>
    public const double FadeMs = 300_000;

    /// <summary>Recent spend after it has faded until <paramref name="now"/>.</summary>
    public static double Fade(double recent, long at, long now) => now <= at ? recent : recent * Math.Exp((at - now) / FadeMs);

    /// <summary>
    /// The moment at which what counts reaches the limit; null if it does not. Spend that leaves a rolling window on the
    /// way makes room; a calendar window ends before it matters.
    /// </summary>
    public static long? ExhaustedAt(SpendBook book, BudgetWindow window, double perMs, long now)
    {
        var left = (double)(window.Limit - book.Counted(window, now));
        if (left <= 0)
        {
            return now;
        }

        if (perMs <= 0)
        {
            return null;
        }

        if (window.IsCalendar)
        {
            return left / perMs < window.Enforced(now).End - now ? now + (long)(left / perMs) : null;
        }

        List<(long At, long Amount)> leaves = [];
        foreach (var history in (ReadOnlySpan<SpendHistory>)[book.Settled, book.Unreported, book.Reserved])
        {
            for (var i = history.FirstAfter(window.CountsAfter(now)); i < history.Count; i++)
            {
                leaves.Add((window.LeavesAt(history[i].End), history[i].Amount));
            }
        }

        leaves.Sort();
        foreach (var (at, amount) in leaves)
        {
            if (left <= perMs * (at - now))
            {
                break;
            }

            left += amount;
        }

        // Beyond one length what is spent from now on leaves as fast as it comes.
        return left / perMs <= window.LengthMs(now) ? now + (long)(left / perMs) : null;
    }
}
