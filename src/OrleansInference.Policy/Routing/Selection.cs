using System.Numerics;

namespace OrleansInference.Routing;

/// <summary>Picks one of a set of quoted candidates; sets are bit masks over candidate indexes.</summary>
internal static class Selection
{
    /// <summary>Scores this close, relative to the best score and the price of its slot, count as equal: snapshots are a little old, and the same tiny difference seen by every silo would send them all to one endpoint.</summary>
    public const double Tolerance = 0.02;

    /// <summary>The candidates whose score is as good as the best's.</summary>
    public static ulong Cheapest(RoutingTable table, ReadOnlySpan<Quote> quotes, ulong set)
    {
        var best = -1;
        for (var rest = set; rest != 0; rest &= rest - 1)
        {
            var i = BitOperations.TrailingZeroCount(rest);
            if (best < 0 || quotes[i].Score < quotes[best].Score)
            {
                best = i;
            }
        }

        if (best < 0)
        {
            return 0;
        }

        var limit = quotes[best].Score + (Tolerance * (quotes[best].Score + (quotes[best].ServiceMs * table.Candidates[best].SlotMsCost))) + 1;
        ulong equals = 0;
        for (var rest = set; rest != 0; rest &= rest - 1)
        {
            var i = BitOperations.TrailingZeroCount(rest);
            if (quotes[i].Score <= limit)
            {
                equals |= 1UL << i;
            }
        }

        return equals;
    }

    /// <summary>
    /// One of <paramref name="set"/>, all equal to the operator: the cheapest for the tenant, then the best quality, then of
    /// two drawn by the seed the less loaded (Mitzenmacher, "The power of two choices in randomized load balancing", 2001).
    /// </summary>
    public static int BreakTie(RoutingTable table, ReadOnlySpan<Quote> quotes, ulong set, ulong seed)
    {
        if (BitOperations.PopCount(set) > 1)
        {
            set = LeastCharged(quotes, set);
        }

        if (BitOperations.PopCount(set) > 1)
        {
            set = BestQuality(table, set);
        }

        var count = BitOperations.PopCount(set);
        if (count <= 1)
        {
            return count == 0 ? -1 : BitOperations.TrailingZeroCount(set);
        }

        var random = Mix(seed);
        var first = (int)((random & uint.MaxValue) % (uint)count);
        var second = (int)((random >> 32) % (uint)(count - 1));
        second += second >= first ? 1 : 0;
        int one = Nth(set, first), other = Nth(set, second);
        return quotes[other].Load < quotes[one].Load ? other : one;
    }

    /// <summary>The likeliest to be in time; the lower score, then the lower index, where equally likely.</summary>
    public static int Likeliest(ReadOnlySpan<Quote> quotes, ulong set)
    {
        var best = -1;
        for (; set != 0; set &= set - 1)
        {
            var i = BitOperations.TrailingZeroCount(set);
            if (best < 0
                || quotes[i].ProbabilityInTime > quotes[best].ProbabilityInTime
                || (quotes[i].ProbabilityInTime == quotes[best].ProbabilityInTime && quotes[i].Score < quotes[best].Score))
            {
                best = i;
            }
        }

        return best;
    }

    private static ulong LeastCharged(ReadOnlySpan<Quote> quotes, ulong set)
    {
        var least = long.MaxValue;
        for (var rest = set; rest != 0; rest &= rest - 1)
        {
            least = Math.Min(least, quotes[BitOperations.TrailingZeroCount(rest)].ExpectedCharge.Nanos);
        }

        ulong kept = 0;
        for (var rest = set; rest != 0; rest &= rest - 1)
        {
            // The same relative tolerance: two replicas' expected charges differ a little by what each has measured.
            var i = BitOperations.TrailingZeroCount(rest);
            kept |= quotes[i].ExpectedCharge.Nanos <= least * (1 + Tolerance) ? 1UL << i : 0;
        }

        return kept;
    }

    private static ulong BestQuality(RoutingTable table, ulong set)
    {
        var best = double.NegativeInfinity;
        for (var rest = set; rest != 0; rest &= rest - 1)
        {
            best = Math.Max(best, table.Candidates[BitOperations.TrailingZeroCount(rest)].Quality);
        }

        ulong kept = 0;
        for (var rest = set; rest != 0; rest &= rest - 1)
        {
            var i = BitOperations.TrailingZeroCount(rest);
            kept |= table.Candidates[i].Quality >= best ? 1UL << i : 0;
        }

        return kept;
    }

    private static int Nth(ulong set, int n)
    {
        for (; n > 0; n--)
        {
            set &= set - 1;
        }

        return BitOperations.TrailingZeroCount(set);
    }

    /// <summary>A draw from a seed that is independent of how ties are broken by it.</summary>
    public static ulong Draw(ulong seed) => Mix(~seed);

    // SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): seeds that count up give unrelated draws.
    private static ulong Mix(ulong seed)
    {
        var z = seed + 0x9E37_79B9_7F4A_7C15;
        z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9;
        z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB;
        return z ^ (z >> 31);
    }
}
