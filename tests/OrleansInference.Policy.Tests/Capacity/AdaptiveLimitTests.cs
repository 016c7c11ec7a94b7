using System.Text.Json;
using FsCheck.Xunit;
using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

[Properties(EndSize = int.MaxValue)]
public sealed class AdaptiveLimitTests
{
    private const int Slots = 40;
    private const double ServiceMs = 100;
    private readonly AdaptiveLimit _limit = new();
    private long _now = 1_000_000;

    [Fact]
    public void A_throttling_storm_halves_it_step_by_step_and_it_grows_back_by_equal_steps()
    {
        Run(20, _ => 1);
        Assert.Equal(Slots, _limit.Limit(Slots));
        List<int> limits = [Slots];
        for (var i = 0; i < 20; i++)
        {
            var decision = Beat(inFlight: _limit.Limit(Slots), factor: 1, throttledPart: 0.6);
            if (decision.HasChanged)
            {
                limits.Add(decision.Limit);
                Assert.Contains("throttled", decision.Reason, StringComparison.Ordinal);
            }
        }

        Assert.Equal([40, 20, 10, 5, 2, 1], limits.Take(6));
        Assert.Equal(1, _limit.Limit(Slots));
        var grown = new List<int>();
        for (var i = 0; i < 40 && _limit.Share < 1; i++)
        {
            grown.Add(Beat(_limit.Limit(Slots), 1).Limit);
        }

        Assert.Equal(Slots, grown[^1]);
        Assert.All(grown.Zip(grown.Skip(1)), pair => Assert.InRange(pair.Second - pair.First, 1, 2));
    }

    [Fact]
    public void A_few_throttled_calls_take_a_tenth()
    {
        Run(10, _ => 1);
        Assert.Equal(36, Beat(Slots, 1, throttledPart: 0.02).Limit);
    }

    [Fact]
    public void Service_that_takes_three_times_as_long_under_load_shrinks_it_to_where_it_no_longer_does()
    {
        Run(20, _ => 1);

        // From now on the instances serve fifteen calls at a time at full speed.
        var limits = Run(300, inFlight => Math.Max(1, inFlight / 15.0));
        Assert.True(limits.Take(4).Last() < 0.7 * Slots, $"{limits[3]} after four windows");
        Assert.All(limits.Skip(10), limit => Assert.InRange(limit, 10, 27));
        Assert.InRange(_limit.Baseline!.Value, 0.9 * ServiceMs, 1.5 * ServiceMs);

        Assert.Equal(Slots, Run(40, _ => 1)[^1]);
    }

    [Fact]
    public void A_mix_that_takes_three_times_as_long_at_any_concurrency_becomes_the_normal_one()
    {
        Run(20, _ => 1);
        var limits = Run(60, _ => 3);
        Assert.True(limits.Min() >= Slots / 5, $"{limits.Min()}");
        Assert.Equal(Slots, limits[^1]);
        Assert.All(limits.Skip(40), limit => Assert.Equal(Slots, limit));
        Assert.InRange(_limit.Baseline!.Value, 2.9 * ServiceMs, 3.1 * ServiceMs);
    }

    [Fact]
    public void A_longer_mix_that_its_sizes_explain_changes_nothing()
    {
        for (var i = 0; i < 100; i++)
        {
            var factor = i < 50 ? 1 : 5;
            Assert.Equal(Slots, Beat(Slots, factor, expected: factor).Limit);
        }
    }

