using System.Diagnostics;
using OrleansInference.Latency;

namespace OrleansInference.Benchmarks.Routing;

/// <summary>Recording latencies on a silo, and merging what a hundred silos have sent.</summary>
internal static class StatisticsBenchmark
{
    private const int Operations = 2_000_000;
    private const int Silos = 100;
    private const int SamplesOfSilo = 2_000;
    private const int Merges = 40;
    private const int Values = 1024;

    public static void Run(Figures figures)
    {
        figures.Say("record latencies and merge 100 silos' deltas");
        Record(figures);
        Merge(figures);
    }

    private static void Record(Figures figures)
    {
        var random = new Random(3);
        var recorder = new LatencyRecorder();
        var names = BenchmarkCatalog.Chat.Variants.SelectMany(variant => variant.Endpoints).Select(endpoint => endpoint.Name).ToArray();
        var values = Enumerable.Range(0, Values).Select(_ => 10_000 * random.NextDouble()).ToArray();
        void Loop(int operations)
        {
            for (var i = 0; i < operations; i++)
            {
                recorder.Record(names[i % names.Length], LatencyPhase.Service, i % SizeClass.Count, values[i % Values]);
            }
        }

        var (nanoseconds, bytes) = Rounds.Measure(Operations, Loop);
        figures.Print("routing.latency.record.p10_of_rounds", nanoseconds, "ns", 60, Better.Low);
        figures.Print("routing.latency.record.allocated", bytes, "B", 0, Better.Low);
        if (Environment.ProcessorCount > 1)
        {
            figures.Print("routing.latency.record.scaling_2_threads", Rounds.Scaling(200_000, Loop), "x", null, Better.High);
        }
    }

    private static void Merge(Figures figures)
    {
        var random = new Random(4);
        var reports = Enumerable.Range(0, Silos).Select(silo => ReportOf(silo, random)).ToArray();
        var times = new double[Merges];
        for (var round = -10; round < Merges; round++)
        {
            // A model's grain that has seen traffic before: its sketches exist, and each beat merges into the newest slice.
            var statistics = new LatencyStatistics();
            foreach (var report in reports)
            {
                statistics.Merge(report, 1_000_000);
            }

            var start = Stopwatch.GetTimestamp();
            foreach (var report in reports)
            {
                statistics.Merge(report with { Sequence = 2 }, 1_001_000);
            }

            if (round >= 0)
            {
                times[round] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            }
        }

        figures.Print("routing.latency.merge_100_silos.median", Median(times), "ms", 5, Better.Low);
    }

    private static LatencyReport ReportOf(int silo, Random random)
    {
        var recorder = new LatencyRecorder(1);
        foreach (var endpoint in BenchmarkCatalog.Chat.Variants.SelectMany(variant => variant.Endpoints))
        {
            for (var i = 0; i < SamplesOfSilo / BenchmarkCatalog.Candidates; i++)
            {
                recorder.Record(endpoint.Name, LatencyPhase.Service, random.Next(SizeClass.Count), 50 + (2_000 * random.NextDouble()));
                recorder.Record(endpoint.Name, LatencyPhase.QueueWait, 0, 100 * random.NextDouble());
            }
        }

        return new() { Holder = $"silo-{silo}", Sequence = 1, Deltas = recorder.Drain() };
    }

    private static double Median(double[] values)
    {
        Array.Sort(values);
        return values[values.Length / 2];
    }
}
