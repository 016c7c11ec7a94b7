namespace OrleansInference.Budgets;

/// <summary>
/// Amounts by time: disjoint spans of seconds in order, only those that hold something. An amount recorded at a second
/// stays in the one span that contains this second, however spans are merged, so it can be taken out again exactly.
/// </summary>
internal sealed class SpendHistory
{
    private Span[] _spans = [];

    public SpendHistory()
    {
    }

    /// <summary>Reads what <see cref="ToArray"/> wrote; spans that are out of order or empty are damage and refused.</summary>
    public SpendHistory(long[]? flat)
    {
        if (flat is null || flat.Length == 0)
        {
            return;
        }

        if (flat.Length % 3 != 0)
        {
            throw new InvalidDataException("The stored spend history is damaged: its length is no multiple of 3.");
        }

        _spans = new Span[flat.Length / 3];
        var last = 0L;
        for (var i = 0; i < flat.Length; i += 3)
        {
            var (start, length, amount) = (flat[i], flat[i + 1], flat[i + 2]);
            if (start < last || length <= 0 || amount < 0 || length > uint.MaxValue || start > uint.MaxValue - length)
            {
                throw new InvalidDataException("The stored spend history is damaged: its spans are out of order.");
            }

            last = start + length;
            _spans[Count++] = new() { Start = (uint)start, End = (uint)last, Amount = amount };
        }
    }

    /// <summary>How many spans hold something.</summary>
    public int Count { get; private set; }

    /// <summary>Start, length and amount of each span in turn.</summary>
    public long[]? ToArray()
    {
        if (Count == 0)
        {
            return null;
        }

        var flat = new long[Count * 3];
        for (var i = 0; i < Count; i++)
        {
            ref readonly var span = ref _spans[i];
            (flat[3 * i], flat[3 * i + 1], flat[3 * i + 2]) = (span.Start, span.End - span.Start, span.Amount);
        }

        return flat;
    }

    /// <summary>End and amount of the span at <paramref name="index"/>, oldest first.</summary>
    public (uint End, long Amount) this[int index] => (_spans[index].End, _spans[index].Amount);

    /// <summary>Index of the first span that ends after <paramref name="second"/>.</summary>
    public int FirstAfter(uint second)
    {
        var (low, high) = (0, Count);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (_spans[middle].End > second)
            {
                high = middle;
            }
            else
            {
                low = middle + 1;
            }
        }

        return low;
    }

    /// <summary>Sum of the spans that end after <paramref name="second"/>.</summary>
    public Int128 SumAfter(uint second)
    {
        Int128 sum = 0;
        for (var i = FirstAfter(second); i < Count; i++)
        {
            sum += _spans[i].Amount;
        }

        return sum;
    }

    /// <summary>Adds to the span that contains <paramref name="second"/>, or to a new one as wide as <paramref name="cell"/> has room. True if it is new.</summary>
    public bool Add(uint second, long amount, (uint Start, uint End) cell)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(amount);
        if (amount == 0)
        {
            return false;
        }

        var i = FirstAfter(second);
        if (i < Count && _spans[i].Start <= second)
        {
            _spans[i].Amount = SaturatingAdd(_spans[i].Amount, amount);
            return false;
        }

        if (Count == _spans.Length)
        {
            Array.Resize(ref _spans, Math.Max(4, Count + Count / 2));
        }

        var start = i > 0 ? Math.Max(cell.Start, _spans[i - 1].End) : cell.Start;
        var end = i < Count ? Math.Min(cell.End, _spans[i].Start) : cell.End;
        Array.Copy(_spans, i, _spans, i + 1, Count - i);
        _spans[i] = new() { Start = start, End = end, Amount = amount };
        Count++;
        return true;
    }

    /// <summary>Takes out what was added at <paramref name="second"/>; nothing if it has long been dropped.</summary>
    public void Remove(uint second, long amount)
    {
        var i = FirstAfter(second);
        if (i == Count || _spans[i].Start > second)
        {
            return;
        }

        _spans[i].Amount = Math.Max(0, _spans[i].Amount - amount);
        if (_spans[i].Amount == 0)
        {
            Count--;
            Array.Copy(_spans, i + 1, _spans, i, Count - i);
        }
    }

    /// <summary>
    /// Drops spans that end by <paramref name="dropUntil"/> and merges neighbours where no window needs them apart:
    /// within one cell of the finest window that still counts the newer one, and not across a period's boundary.
    /// </summary>
    public void Compact(ReadOnlySpan<Resolution> windows, ReadOnlySpan<uint> boundaries, uint dropUntil, uint coarsest)
    {
        var kept = 0;
        for (var i = FirstAfter(dropUntil); i < Count; i++)
        {
            var span = _spans[i];
            if (kept > 0 && Mergeable(_spans[kept - 1], span, windows, boundaries, coarsest))
            {
                ref var last = ref _spans[kept - 1];
                last.End = span.End;
                last.Amount = SaturatingAdd(last.Amount, span.Amount);
            }
            else
            {
                _spans[kept++] = span;
            }
        }

        Count = kept;
        if (_spans.Length > 2 * Count + 4)
        {
            Array.Resize(ref _spans, Count);
        }
    }

    private static bool Mergeable(in Span older, in Span newer, ReadOnlySpan<Resolution> windows, ReadOnlySpan<uint> boundaries, uint coarsest)
    {
        var grid = uint.MaxValue;
        foreach (ref readonly var window in windows)
        {
            if (newer.End > window.CountsAfter)
            {
                grid = Math.Min(grid, window.Grid);
            }
        }

        grid = grid == uint.MaxValue ? coarsest : grid;
        if (older.Start / grid != (newer.End - 1) / grid)
        {
            return false;
        }

        foreach (var boundary in boundaries)
        {
            if (boundary >= older.End && boundary <= newer.Start)
            {
                return false;
            }
        }

        return true;
    }

    // A sum that does not fit is beyond every limit; it must not wrap to below it.
    private static long SaturatingAdd(long left, long right) => left > long.MaxValue - right ? long.MaxValue : left + right;

    /// <summary>How finely a window needs the spans that end after <paramref name="CountsAfter"/>.</summary>
    internal readonly record struct Resolution(uint CountsAfter, uint Grid);

    private struct Span
    {
        public uint Start;
        public uint End;
        public long Amount;
    }
}