    [Fact]
    public void A_steady_load_of_varying_sizes_shrinks_it_seldom()
    {
        // Sizes from a log-normal distribution whose largest percent takes fifteen times the median; two hundred calls a window, then ten.
        // Among so many windows chance now and then has two long ones in a row, which look like inflation: one window in a thousand, no more.
        var (shrunk, windows) = (0, 0);
        for (var seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            var (limit, now) = (new AdaptiveLimit(), 0L);
            foreach (var calls in new[] { 200, 10 })
            {
                for (var i = 0; i < 1_000; i++)
                {
                    var busy = 0.0;
                    for (var k = 0; k < calls; k++)
                    {
                        var normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
                        busy += ServiceMs * Math.Exp(1.17 * normal);
                    }

                    now += AdaptiveLimit.WindowMs;
                    limit.Observe(new() { Now = now, Slots = Slots, InFlight = Slots, Completions = calls, BusyMs = (long)busy });
                    shrunk += limit.Share < 0.9 ? 1 : 0;
                    windows++;
                }
            }
        }

        Assert.True(shrunk <= windows / 1000, $"below nine tenths of the slots in {shrunk} of {windows} windows");
    }

    [Fact]
    public void Slow_service_while_few_slots_are_in_use_is_not_due_to_their_number()
    {
        Run(20, _ => 1);
        for (var i = 0; i < 20; i++)
        {
            Assert.Equal(Slots, Beat(inFlight: 10, factor: 3).Limit);
        }
    }

    [Fact]
    public void It_follows_the_slots_at_once_in_proportion()
    {
        Run(10, _ => 1);
        Assert.Equal(20, Beat(Slots, 1, throttledPart: 0.6).Limit);
        var decision = _limit.Observe(new() { Now = _now, Slots = 10, InFlight = 20 });
        Assert.Equal(5, decision.Limit);
        Assert.Equal((0, 1, 40), (_limit.Limit(0), _limit.Limit(1), _limit.Limit(80)));
    }

    [Property(MaxTest = 300)]
    public void Whatever_it_is_told_it_stays_between_one_and_the_slots_and_goes_on_the_same_from_its_stored_state(int seed)
    {
        var random = new Random(seed);
        var (limit, now) = (new AdaptiveLimit(), 0L);
        for (var i = 0; i < 300; i++)
        {
            now += random.Next(-100, 30_000);
            var completions = random.Next(-1, 300);
            var sample = new LimitSample
            {
                Now = now,
                Slots = random.Next(0, 50),
                InFlight = random.Next(-1, 60),
                Completions = completions,
                Throttled = random.Next(4) == 0 ? random.Next(0, Math.Max(1, completions * 2)) : 0,
                Failed = random.Next(4) == 0 ? random.Next(0, 20) : 0,
                BusyMs = random.NextInt64(-5, 200_000_000),
                ExpectedMs = random.Next(9) == 0 ? random.NextInt64(0, 100_000) : 0,
            };
            var restored = new AdaptiveLimit(JsonSerializer.Deserialize<AdaptiveLimitState>(JsonSerializer.Serialize(limit.ToState())));
            var decision = limit.Observe(sample);
            Assert.InRange(decision.Limit, Math.Min(1, sample.Slots), sample.Slots);
            Assert.Equal(decision, restored.Observe(sample));
            Assert.Equal(limit.ToState(), restored.ToState());
        }
    }

    private List<int> Run(int windows, Func<int, double> factor)
    {
        List<int> limits = [];
        for (var i = 0; i < windows; i++)
        {
            var inFlight = _limit.Limit(Slots);
            limits.Add(Beat(inFlight, factor(inFlight)).Limit);
        }

        return limits;
    }

    /// <summary>A window in which so many calls were in flight.</summary>
    private LimitDecision Beat(int inFlight, double factor, double throttledPart = 0, double expected = 0)
    {
        _now += AdaptiveLimit.WindowMs;
        var completions = Math.Max(50, (int)(inFlight * AdaptiveLimit.WindowMs / (ServiceMs * factor)));
        return _limit.Observe(new()
        {
            Now = _now,
            Slots = Slots,
            InFlight = inFlight,
            Completions = completions,
            Throttled = (int)Math.Ceiling(throttledPart * completions),
            BusyMs = (long)(completions * ServiceMs * factor),
            ExpectedMs = (long)(completions * ServiceMs * expected),
        });
    }
}
