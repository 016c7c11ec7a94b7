using System.Buffers;
using System.Collections.Immutable;

namespace OrleansInference.Latency;

/// <summary>
/// A sketch of the recent past. Samples of the last slices count in full; what is older fades by half each half-life down to a floor, and from there
/// more slowly. What fades beneath the floor is replaced by the long run: an endpoint that is seldom used is remembered, but a bad moment is not held against
/// one that gets no more requests for it. Not safe for concurrent use.
/// </summary>
public sealed class SlicedSketch
{
    /// <summary>Slices that count in full.</summary>
    public const int Slices = 12;

    /// <summary>Length of a slice in milliseconds.</summary>
    public const long SliceMs = 10_000;

    /// <summary>Time in which the weight of older samples halves, in milliseconds.</summary>
    public const long HalfLifeMs = 120_000;

    /// <summary>Weight, in samples, below which what is older fades at <see cref="LongHalfLifeMs"/>, until as many newer samples have come.</summary>
    public const double Floor = 200;

    /// <summary>Time in which the weight of older samples halves once there are no more than <see cref="Floor"/>, in milliseconds.</summary>
    public const long LongHalfLifeMs = 900_000;

    /// <summary>Time in which the weight of a sample in the long run halves, in milliseconds: work that comes once a day finds some of the day before.</summary>
    public const long LongRunHalfLifeMs = 6 * 3_600_000;

    // In the long run what is left of so few samples tells nothing, and a recent sample displaces so many of it.
    private const double LeastLongRun = 0.5;
    private const double Displaced = 4;

    private readonly QuantileSketch?[] _ring = new QuantileSketch?[Slices];
    private double[]? _older;
    private double[]? _longRun;
    private double _olderWeight;
    private double _longRunWeight;
    private long _slice = long.MinValue;

    /// <summary>Adds one sample.</summary>
    public void Add(double milliseconds, long now) => Current(now).Add(milliseconds);

    /// <summary>Adds a silo's samples. A clock that went back adds to the newest slice.</summary>
    public void Merge(SketchDelta delta, long now)
    {
        // Checked before the ring turns, so that a refused delta changes nothing.
        QuantileSketch.RequireValid(delta);
        MergeValid(delta, now);
    }

    /// <summary>Adds a silo's samples, which <see cref="QuantileSketch.RequireValid"/> has passed.</summary>
    internal void MergeValid(SketchDelta delta, long now)
    {
        if (delta.Remembered <= 0)
        {
            Current(now).MergeValid(delta);
            return;
        }

        // What somebody else remembered is no newer for being taken over.
        Advance(now);
        _older ??= new double[LatencyBuckets.Count];
        _longRun ??= new double[LatencyBuckets.Count];
        var recent = RecentShare(delta);
        double total = 0;
        for (var i = 0; i < delta.Counts.Length; i++)
        {
            _older[delta.FirstBucket + i] += recent * delta.Counts[i];
            _longRun[delta.FirstBucket + i] += delta.Counts[i];
            total += delta.Counts[i];
        }

        _olderWeight += recent * total;
        _longRunWeight += total;
    }

    /// <summary>Share of a delta's samples that is of the recent past, 0..1: of a size that has not come of late little is in what comes now.</summary>
    internal static double RecentShare(SketchDelta delta)
    {
        if (delta.Remembered <= 0)
        {
            return 1;
        }

        double total = 0;
        foreach (var count in delta.Counts.AsSpan())
        {
            total += count;
        }

        return total <= 0 ? 0 : Math.Max(0, 1 - (delta.Remembered / total));
    }

    /// <summary>Total weight of what is remembered, in samples.</summary>
    public double Weight(long now)
    {
        Advance(now);
        return _olderWeight + RecentCount() + FromLongRun;
    }

    /// <summary>Adds the remembered samples, weighted by recency, to weights by bucket.</summary>
    public void AddTo(Span<double> weights, long now)
    {
        Advance(now);
        AddRecent(weights);
        AddLongRun(weights);
    }

    private void AddRecent(Span<double> weights)
    {
        foreach (var slice in _ring)
        {
            slice?.AddTo(weights, 1);
        }

        BucketWeights.AddScaled(weights, _older, 1);
    }

    private void AddLongRun(Span<double> weights)
    {
        if (FromLongRun is > 0 and var used)
        {
            BucketWeights.AddScaled(weights, _longRun, used / _longRunWeight);
        }
    }

