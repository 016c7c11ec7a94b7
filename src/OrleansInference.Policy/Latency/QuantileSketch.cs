using System.Collections.Immutable;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace OrleansInference.Latency;

/// <summary>
/// A mergeable sketch of a latency distribution in milliseconds, on <see cref="LatencyBuckets"/>: any quantile is within
/// 1 % of a sample of that rank, and merging sketches loses nothing. Not safe for concurrent use.
/// </summary>
public sealed class QuantileSketch
{
    private const int Chunk = 32;
    private long[] _counts;
    private int _first;

    /// <summary>An empty sketch that grows to the range it is used in.</summary>
    public QuantileSketch()
        : this(wholeRange: false)
    {
    }

    /// <summary>An empty sketch; with <paramref name="wholeRange"/> it holds every bucket at once, so that adding never allocates.</summary>
    public QuantileSketch(bool wholeRange) => _counts = wholeRange ? new long[LatencyBuckets.Count] : [];

    /// <summary>Samples in the sketch.</summary>
    public long Count { get; private set; }

    /// <summary>Adds one sample.</summary>
    public void Add(double milliseconds) => AddCount(LatencyBuckets.IndexOf(milliseconds), 1);

    /// <summary>Adds every sample of <paramref name="other"/>.</summary>
    public void Merge(QuantileSketch other)
    {
        ArgumentNullException.ThrowIfNull(other);
        for (var i = 0; i < other._counts.Length; i++)
        {
            if (other._counts[i] != 0)
            {
                AddCount(other._first + i, other._counts[i]);
            }
        }
    }

    /// <summary>Adds every sample of a delta; counts outside the layout or below zero are refused.</summary>
    /// <exception cref="ArgumentException">The delta does not fit the layout.</exception>
    public void Merge(SketchDelta delta)
    {
        RequireValid(delta);
        MergeValid(delta);
    }

    /// <summary>Adds every sample of a delta that <see cref="RequireValid"/> has passed.</summary>
    internal void MergeValid(SketchDelta delta)
    {
        var counts = delta.Counts.AsSpan();
        if (counts.IsEmpty)
        {
            return;
        }

        Cover(delta.FirstBucket, delta.FirstBucket + counts.Length - 1);
        var into = _counts.AsSpan(delta.FirstBucket - _first, counts.Length);
        var sums = Vector<long>.Zero;
        var i = 0;
        for (; i <= counts.Length - Vector<int>.Count; i += Vector<int>.Count)
        {
            Vector.Widen(new Vector<int>(counts[i..]), out var low, out var high);
            var lower = into[i..];
            var upper = into[(i + Vector<long>.Count)..];
            (new Vector<long>(lower) + low).CopyTo(lower);
            (new Vector<long>(upper) + high).CopyTo(upper);
            sums += low + high;
        }

        Count += Vector.Sum(sums);
        for (; i < counts.Length; i++)
        {
            into[i] += counts[i];
            Count += counts[i];
        }
    }

    /// <summary>The sample of rank ⌊p·(n-1)⌋, within 1 %; 0 for an empty sketch.</summary>
    /// <param name="probability">0..1.</param>
    public double Quantile(double probability)
    {
        RequireProbability(probability);
        if (Count == 0)
        {
            return 0;
        }

        var rank = (long)(probability * (Count - 1));
        long seen = 0;
        for (var i = 0; i < _counts.Length; i++)
        {
            seen += _counts[i];
            if (seen > rank)
            {
                return LatencyBuckets.Middle(_first + i);
            }
        }

        return LatencyBuckets.Middle(_first + _counts.Length - 1);
    }

    /// <summary>Share of samples at or below <paramref name="milliseconds"/>, give or take its own bucket; 0 for an empty sketch.</summary>
    public double Cdf(double milliseconds)
    {
        if (Count == 0)
        {
            return 0;
        }

        var end = Math.Min(LatencyBuckets.IndexOf(milliseconds) - _first + 1, _counts.Length);
        long below = 0;
        for (var i = 0; i < end; i++)
        {
            below += _counts[i];
        }

        return (double)below / Count;
    }

