using OrleansInference.Hosting;
using OrleansInference.Leases;

namespace OrleansInference.Tests;

public sealed class EndpointAccountTests
{
    private const int Slots = 8;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly RouterClock _clock = new(TimeProvider.System);
    private readonly EndpointAccount _account;
    private readonly SlotOwner _owner;

    public EndpointAccountTests()
    {
        _owner = new(Slots, _clock, keepsHeadroom: true);
        _account = SlotListener.Open(_owner, _clock);
    }

    [Fact]
    public async Task Lower_classes_leave_the_headroom_and_an_urgent_request_passes_them()
    {
        var high = await Take(TrafficClass.High);
        await _account.BeatAsync(closing: false);
        var headroom = _owner.Headroom;
        Assert.InRange(headroom, 1, Slots - 2);

        var low = new List<HeldLease>();
        while (low.Count < Slots - 1 - headroom)
        {
            low.Add(await Take(TrafficClass.Low));
        }

        var waiting = Take(TrafficClass.Low);
        var urgent = new List<HeldLease>();
        for (var i = 0; i < headroom; i++)
        {
            urgent.Add(await Take(TrafficClass.High));
        }

        Assert.False(waiting.IsCompleted);
        var second = Take(TrafficClass.High);
        Assert.False(second.IsCompleted);
        _account.Return(low[0], TrafficClass.Low);
        await second;
        Assert.False(waiting.IsCompleted);
        var load = _account.LoadFor(TrafficClass.Low, Now, 0);
        Assert.Equal((Slots, headroom + 2), (load.InFlight, load.InFlightUrgent));
        Assert.Equal(0, _account.LoadFor(TrafficClass.High, Now, 0).InFlightUrgent);

        urgent.ForEach(slot => _account.Return(slot, TrafficClass.High));
        _account.Return(high, TrafficClass.High);
        for (var i = 1; i < low.Count; i++)
        {
            _account.Return(low[i], TrafficClass.Low);
        }

        await waiting;
    }

    [Fact]
    public async Task A_caller_that_gives_up_leaves_no_slot_and_no_ticket_behind()
    {
        var held = new List<HeldLease>();
        for (var i = 0; i < Slots; i++)
        {
            held.Add(await Take(TrafficClass.High));
        }

        using var cancel = new CancellationTokenSource();
        var waiting = _account.AcquireAsync(new(TrafficClass.High, new("t"), 1, Now + 60_000, 1, 60_000), cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        await Eventually(async () =>
        {
            await _account.BeatAsync(closing: false);
            return _owner.Waiting == 0;
        });

        held.ForEach(one => _account.Return(one, TrafficClass.High));
        Assert.Equal(0, _account.LoadFor(TrafficClass.Low, Now, 0).InFlight);
        for (var i = 0; i < Slots; i++)
        {
            await Take(TrafficClass.High);
        }
    }

    [Fact]
    public async Task A_request_that_could_not_be_served_in_time_is_refused_on_arrival_and_told_when_to_come_back()
    {
        var held = new List<HeldLease>();
        for (var i = 0; i < Slots; i++)
        {
            held.Add(await Take(TrafficClass.High));
        }

        var first = _account.AcquireAsync(new(TrafficClass.Medium, new("t"), 1, Now + 60_000, 30_000 * Slots, 60_000), CancellationToken.None).AsTask();
        var refused = await _account.AcquireAsync(new(TrafficClass.Low, new("t"), 1, Now + 20_000, 10, 20_000), CancellationToken.None).AsTask().WaitAsync(Patience);
        Assert.Null(refused.Slot);
        Assert.Equal(SlotVerdict.TooLate, refused.Refusal);
        Assert.InRange(refused.RetryAfterMs, 1, 240_000);
        Assert.False(first.IsCompleted);
        held.ForEach(one => _account.Return(one, TrafficClass.High));
        Assert.NotNull((await first.WaitAsync(Patience)).Slot);
    }

    [Fact]
    public async Task What_waits_is_known_by_its_length_and_a_long_request_is_given_up_for_a_short_one_of_its_tenant()
    {
        var held = new List<HeldLease>();
        for (var i = 0; i < Slots; i++)
        {
            held.Add(await Take(TrafficClass.High));
        }

        var deadline = Now + 60_000;
        var longer = _account.AcquireAsync(new(TrafficClass.Medium, new("t"), 1, deadline, 100_000 * Slots, 0), CancellationToken.None).AsTask();
        await Eventually(() => Task.FromResult(WorkAhead("t", double.PositiveInfinity) == 100_000 * Slots));
        Assert.Equal(1, WorkAhead("t", 200));
        Assert.Equal(200, WorkAhead("u", 200));

        var shorter = _account.AcquireAsync(new(TrafficClass.Medium, new("t"), 1, deadline + 10, 200, 60_000), CancellationToken.None).AsTask();
        var refused = await longer.WaitAsync(Patience);
        Assert.Equal((null, SlotVerdict.TooLate), (refused.Slot, refused.Refusal));
        Assert.False(shorter.IsCompleted);
        Assert.Equal(1, _owner.Waiting);
        held.ForEach(one => _account.Return(one, TrafficClass.High));
        Assert.NotNull((await shorter.WaitAsync(Patience)).Slot);

        long WorkAhead(string tenant, double serviceMs) => _account.LoadFor(TrafficClass.Medium, Now, 0, new(tenant), 1, serviceMs).WaitingWorkMs;
    }

    [Fact]
    public async Task After_a_restart_of_the_grain_those_who_wait_are_told_of_again()
    {
        var held = new List<HeldLease>();
        for (var i = 0; i < Slots; i++)
        {
            held.Add(await Take(TrafficClass.High));
        }

        var waiting = Take(TrafficClass.High);
        await Eventually(() => Task.FromResult(_owner.Waiting == 1));
        Assert.Equal(0, _owner.Restart());
        await Eventually(() => Task.FromResult(_owner.Waiting == 1));
        _account.Return(held[0], TrafficClass.High);
        await waiting;
    }

    private static long Now => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    private static async Task Eventually(Func<Task<bool>> holds)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (!await holds())
        {
            await Task.Delay(10, patience.Token);
        }
    }

    private async Task<HeldLease> Take(TrafficClass trafficClass) => (await _account
        .AcquireAsync(new(trafficClass, new("t"), 1, Now + 60_000, 1, 60_000), CancellationToken.None)
        .AsTask().WaitAsync(Patience)).Slot ?? throw new TimeoutException("No slot came.");
}