    /// <summary>
    /// The weighted view as a delta of whole counts. Rounding carries over from bucket to bucket, so the cumulative count
    /// is right to half a sample everywhere and no tail of fractional weights is lost.
    /// </summary>
    /// <param name="endpoint">Whose samples they are.</param>
    /// <param name="phase">Of what.</param>
    /// <param name="sizeClass">Of what size.</param>
    /// <param name="now">Unix ms.</param>
    /// <param name="isRecentOnly">Whether the long run is left out.</param>
    public SketchDelta ToDelta(EndpointName endpoint, LatencyPhase phase, int sizeClass, long now, bool isRecentOnly = false)
    {
        var weights = ArrayPool<double>.Shared.Rent(LatencyBuckets.Count);
        try
        {
            var used = weights.AsSpan(0, LatencyBuckets.Count);
            used.Clear();
            Advance(now);
            AddRecent(used);
            if (!isRecentOnly)
            {
                AddLongRun(used);
            }

            return Round(used, endpoint, phase, sizeClass) with { Remembered = isRecentOnly ? 0 : (int)Math.Round(FromLongRun) };
        }
        finally
        {
            ArrayPool<double>.Shared.Return(weights);
        }
    }

    private static SketchDelta Round(ReadOnlySpan<double> weights, EndpointName endpoint, LatencyPhase phase, int sizeClass)
    {
        var (first, end) = BucketWeights.Used(weights);
        var counts = ImmutableArray.CreateBuilder<int>(end - first);
        double sum = 0;
        long given = 0;
        for (var i = first; i < end; i++)
        {
            sum += weights[i];
            var count = (int)Math.Clamp(Math.Round(sum) - given, 0, int.MaxValue);
            given += count;
            counts.Add(count);
        }

        return new() { Endpoint = endpoint, Phase = phase, SizeClass = sizeClass, FirstBucket = first, Counts = counts.MoveToImmutable() };
    }

    private QuantileSketch Current(long now)
    {
        Advance(now);
        return _ring[Position(_slice)] ??= new();
    }

    private static int Position(long slice) => (int)(((slice % Slices) + Slices) % Slices);

    private void Advance(long now)
    {
        var slice = Math.DivRem(now, SliceMs, out _);
        if (_slice == long.MinValue)
        {
            _slice = slice;
        }

        var steps = slice - _slice;
        if (steps <= 0)
        {
            return;
        }

        for (var i = 1L; i <= Math.Min(steps, Slices); i++)
        {
            // One slice's worth of fading for each slice that passes; the rest of a long silence follows in one go.
            Fade(SliceMs);
            Retire(ref _ring[Position(_slice + i)]);
        }

        if (steps > Slices)
        {
            Fade((double)(steps - Slices) * SliceMs);
        }

        _slice = slice;
        FadeLongRun((double)steps * SliceMs);
    }

    /// <summary>Weight that the long run has: the floor without what recent samples displace, and no more than it has beyond the older samples, which are in it as well.</summary>
    private double FromLongRun => _longRunWeight < LeastLongRun ? 0 : Math.Max(0, Math.Min(Floor - (Displaced * (_olderWeight + RecentCount())), _longRunWeight - _olderWeight));

    private void FadeLongRun(double elapsedMs)
    {
        if (_longRun is not null)
        {
            var factor = Math.Pow(0.5, elapsedMs / LongRunHalfLifeMs);
            _longRunWeight = Scale(_longRun, factor);
        }
    }

    private void Retire(ref QuantileSketch? slice)
    {
        if (slice is not null)
        {
            _older ??= new double[LatencyBuckets.Count];
            slice.AddTo(_older, 1);
            _olderWeight += slice.Count;
            _longRun ??= new double[LatencyBuckets.Count];
            slice.AddTo(_longRun, 1);
            _longRunWeight += slice.Count;
            slice = null;
        }
    }

    private long RecentCount()
    {
        long count = 0;
        foreach (var slice in _ring)
        {
            count += slice?.Count ?? 0;
        }

        return count;
    }

    private void Fade(double elapsedMs)
    {
        if (_older is null || _olderWeight <= 0)
        {
            return;
        }

        // Quickly down to the floor, slowly from there.
        var floor = Math.Max(0, Floor - RecentCount());
        var toFloor = _olderWeight > floor && floor > 0 ? HalfLifeMs * Math.Log2(_olderWeight / floor) : _olderWeight > floor ? double.PositiveInfinity : 0;
        var factor = Math.Pow(0.5, (Math.Min(elapsedMs, toFloor) / HalfLifeMs) + (Math.Max(0, elapsedMs - toFloor) / LongHalfLifeMs));
        _olderWeight = Scale(_older, factor);
    }

    private static double Scale(Span<double> weights, double factor)
    {
        double total = 0;
        var (first, end) = BucketWeights.Used(weights);
        for (var i = first; i < end; i++)
        {
            // Specks are cleared so that the used range stays narrow.
            weights[i] = weights[i] * factor < 1e-6 ? 0 : weights[i] * factor;
            total += weights[i];
        }

        return total;
    }
}
