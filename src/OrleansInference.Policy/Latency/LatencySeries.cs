using System.Collections.Immutable;

namespace OrleansInference.Latency;

/// <summary>One endpoint's samples on a silo. Safe for concurrent use.</summary>
public sealed class LatencySeries
{
    private const int Rows = SizeClass.Count + 3;
    private const int QueueWaitRow = SizeClass.Count;
    private const int ColdStartRow = SizeClass.Count + 1;
    private const int ModelLoadRow = SizeClass.Count + 2;
    private readonly Stripe?[] _stripes;
    private readonly int _mask;

    internal LatencySeries(EndpointName endpoint, int stripes)
    {
        Endpoint = endpoint;
        _mask = stripes - 1;
        _stripes = new Stripe?[Rows * stripes];
    }

    /// <summary>The endpoint.</summary>
    public EndpointName Endpoint { get; }

    /// <summary>Records one sample. <paramref name="sizeClass"/> counts for <see cref="LatencyPhase.Service"/> only.</summary>
    /// <param name="phase">What was measured.</param>
    /// <param name="sizeClass">The decision's <c>SizeClass</c>.</param>
    /// <param name="milliseconds">How long it took.</param>
    public void Record(LatencyPhase phase, int sizeClass, double milliseconds)
    {
        var row = phase switch
        {
            LatencyPhase.Service => (uint)sizeClass < SizeClass.Count ? sizeClass : throw new ArgumentOutOfRangeException(nameof(sizeClass)),
            LatencyPhase.QueueWait => QueueWaitRow,
            LatencyPhase.ColdStart => ColdStartRow,
            LatencyPhase.ModelLoad => ModelLoadRow,
            _ => throw new ArgumentOutOfRangeException(nameof(phase)),
        };
        ref var slot = ref _stripes[(row * (_mask + 1)) + (Thread.GetCurrentProcessorId() & _mask)];
        var stripe = Volatile.Read(ref slot) ?? Create(ref slot);
        Interlocked.Increment(ref stripe.Counts[LatencyBuckets.IndexOf(milliseconds)]);

        // After the increment (a full fence): a drain that cleared the mark before it read the count finds it set again.
        if (Volatile.Read(ref stripe.Marked) == 0)
        {
            Volatile.Write(ref stripe.Marked, 1);
        }
    }

    internal void DrainTo(ImmutableArray<SketchDelta>.Builder deltas)
    {
        int[]? sums = null;
        for (var row = 0; row < Rows; row++)
        {
            int first = LatencyBuckets.Count, last = -1;
            for (var i = row * (_mask + 1); i < (row + 1) * (_mask + 1); i++)
            {
                var stripe = Volatile.Read(ref _stripes[i]);
                if (stripe is not null && Interlocked.Exchange(ref stripe.Marked, 0) != 0)
                {
                    sums ??= new int[LatencyBuckets.Count];
                    TakeOut(stripe.Counts, sums, ref first, ref last);
                }
            }

            if (last >= 0)
            {
                deltas.Add(new()
                {
                    Endpoint = Endpoint,
                    Phase = row switch { QueueWaitRow => LatencyPhase.QueueWait, ColdStartRow => LatencyPhase.ColdStart, ModelLoadRow => LatencyPhase.ModelLoad, _ => LatencyPhase.Service },
                    SizeClass = row < SizeClass.Count ? row : 0,
                    FirstBucket = first,
                    Counts = [.. sums.AsSpan(first, last - first + 1)],
                });
                Array.Clear(sums!);
            }
        }
    }

    private static void TakeOut(int[] counts, int[] sums, ref int first, ref int last)
    {
        for (var bucket = 0; bucket < counts.Length; bucket++)
        {
            if (Volatile.Read(ref counts[bucket]) != 0)
            {
                sums[bucket] += Interlocked.Exchange(ref counts[bucket], 0);
                first = Math.Min(first, bucket);
                last = Math.Max(last, bucket);
            }
        }
    }

    private static Stripe Create(ref Stripe? slot)
    {
        var created = new Stripe();
        return Interlocked.CompareExchange(ref slot, created, null) ?? created;
    }

    private sealed class Stripe
    {
        public readonly int[] Counts = new int[LatencyBuckets.Count];
        public int Marked;
    }
}
