using System.Text.Json;
using FsCheck.Xunit;
using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

public sealed class ScaleInTests
{
    private const long BreakEvenMs = 180_000;

    [Fact]
    public void Who_knows_nothing_keeps_an_instance_for_the_price_of_a_start()
    {
        var scaleIn = new ScaleIn();
        Assert.Equal(BreakEvenMs, scaleIn.KeepMs(BreakEvenMs));
        for (var i = 0; i < ScaleIn.Evidence - 1; i++)
        {
            scaleIn.Learn(300_000);
        }

        Assert.Equal(BreakEvenMs, scaleIn.KeepMs(BreakEvenMs));
    }

    [Theory]
    [InlineData(250_000, 250_000, 360_000)]
    [InlineData(3_000_000, BreakEvenMs, BreakEvenMs)]
    [InlineData(20_000, BreakEvenMs, BreakEvenMs)]
    public void It_is_kept_longer_where_it_is_usually_needed_again_before_twice_that(long idleMs, long least, long most)
    {
        var scaleIn = new ScaleIn();
        for (var i = 0; i < 100; i++)
        {
            scaleIn.Learn(idleMs);
        }

        Assert.InRange(scaleIn.KeepMs(BreakEvenMs), least, most);
    }

    [Property(MaxTest = 300)]
    public void It_never_costs_more_than_three_times_the_least_and_no_more_than_the_break_even_on_what_was_seen(int seed)
    {
        var random = new Random(seed);
        var scaleIn = new ScaleIn();
        for (var i = random.Next(0, 1_000); i > 0; i--)
        {
            scaleIn.Learn((long)(1_000 * Math.Exp(random.NextDouble() * 12)));
        }

        var breakEven = random.NextInt64(1_000, 900_000);
        var keep = new ScaleIn(JsonSerializer.Deserialize<IdleTimesState>(JsonSerializer.Serialize(scaleIn.ToState()))).KeepMs(breakEven);
        Assert.InRange(keep, breakEven, (long)(breakEven * ScaleIn.Trust));
        Assert.True(scaleIn.Cost(keep, breakEven) <= scaleIn.Cost(breakEven, breakEven) * 1.01);
        for (var idle = 500.0; idle < 1e8; idle *= 1.3)
        {
            var cost = idle <= keep ? idle : keep + breakEven;
            Assert.True(cost <= 3.001 * Math.Min(idle, breakEven));
        }
    }

    [Property(MaxTest = 300)]
    public void Since_when_each_instance_is_idle_is_what_one_clock_for_each_says(int seed)
    {
        // The slow model: each instance remembers when it was last needed.
        var random = new Random(seed);
        const int Most = 40;
        var neededAt = new long[Most + 1];
        var isIdle = new bool[Most + 1];
        var levels = new IdleLevels();
        var (now, reported, expected) = (1_000_000L, 0, 0);
        for (var i = 0; i < 200; i++)
        {
            now += random.NextInt64(1, 60_000);
            var needed = random.Next(3) == 0 ? random.Next(Most + 1) : Math.Clamp((i == 0 ? 0 : expected % 7) + random.Next(5), 0, Most);
            var ended = new HashSet<long>();
            for (var n = 1; n <= Most; n++)
            {
                if (n > needed && !isIdle[n])
                {
                    (isIdle[n], neededAt[n]) = (true, now);
                }
                else if (n <= needed && isIdle[n])
                {
                    isIdle[n] = false;
                    ended.Add(now - neededAt[n]);
                }
            }

            expected += ended.Count;
            levels.Observe(now, needed, Most, idle =>
            {
                Assert.Contains(idle, ended);
                reported++;
            });
            Assert.Equal(expected, reported);
            levels = new(JsonSerializer.Deserialize<IdleLevel[]>(JsonSerializer.Serialize(levels.ToState())));
            Assert.InRange(levels.ToState().Count, 0, IdleLevels.MaxEntries);
            var instances = random.Next(Most + 1);
            var forMs = random.NextInt64(0, 400_000);
            var kept = 0;
            for (var n = 1; n <= instances && !(isIdle[n] && now - neededAt[n] >= forMs); n++)
            {
                kept = n;
            }

            Assert.Equal(kept, levels.Kept(now, instances, forMs));
        }
    }

    [Fact]
    public void Entries_are_bounded_and_what_is_idle_for_a_day_is_forgotten()
    {
        var levels = new IdleLevels();
        for (var i = 0; i < 500; i++)
        {
            levels.Observe(1_000 + i, 500 - i, 500, static _ => { });
        }

        Assert.Equal(IdleLevels.MaxEntries, levels.ToState().Count);
        var told = new List<long>();
        levels.Forget(ScaleIn.LongestMs + 100_000, 450, ScaleIn.LongestMs, told.Add);
        Assert.NotEmpty(told);
        Assert.Equal(450, levels.ToState()[^1].To);
    }
}
