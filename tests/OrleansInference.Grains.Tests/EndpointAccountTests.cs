using OrleansInference.Hosting;
using OrleansInference.Leases;

namespace OrleansInference.Tests;

public sealed class EndpointAccountTests
{
    private const int Slots = 4;
    private const int LowerMost = 3;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly EndpointAccount _account;

    public EndpointAccountTests()
    {
        var clock = new RouterClock(TimeProvider.System);
        _account = new(new("e"), new SlotOwner(Slots, clock), new(new LoneSilo()), clock);
    }

    [Fact]
    public async Task Lower_classes_leave_the_headroom_and_an_urgent_request_passes_them()
    {
        var low = new List<HeldLease>();
        for (var i = 0; i < LowerMost; i++)
        {
            low.Add(await Take(TrafficClass.Low));
        }

        var waiting = Take(TrafficClass.Low);
        var high = await Take(TrafficClass.High);
        Assert.False(waiting.IsCompleted);

        var second = Take(TrafficClass.High);
        Assert.False(second.IsCompleted);
        Release(low[0], TrafficClass.Low);
        await second;
        Assert.False(waiting.IsCompleted);

        // Four are in use: after one more end the waiting one would be the fourth again, after two it is the third.
        Release(low[1], TrafficClass.Low);
        Assert.False(waiting.IsCompleted);
        Release(high, TrafficClass.High);
        await waiting;
        var load = _account.LoadFor(TrafficClass.Low, Now, 0);
        Assert.Equal((LowerMost, 1), (load.InFlight, load.InFlightUrgent));
        Assert.Equal(0, _account.LoadFor(TrafficClass.High, Now, 0).InFlightUrgent);
    }

    [Fact]
    public async Task A_caller_that_gives_up_leaves_no_slot_behind()
    {
        var held = new List<HeldLease>();
        for (var i = 0; i < Slots; i++)
        {
            held.Add(await Take(TrafficClass.High));
        }

        using var cancel = new CancellationTokenSource();
        var waiting = _account.AcquireAsync(TrafficClass.High, int.MaxValue, Now + 60_000, Now + 60_000, cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);

        held.ForEach(one => Release(one, TrafficClass.High));
        Assert.Equal(0, _account.LoadFor(TrafficClass.Low, Now, 0).InFlight);
        for (var i = 0; i < Slots; i++)
        {
            await Take(TrafficClass.High);
        }
    }

    private static long Now => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    private async Task<HeldLease> Take(TrafficClass trafficClass) => await _account
        .AcquireAsync(trafficClass, trafficClass == TrafficClass.High ? int.MaxValue : LowerMost, Now + 60_000, Now + 60_000, CancellationToken.None)
        .AsTask().WaitAsync(Patience) ?? throw new TimeoutException("No slot came.");

    private void Release(HeldLease held, TrafficClass trafficClass) => _account.Release(held, trafficClass, CallEnd.Answered, 1, Money.Zero, Money.Zero);
}
