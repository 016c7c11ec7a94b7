using OrleansInference.Budgets;
using OrleansInference.Leases;

namespace OrleansInference.Tests;

public sealed class SlotQueueTests
{
    private static HeldLease Slot() => new(new EscrowLease(1));

    [Fact]
    public void Slots_go_by_class_then_deadline_then_arrival()
    {
        var queue = new SlotQueue();
        var low = queue.Join(TrafficClass.Low, deadline: 1)!;
        var late = queue.Join(TrafficClass.High, deadline: 200)!;
        var early = queue.Join(TrafficClass.High, deadline: 100)!;
        var second = queue.Join(TrafficClass.High, deadline: 100)!;
        Assert.Equal(4, queue.Count);
        Assert.Equal(3, queue.CountUpTo(TrafficClass.High));

        foreach (var expected in (SlotWaiter[])[early, second, late, low])
        {
            Assert.False(expected.Served.Task.IsCompleted);
            var left = 1;
            queue.Serve(_ => left-- > 0 ? Slot() : null);
            Assert.True(expected.Served.Task.IsCompletedSuccessfully);
        }

        Assert.Equal(0, queue.Count);
    }

    [Fact]
    public void Who_left_gets_no_slot_and_who_was_served_cannot_leave()
    {
        var queue = new SlotQueue();
        var gone = queue.Join(TrafficClass.High, 1)!;
        var served = queue.Join(TrafficClass.High, 2)!;
        Assert.True(queue.Leave(gone));
        var slots = 0;
        queue.Serve(_ =>
        {
            slots++;
            return Slot();
        });
        Assert.Equal(1, slots);
        Assert.False(gone.Served.Task.IsCompleted);
        Assert.False(queue.Leave(served));
        Assert.Equal(0, queue.Count);
    }

    [Fact]
    public void The_queue_is_bounded()
    {
        var queue = new SlotQueue();
        for (var i = 0; i < SlotQueue.MaxWaiting; i++)
        {
            Assert.NotNull(queue.Join(TrafficClass.Low, i));
        }

        Assert.Null(queue.Join(TrafficClass.High, 0));
    }
}
