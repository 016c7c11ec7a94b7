using FsCheck.Xunit;
using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

public sealed class StaffingTests
{
    [Property(MaxTest = 300)]
    public void Erlang_is_what_the_sums_of_the_textbook_say(byte servers, ushort load)
    {
        var (c, a) = (1 + (servers % 120), (1 + load) / 500.0);

        // B = aᶜ/c! ÷ Σ aᵏ/k!; for C the last term is spread over the queue: × c/(c−a).
        var term = 1m;
        var sum = 1m;
        for (var k = 1; k <= c; k++)
        {
            term = term * (decimal)a / k;
            sum += term;
            if (sum > 1e15m)
            {
                (term, sum) = (term / 1e12m, sum / 1e12m);
            }
        }

        Assert.Equal((double)(term / sum), ErlangC.Blocking(c, a), 9);
        if (a < c)
        {
            var tail = term * c / (c - (decimal)a);
            var waits = (double)(tail / (sum - term + tail));
            Assert.Equal(waits, ErlangC.Waiting(c, a), 9);
            Assert.Equal(waits * Math.Exp(-(c - a) * 0.7), ErlangC.WaitingLonger(c, a, 0.7), 9);
        }
        else
        {
            Assert.Equal(1, ErlangC.WaitingLonger(c, a, 0.7));
        }
    }

    [Theory]
    [InlineData(1, 0.5, 0.5)]
    [InlineData(2, 1, 1 / 3.0)]
    [InlineData(10, 8, 0.409_180)]
    [InlineData(100, 90, 0.216_944)]
    public void Known_values_of_C(double servers, double load, double expected) => Assert.Equal(expected, ErlangC.Waiting(servers, load), 4);

    [Theory]
    [InlineData(0.5, 0.3)]
    [InlineData(2.25, 1.7)]
    [InlineData(7.75, 9)]
    [InlineData(40.5, 33)]
    public void Parts_of_a_server_follow_the_integral(double servers, double load)
    {
        // 1/B = a ∫ e^(−ax) (1+x)ᶜ dx (Jagers, Van Doorn, On the continued Erlang loss function, 1986), by small steps.
        const double Step = 1e-4;
        var inverse = 0.0;
        for (var x = Step / 2; x < 60 / Math.Min(1, load); x += Step)
        {
            inverse += load * Math.Exp(-load * x) * Math.Pow(1 + x, servers) * Step;
        }

        Assert.InRange(ErlangC.Blocking(servers, load) * inverse, 0.98, 1.02);
    }

    [Fact]
    public void A_hundred_thousand_servers_lose_no_digits()
    {
        var waits = ErlangC.Waiting(100_000, 99_700);

        // Halfin and Whitt's limit with β = (c − a)/√c: 1/(1 + β Φ(β)/φ(β)).
        const double Beta = 0.948_683;
        var limit = 1 / (1 + (Beta * 0.828_62 / 0.254_38));
        Assert.InRange(waits, limit * 0.98, limit * 1.02);
    }

    [Property(MaxTest = 300)]
    public void The_least_number_of_slots_that_holds_is_found(ushort load, byte peakedness, byte wait, byte late, ushort most)
    {
        var (a, z, max) = ((1 + (load % 20_000)) / 50.0, 1 + (peakedness / 40.0), most % 900);
        var target = new WaitTarget(wait / 100.0, (1 + late) / 300.0);
        var slots = Staffing.Slots(a, z, target, max);

        var slow = 0;
        while (slow < max && (slow <= a || ErlangC.WaitingLonger(slow / z, a / z, target.Wait) > target.LateShare))
        {
            slow++;
        }

        Assert.Equal(slow, slots);
    }

    [Property(MaxTest = 300)]
    public void More_load_and_burstier_load_never_need_fewer_slots(ushort load, ushort more, byte peakedness)
    {
        var (a, z) = (load / 100.0, 1 + (peakedness / 30.0));
        var slots = Staffing.Slots(a, z, WaitTarget.Default, 100_000);
        Assert.InRange(slots, (int)a, Staffing.Slots(a + (more / 100.0), z, WaitTarget.Default, 100_000));
        Assert.True(slots <= Staffing.Slots(a, z + 1, WaitTarget.Default, 100_000));
    }

    [Fact]
    public void The_margin_grows_by_the_root_of_the_load()
    {
        var small = Staffing.Slots(100, 1, WaitTarget.Default, 100_000) - 100;
        var large = Staffing.Slots(10_000, 1, WaitTarget.Default, 100_000) - 10_000;
        Assert.InRange(large, small, 10 * small);
        Assert.Equal(0, Staffing.Slots(0, 1, WaitTarget.Default, 10));
        Assert.Equal(0, Staffing.Slots(double.NaN, 1, WaitTarget.Default, 10));
        Assert.Equal(10, Staffing.Slots(double.PositiveInfinity, double.NaN, WaitTarget.Default, 10));
    }

    [Theory]
    [InlineData(1, 20, 1)]
    [InlineData(1, 3, 2)]
    [InlineData(8, 20, 3)]
    [InlineData(8, 60, 4)]
    public void Simulated_queues_keep_the_target(int burst, double load, int seed)
    {
        // Arrivals in batches of a fixed size: peakedness is (batch + 1)/2 for exponential service.
        var slots = Staffing.Slots(load, (burst + 1) / 2.0, WaitTarget.Default, 10_000);
        var random = new Random(seed);
        var free = new PriorityQueue<int, double>();
        for (var i = 0; i < slots; i++)
        {
            free.Enqueue(0, 0);
        }

        var (now, late, all) = (0.0, 0, 0);
        while (all < 400_000)
        {
            now -= Math.Log(1 - random.NextDouble()) * burst / load;
            for (var i = 0; i < burst; i++)
            {
                free.TryDequeue(out _, out var at);
                all++;
                late += at - now > WaitTarget.Default.Wait ? 1 : 0;
                free.Enqueue(0, Math.Max(at, now) - Math.Log(1 - random.NextDouble()));
            }
        }

        // Hayward's is an approximation: within twice the target where arrivals are bursty, the target where they are Poisson.
        Assert.InRange((double)late / all, 0, WaitTarget.Default.LateShare * (burst == 1 ? 1.1 : 2));
    }
}
