using System.Text.Json;
using FsCheck.Xunit;
using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

[Properties(EndSize = int.MaxValue)]
public sealed class HeadroomTests
{
    private const int Slots = 200;
    private readonly Headroom _headroom = new();
    private long _now = 1_000_000;

    [Fact]
    public void Nothing_is_kept_for_a_class_that_nobody_uses()
    {
        Assert.Equal(0, _headroom.Slots(Slots));
        Hold(0, 100);
        Assert.Equal(0, _headroom.Slots(Slots));
    }

    [Fact]
    public void A_slot_is_kept_for_a_while_after_the_last_and_then_none()
    {
        Hold(1, 1);
        Assert.InRange(_headroom.Slots(Slots), 1, 3);
        Hold(0, Headroom.QuietMs / 1_000);
        Assert.Equal(1, _headroom.Slots(Slots));
        Hold(0, 1);
        Assert.Equal(0, _headroom.Slots(Slots));
        Assert.Equal((0, 0), (_headroom.Slots(1), _headroom.Slots(0)));
    }

    [Fact]
    public void A_steady_use_keeps_about_two_roots_of_it_and_bursts_of_the_same_mean_keep_more()
    {
        Hold(25, 1_000);
        Assert.InRange(_headroom.Slots(Slots), 9, 11);
        var bursty = new Headroom();
        for (var i = 0; i < 2_000; i++)
        {
            bursty.Observe(_now += 1_000, i % 20 < 5 ? 100 : 0);
        }

        // In between, when nothing is in use, nearly the whole burst is kept free.
        Assert.InRange(bursty.Mean, 20, 30);
        Assert.InRange(bursty.Slots(Slots), 90, 130);
        bursty.Observe(_now += 1_000, 100);
        Assert.InRange(bursty.Slots(Slots), 9, 90);
    }

    [Fact]
    public void Where_high_can_wait_less_is_kept()
    {
        Hold(25, 1_000);

        // Of twenty-five that come at random the deviation is five: one takes the place of two, and in the tenth of a service time that it can wait some of two hundred come free.
        Assert.InRange(_headroom.Slots(Slots), 9, 11);
        Assert.InRange(_headroom.Slots(Slots, 1_000, 1), 5, 6);
        Assert.Equal(1, _headroom.Slots(Slots, 1_000, 100));
    }

    [Fact]
    public void Lower_classes_leave_what_high_needs_ninety_seven_times_in_a_hundred()
    {
        // Poisson arrivals of a mean of thirty calls in flight, seen each second.
        var random = new Random(5);
        var ends = new PriorityQueue<int, double>();
        var next = 0.0;
        var (missed, seen) = (0, 0);
        var lowerBound = Slots;
        for (var second = 1; second <= 20_000; second++)
        {
            for (; next < second; next += -Math.Log(1 - random.NextDouble()) / 15)
            {
                ends.Enqueue(0, next - (2 * Math.Log(1 - random.NextDouble())));
            }

            while (ends.TryPeek(out _, out var end) && end <= second)
            {
                ends.Dequeue();
            }

            if (second > 1_000)
            {
                seen++;
                missed += ends.Count > Slots - lowerBound ? 1 : 0;
            }

            // With what High uses itself, lower classes hold at most this many slots.
            _headroom.Observe(_now += 1_000, ends.Count);
            lowerBound = Slots - _headroom.Slots(Slots) - ends.Count;
        }

        Assert.True(missed <= 0.03 * seen, $"High was short of slots {missed} of {seen} times");
        Assert.InRange(_headroom.Mean, 25, 35);
        Assert.InRange(_headroom.Slots(Slots), 4, 25);
    }

    [Property(MaxTest = 500)]
    public void It_is_at_least_one_while_high_is_seen_and_never_all_and_goes_on_the_same_from_its_stored_state(int seed)
    {
        var random = new Random(seed);
        for (var i = 0; i < 200; i++)
        {
            var restored = new Headroom(JsonSerializer.Deserialize<HeadroomState>(JsonSerializer.Serialize(_headroom.ToState())));
            var inUse = random.Next(3) == 0 ? 0 : random.Next(-1, 500);
            _now += random.Next(5) == 0 ? random.Next(-10_000, 400_000) : random.Next(0, 2_000);
            _headroom.Observe(_now, inUse);
            restored.Observe(_now, inUse);
            var total = random.Next(2, 300);
            Assert.Equal(_headroom.Slots(total), restored.Slots(total));
            Assert.InRange(_headroom.Slots(total), 0, total - 1);
            Assert.True(_headroom.ToState().Last == 0 || _headroom.Slots(total) >= 1);
        }
    }

    private void Hold(int inUse, long seconds)
    {
        for (var i = 0; i < seconds; i++)
        {
            _headroom.Observe(_now += 1_000, inUse);
        }
    }
}
