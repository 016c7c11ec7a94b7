using FsCheck.Xunit;
using OrleansInference.Queueing;

namespace OrleansInference.Tests.Queueing;

[Properties(EndSize = int.MaxValue)]
public sealed class RateLimitTests
{
    private const long Now = 1_000_000;

    [Fact]
    public void Over_no_span_more_is_admitted_than_the_burst_and_the_rate_whatever_is_lost_and_whoever_dies()
    {
        var (admitted, possible) = (0L, 0.0);
        var (deaths, restarts, lost) = (0, 0, 0);
        Parallel.For(0, 400, seed =>
        {
            var random = new Random(seed);
            var (rate, burst) = (Math.Pow(10, 3 * random.NextDouble()), random.Next(1, 200));
            var world = new RateWorld(seed, rate, burst, faults: true);
            for (var phase = 0; phase < 3; phase++)
            {
                world.Run(20_000, [.. Enumerable.Range(0, random.Next(1, 8)).Select(_ => random.Next(3) == 0 ? 0 : rate * 3 * random.NextDouble())]);
            }

            Assert.Null(world.Problem);
            lock (this)
            {
                (admitted, possible) = (admitted + world.Admitted, possible + burst + (60 * rate));
                (deaths, restarts, lost) = (deaths + world.Deaths, restarts + world.Restarts, lost + world.Lost);
            }
        });

        // Otherwise the histories prove little.
        Assert.True(admitted > 0.2 * possible, $"{admitted} of {possible:0}");
        Assert.True(deaths > 500 && restarts > 500 && lost > 5_000, $"{deaths} deaths, {restarts} restarts, {lost} messages lost");
    }

    [Fact]
    public void Under_steady_demand_most_of_the_rate_is_used_and_split_by_demand()
    {
        var world = new RateWorld(1, perSecond: 100, burst: 200, faults: false);
        world.Run(30_000, 300, 100, 100);
        var before = world.AdmittedBy.ToDictionary();
        var at = world.Admitted;
        world.Run(60_000, 300, 100, 100);
        Assert.Null(world.Problem);
        Assert.InRange(world.Admitted - at, 0.9 * 60 * 100, 60 * 100);
        var shares = Enumerable.Range(0, 3).Select(i => (world.AdmittedBy[i] - before[i]) / (double)(world.Admitted - at)).ToArray();
        Assert.InRange(shares[0], 0.5, 0.7);
        Assert.InRange(shares[1], 0.15, 0.25);
        Assert.InRange(shares[2], 0.15, 0.25);

        // What moves to another silo is lent to it within seconds.
        at = world.AdmittedBy[2];
        world.Run(20_000, 0, 0, 300);
        world.Run(20_000, 0, 0, 300);
        Assert.True(world.AdmittedBy[2] - at > 0.7 * 40 * 100, $"{world.AdmittedBy[2] - at}");
        Assert.Null(world.Problem);
    }

    [Fact]
    public void A_burst_of_one_is_shared_by_many_silos_through_the_owner()
    {
        var world = new RateWorld(3, perSecond: 5, burst: 1, faults: false);
        world.Run(60_000, 20, 20, 20, 20, 20);
        Assert.Null(world.Problem);
        Assert.InRange(world.Admitted, 100, 301);
        Assert.All(Enumerable.Range(0, 5), silo => Assert.True(world.AdmittedBy[silo] > 10));
    }

    [Property(MaxTest = 200)]
    public void A_quota_that_is_told_comes_true(int seed)
    {
        var random = new Random(seed);
        var (owner, lease) = (new RateLimit(1 + (100 * random.NextDouble()), random.Next(32, 300)), new RateLease(1));
        var (now, comeTrue) = (Now, 0);
        for (var i = 0; i < 200; i++)
        {
            if (i % 10 == 0)
            {
                lease.Apply(owner.Report(lease.BuildReport("silo", now), now), now);
            }

            now += random.Next(0, 100);
            var remaining = lease.QuotaAt(now).Remaining;
            for (var k = 0; k < remaining; k++)
            {
                Assert.True(lease.TryTake(now, out var left));
                Assert.Equal(remaining - k - 1, left.Remaining);
            }

            Assert.False(lease.TryTake(now, out var none));
            if (lease.Units > 0)
            {
                Assert.InRange(none.RetryAfterMs, 1, 1_000_000);
                Assert.True(none.RetryAfterMs <= none.ResetMs);
                if (none.RetryAfterMs <= 600)
                {
                    // Else the lease would run out before its next report.
                    now += none.RetryAfterMs;
                    Assert.True(lease.TryTake(now, out _), $"seed {seed}: none after {none.RetryAfterMs} ms");
                    comeTrue++;
                }
            }
        }

        Assert.True(comeTrue > 0 || owner.PerSecond < 10, $"seed {seed}: nothing was tried");
    }

    [Fact]
    public void A_holder_that_falls_silent_stops_in_time_and_its_units_come_home()
    {
        var (owner, lease) = (new RateLimit(100, 100), new RateLease(1));
        for (var i = 0; i < 500; i++)
        {
            lease.TryTake(Now, out _);
        }

        for (var i = 0; i < 5; i++)
        {
            lease.Apply(owner.Report(lease.BuildReport("silo", Now + i), Now + i), Now + i);
        }

        Assert.True(lease.TryTake(Now + 10, out _));
        Assert.True(owner.Outstanding > 40);
        Assert.False(lease.TryTake(Now + 9_000, out _));
        var other = new RateLease(1);
        other.TryTake(Now + 20_000, out _);
        owner.Report(other.BuildReport("other", Now + 20_000), Now + 20_000);
        Assert.DoesNotContain(owner.ToState().Leases, record => record.Holder == "silo");
        Assert.All(owner.ToState().Units.Leases, record => Assert.Equal("other", record.Holder));
    }

    [Fact]
    public void The_fields_have_the_syntax_of_the_draft()
    {
        Assert.Equal("\"high\";q=100;w=10", RateLimitFields.Policy("high", 10, 100));
        Assert.Equal("\"in-flight\";q=8;qu=\"concurrent-requests\"", RateLimitFields.ConcurrencyPolicy("in-flight", 8));
        Assert.Equal("\"high\";r=0;t=2", RateLimitFields.Limit("high", 0, 1_001));
        Assert.Equal("\"in-flight\";r=3", RateLimitFields.Limit("in-flight", 3, null));
        Assert.Throws<ArgumentException>(() => RateLimitFields.Limit("a\"b", 0, null));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RateLimit(0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RateLimit(1, 0));
    }
}
