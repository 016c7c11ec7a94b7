using FsCheck.Xunit;
using OrleansInference.Pricing;

namespace OrleansInference.Tests.Pricing;

// By default only a hundred seeds would differ.
[Properties(EndSize = int.MaxValue)]
public sealed class AllRealtimeBaselineTests
{
    private static readonly ModelName Model = new("m");
    private static readonly Money Second = Money.FromNanos(391_112);

    [Property(MaxTest = 300)]
    public void The_fleet_is_what_counting_every_second_of_the_span_gives(int seed)
    {
        var random = new Random(seed);
        var concurrency = random.Next(1, 9);
        var requests = RandomRequests(random);
        var baseline = new AllRealtimeBaseline();
        foreach (var (arrival, service) in requests)
        {
            baseline.Add(Model, arrival, service, concurrency, Second);
            if (random.Next(50) == 0)
            {
                // A look in between changes nothing.
                baseline.Report();
            }
        }

        var report = Assert.Single(baseline.Report().Models);

        var slow = Slow(requests, concurrency);
        Assert.Equal((slow.Peak, slow.At99), (report.PeakInstances, report.InstancesAt99));
        Assert.Equal(slow.Seconds * 1000, report.SpanMs);
        Assert.Equal(requests.Count, report.Requests);
        Assert.Equal(0, report.Late);
        Assert.Equal(Second * slow.Seconds * slow.Peak, report.CostAtPeak);
        Assert.Equal(Second * slow.Seconds * slow.At99, report.CostAt99);
    }

    [Fact]
    public void One_busy_minute_in_a_hundred_counts_for_the_peak_alone()
    {
        foreach (var (minutes, at99) in ((int, int)[])[(99, 3), (100, 1)])
        {
            var baseline = new AllRealtimeBaseline();
            for (var minute = 0; minute < minutes; minute++)
            {
                for (var i = 0; i < (minute == 50 ? 3 : 1); i++)
                {
                    baseline.Add(Model, minute * 60_000L, 60_000, 1, Second);
                }
            }

            var report = Assert.Single(baseline.Report().Models);
            Assert.Equal((3, at99), (report.PeakInstances, report.InstancesAt99));
        }
    }

    [Fact]
    public void A_lull_as_long_as_what_is_kept_by_second_counts_every_minute_once()
    {
        // 199 minutes of which two are busy: their 99th percentile is the first busy one. With an idle minute more it would be an idle one.
        for (var lull = 11_000; lull < 11_200; lull++)
        {
            var baseline = new AllRealtimeBaseline();
            var requests = new List<(long Arrival, long Service)> { (60_000, 120_000), (60_000, 120_000) };
            for (var second = 60 + lull; second < 11_990; second += 50)
            {
                requests.Add((second * 1000L, 1000));
            }

            requests.ForEach(request => baseline.Add(Model, request.Arrival, request.Service, 1, Second));

            var slow = Slow(requests, 1);
            Assert.Equal((slow.Peak, slow.At99), (baseline.Report().Models[0].PeakInstances, baseline.Report().Models[0].InstancesAt99));
        }
    }

    [Fact]
    public void A_spike_counts_by_its_mean_over_the_second()
    {
        var baseline = new AllRealtimeBaseline();
        for (var i = 0; i < 20; i++)
        {
            // Twenty at once for 100 ms are two busy slots over that second: less than they would need.
            baseline.Add(Model, 60_000, 100, 1, Second);
        }

        Assert.Equal(2, baseline.Report().Models[0].PeakInstances);
    }

    [Fact]
    public void Models_have_fleets_of_their_own_and_costs_add_up()
    {
        var baseline = new AllRealtimeBaseline();
        baseline.Add(new("b"), 0, 10_000, 1, Second);
        baseline.Add(new("a"), 0, 5_000, 1, Second * 2);

        var report = baseline.Report();

        Assert.Equal(["a", "b"], report.Models.Select(model => model.Model.Value));
        Assert.Equal(Second * 20, report.CostAtPeak);
        Assert.Equal(Second * 20, report.CostAt99);
    }

    [Fact]
    public void A_request_reported_too_late_is_counted_from_where_the_history_begins_and_a_long_one_is_cut()
    {
        var baseline = new AllRealtimeBaseline();
        baseline.Add(Model, 10_000_000, 0, 1, Second);
        baseline.Add(Model, 1_000_000, 100, 1, Second);
        baseline.Add(Model, 10_000_000, AllRealtimeBaseline.MaxServiceMs * 5, 1, Second);

        var report = Assert.Single(baseline.Report().Models);

        Assert.Equal((1, 3), (report.Late, report.Requests));
        Assert.Equal(10_000_000 + AllRealtimeBaseline.MaxServiceMs - 6_400_000, report.SpanMs);
    }

    /// <summary>Busy time by second and the seconds' maximum by minute, in plain lists over the whole span.</summary>
    private static (long Seconds, int Peak, int At99) Slow(List<(long Arrival, long Service)> requests, int concurrency)
    {
        var begin = requests.Min(request => request.Arrival) / 1000;
        var end = Math.Max(begin + 1, requests.Max(request => (request.Arrival + request.Service + 999) / 1000));
        var busy = new long[end - begin];
        foreach (var (arrival, service) in requests)
        {
            for (var second = arrival / 1000; second * 1000 < arrival + service; second++)
            {
                busy[second - begin] += Math.Min((second + 1) * 1000, arrival + service) - Math.Max(second * 1000, arrival);
            }
        }

        var minutes = Enumerable.Range(0, busy.Length)
            .GroupBy(i => (begin + i) / 60, i => Math.Max(1, (int)((busy[i] + (1000L * concurrency) - 1) / (1000L * concurrency))))
            .Select(minute => minute.Max()).Order().ToList();
        return (busy.Length, minutes[^1], minutes[(int)Math.Ceiling(minutes.Count * 99 / 100m) - 1]);
    }

    /// <summary>Bursts, lulls longer than what is kept by second, and arrivals out of order by up to an hour.</summary>
    private static List<(long Arrival, long Service)> RandomRequests(Random random)
    {
        var requests = new List<(long, long)>();
        long now = random.Next(2) * random.NextInt64(4_000_000_000_000), newest = 0;
        for (var i = random.Next(1, 400); i > 0; i--)
        {
            now += random.Next(30) switch
            {
                0 => random.Next(7_400_000, 7_700_000),
                1 => random.Next(600_000),
                2 => 60_000 - (now % 60_000),
                < 15 => random.Next(5000),
                _ => 0,
            };
            var arrival = random.Next(5) == 0 ? Math.Max(Math.Max(0, now - random.Next(3_590_000)), newest - 3_590_000) : now;
            newest = Math.Max(newest, arrival);
            requests.Add((arrival, random.Next(6) switch { 0 => 0, 1 => random.NextInt64(AllRealtimeBaseline.MaxServiceMs + 1), 2 => 1000 * random.Next(5), _ => random.Next(20_000) }));
        }

        return requests;
    }
}
