using System.Numerics;

namespace OrleansInference.Telemetry;

/// <summary>
/// Counters that are counted up far more often than they are read: each processor counts on cache lines of its own. Counting is
/// lock-free; a sum read while others count is right for some moment in between for each counter, not across counters.
/// </summary>
internal sealed class StripedCounters
{
    private const int MaxStripes = 16;

    // A processor fetches lines in pairs: 128 bytes keep stripes apart.
    private const int Padding = 16;

    private readonly long[] _cells;
    private readonly int _stride;
    private readonly int _mask;

    /// <summary>Counters 0..<paramref name="count"/>-1, all zero.</summary>
    public StripedCounters(int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        var stripes = (int)Math.Min(MaxStripes, BitOperations.RoundUpToPowerOf2((uint)Environment.ProcessorCount));
        _mask = stripes - 1;
        _stride = ((count + Padding - 1) / Padding * Padding) + Padding;
        _cells = new long[(stripes * _stride) + Padding];
    }

    /// <summary>Counts one.</summary>
    public void Increment(int counter) => Interlocked.Increment(ref Cell(counter));

    /// <summary>Counts <paramref name="amount"/>.</summary>
    public void Add(int counter, long amount) => Interlocked.Add(ref Cell(counter), amount);

    /// <summary>What was counted.</summary>
    public long Sum(int counter)
    {
        long sum = 0;
        for (var i = Padding + counter; i < _cells.Length; i += _stride)
        {
            sum += Volatile.Read(ref _cells[i]);
        }

        return sum;
    }

    /// <summary>Takes out what was counted: every count is in one taking, never in two.</summary>
    public long Take(int counter)
    {
        long sum = 0;
        for (var i = Padding + counter; i < _cells.Length; i += _stride)
        {
            sum += Interlocked.Exchange(ref _cells[i], 0);
        }

        return sum;
    }

    private ref long Cell(int counter) => ref _cells[Padding + ((Thread.GetCurrentProcessorId() & _mask) * _stride) + counter];
}
