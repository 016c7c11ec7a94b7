using System.Diagnostics;

namespace OrleansInference.Benchmarks;

/// <summary>
/// Times a loop over many short rounds after a warm-up. What is reported is the lower decile of the rounds (the names of such
/// figures end in <c>p10_of_rounds</c>): what else runs on the machine only ever makes a round longer.
/// </summary>
internal static class Rounds
{
    private const int WarmUps = 6;
    private const int Measured = 100;
    private const int ScalingRounds = 200;

    /// <summary>Nanoseconds (lower decile) and bytes allocated (median) per operation on one thread. <paramref name="loop"/> runs as many operations as it is told.</summary>
    public static (double Nanoseconds, double Bytes) Measure(int operations, Action<int> loop)
    {
        WarmUp(operations, loop);
        var each = operations / 8;
        var times = new double[Measured];
        var bytes = new double[Measured];
        for (var i = 0; i < Measured; i++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            var start = Stopwatch.GetTimestamp();
            loop(each);
            times[i] = Stopwatch.GetElapsedTime(start).TotalNanoseconds / each;
            bytes[i] = (double)(GC.GetAllocatedBytesForCurrentThread() - before) / each;
        }

        return (LowerDecile(times), Median(bytes));
    }

    /// <summary>
    /// How many times as much two threads get done as one in the same time: the best short round of each, because
    /// whatever else runs on the machine can only take a core away.
    /// </summary>
    public static double Scaling(int operations, Action<int> loop)
    {
        WarmUp(operations, loop);
        var (one, two) = (double.MaxValue, double.MaxValue);
        for (var i = 0; i < ScalingRounds; i++)
        {
            one = Math.Min(one, Together(1, operations, loop));
            two = Math.Min(two, Together(2, operations, loop));
        }

        return 2 * one / two;
    }

    public static double LowerDecile(double[] values)
    {
        Array.Sort(values);
        return values[values.Length / 10];
    }

    private static double Median(double[] values)
    {
        Array.Sort(values);
        return values[values.Length / 2];
    }

    private static void WarmUp(int operations, Action<int> loop)
    {
        // Several short runs, with time in between for the code to be compiled anew as hot.
        for (var i = 0; i < WarmUps; i++)
        {
            loop(operations / 4);
            Thread.Sleep(60);
        }
    }

    private static double Together(int threads, int operations, Action<int> loop)
    {
        using var gate = new Barrier(threads);
        var workers = new Thread[threads];
        var starts = new long[threads];
        var ends = new long[threads];
        for (var i = 0; i < threads; i++)
        {
            var worker = i;
            workers[i] = new(() =>
            {
                gate.SignalAndWait();
                starts[worker] = Stopwatch.GetTimestamp();
                loop(operations);
                ends[worker] = Stopwatch.GetTimestamp();
            });
            workers[i].Start();
        }

        foreach (var worker in workers)
        {
            worker.Join();
        }

        return Stopwatch.GetElapsedTime(starts.Min(), ends.Max()).TotalNanoseconds;
    }
}