    /// <summary>The mean, within 1 %; 0 for an empty sketch.</summary>
    public double Mean()
    {
        double sum = 0;
        for (var i = 0; i < _counts.Length; i++)
        {
            sum += _counts[i] * LatencyBuckets.Middle(_first + i);
        }

        return Count == 0 ? 0 : sum / Count;
    }

    /// <summary>The sketch as a delta. Counts above the contract's 32 bits saturate.</summary>
    public SketchDelta ToDelta(EndpointName endpoint, LatencyPhase phase, int sizeClass)
    {
        var (first, last) = UsedRange();
        var counts = ImmutableArray.CreateBuilder<int>(Math.Max(0, last - first + 1));
        for (var i = first; i <= last; i++)
        {
            counts.Add((int)Math.Min(_counts[i], int.MaxValue));
        }

        return new() { Endpoint = endpoint, Phase = phase, SizeClass = sizeClass, FirstBucket = _first + Math.Max(0, first), Counts = counts.MoveToImmutable() };
    }

    /// <summary>A sketch of a delta's samples.</summary>
    /// <exception cref="ArgumentException">The delta does not fit the layout.</exception>
    public static QuantileSketch FromDelta(SketchDelta delta)
    {
        var sketch = new QuantileSketch();
        sketch.Merge(delta);
        return sketch;
    }

    /// <summary>Forgets every sample, keeps the storage.</summary>
    public void Clear()
    {
        Array.Clear(_counts);
        Count = 0;
    }

    /// <summary>Adds the samples to weights by bucket, each <paramref name="weight"/> heavy.</summary>
    internal void AddTo(Span<double> weights, double weight)
    {
        for (var i = 0; i < _counts.Length; i++)
        {
            weights[_first + i] += _counts[i] * weight;
        }
    }

    internal static void RequireValid(SketchDelta delta)
    {
        ArgumentNullException.ThrowIfNull(delta);
        if (delta.Counts.IsDefault || delta.FirstBucket < 0 || delta.FirstBucket + (long)delta.Counts.Length > LatencyBuckets.Count)
        {
            throw new ArgumentException($"The sketch of {delta.Endpoint} lies outside the {LatencyBuckets.Count} buckets; sender and receiver run different versions.", nameof(delta));
        }

        if (delta.SizeClass is < 0 or >= SizeClass.Count || delta.Phase is < LatencyPhase.QueueWait or > LatencyPhase.ModelLoad)
        {
            throw new ArgumentException($"The sketch of {delta.Endpoint} has size class {delta.SizeClass} and phase {delta.Phase}; sender and receiver run different versions.", nameof(delta));
        }

        if (delta.Counts.AsSpan().IndexOfAnyInRange(int.MinValue, -1) >= 0)
        {
            throw new ArgumentException($"The sketch of {delta.Endpoint} has a negative count.", nameof(delta));
        }
    }

    internal static void RequireProbability(double probability)
    {
        if (!(probability is >= 0 and <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(probability), probability, "A probability is 0..1.");
        }
    }

    private (int First, int Last) UsedRange()
    {
        var first = Array.FindIndex(_counts, count => count != 0);
        var last = Array.FindLastIndex(_counts, count => count != 0);
        return first < 0 ? (0, -1) : (first, last);
    }

    private void AddCount(int bucket, long count)
    {
        var i = bucket - _first;
        if ((uint)i >= (uint)_counts.Length)
        {
            Grow(bucket, bucket);
            i = bucket - _first;
        }

        _counts[i] += count;
        Count += count;
    }

    private void Cover(int from, int to)
    {
        if (from < _first || to >= _first + _counts.Length)
        {
            Grow(from, to);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Grow(int from, int to)
    {
        var low = _counts.Length == 0 ? from : Math.Min(_first, from);
        var high = _counts.Length == 0 ? to : Math.Max(_first + _counts.Length - 1, to);
        low = low / Chunk * Chunk;
        high = Math.Min(LatencyBuckets.Count, ((high / Chunk) + 1) * Chunk);
        var grown = new long[high - low];
        _counts.CopyTo(grown, _counts.Length == 0 ? 0 : _first - low);
        _counts = grown;
        _first = low;
    }
}
