namespace OrleansInference.Batch;

/// <summary>Shares a whole number of units by weight so that the shares add up to it exactly (largest remainders).</summary>
public static class WindowShares
{
    /// <summary>One share per weight; their sum is <paramref name="total"/>.</summary>
    /// <param name="total">What is shared; not negative.</param>
    /// <param name="weights">Weights, none negative; all zero shares evenly.</param>
    public static long[] Split(long total, IReadOnlyList<long> weights)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentOutOfRangeException.ThrowIfNegative(total);
        if (weights.Count == 0)
        {
            return [];
        }

        Int128 sum = 0;
        foreach (var weight in weights)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(weight, nameof(weights));
            sum += weight;
        }

        var even = sum == 0;
        sum = even ? weights.Count : sum;
        var shares = new long[weights.Count];
        var remainders = new (Int128 Remainder, int Index)[weights.Count];
        var left = total;
        for (var i = 0; i < shares.Length; i++)
        {
            // Below 2^126, so it fits.
            var product = (Int128)total * (even ? 1 : weights[i]);
            shares[i] = (long)(product / sum);
            remainders[i] = (product % sum, i);
            left -= shares[i];
        }

        // Fewer units are left than there are shares; ties go to the earlier one, so that the result is one function of the input.
        foreach (var (_, index) in remainders.OrderByDescending(static r => r.Remainder).ThenBy(static r => r.Index).Take((int)left))
        {
            shares[index]++;
        }

        return shares;
    }
}
