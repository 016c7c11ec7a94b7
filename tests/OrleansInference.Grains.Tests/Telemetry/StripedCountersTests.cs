using OrleansInference.Telemetry;

namespace OrleansInference.Tests.Telemetry;

public sealed class StripedCountersTests
{
    [Fact]
    public void Every_count_is_taken_once_while_others_count()
    {
        const int Threads = 4;
        const int Each = 20_000;
        var counters = new StripedCounters(19);
        long taken = 0;
        var workers = Enumerable.Range(0, Threads).Select(_ => new Thread(() =>
        {
            for (var i = 0; i < Each; i++)
            {
                counters.Increment(0);
                counters.Add(18, 3);
            }
        })).ToArray();
        Array.ForEach(workers, static worker => worker.Start());
        while (workers.Any(static worker => worker.IsAlive))
        {
            taken += counters.Take(0);
        }

        taken += counters.Take(0);
        Assert.Equal(Threads * Each, taken);
        Assert.Equal(0, counters.Sum(0));
        Assert.Equal(Threads * Each * 3, counters.Sum(18));
        Assert.All(Enumerable.Range(1, 17), counter => Assert.Equal(0, counters.Sum(counter)));
    }
}
