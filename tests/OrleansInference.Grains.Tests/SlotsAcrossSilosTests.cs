using OrleansInference.Hosting;
using OrleansInference.Leases;

namespace OrleansInference.Tests;

/// <summary>Three silos share an endpoint's slots through one ledger, with messages lost on the way.</summary>
public sealed class SlotsAcrossSilosTests
{
    private const int Silos = 3;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly RouterClock _clock = new(TimeProvider.System);
    private int _inUse;
    private int _most;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Never_more_slots_are_in_use_than_there_are_and_everybody_is_served_though_messages_are_lost(int seed)
    {
        var random = new Random(seed);
        var slots = random.Next(2, 9);
        var owner = new SlotOwner(slots, _clock, keepsHeadroom: seed % 2 == 0, faults: seed);
        var accounts = Open(owner);
        var calls = Enumerable.Range(0, 600).Select(i => CallAsync(accounts[random.Next(Silos)], (TrafficClass)random.Next(3), new($"t{random.Next(5)}"), random.Next(1, 6), random.Next(0, 500))).ToArray();
        var restarts = Task.Run(async () =>
        {
            for (var i = 0; i < 3; i++)
            {
                await Task.Delay(150);
                owner.Restart();
            }
        });
        await Task.WhenAll([.. calls, restarts]).WaitAsync(Patience);
        Assert.InRange(_most, 1, slots);
        Assert.All(calls, call => Assert.True(call.Result));
        Assert.True(owner.Lost > 0);
    }

    [Fact]
    public async Task While_an_urgent_request_waits_no_lower_one_that_came_later_on_any_silo_is_served()
    {
        const int slots = 4;
        var owner = new SlotOwner(slots, _clock);
        var accounts = Open(owner);
        var low = new List<(EndpointAccount Account, HeldLease Slot)>();
        for (var i = 0; i < slots; i++)
        {
            low.Add((accounts[i % Silos], await TakeAsync(accounts[i % Silos], TrafficClass.Low)));
        }

        var waiting = Enumerable.Range(0, 6).Select(i => TakeAsync(accounts[i % Silos], TrafficClass.Low)).ToList();
        var high = Enumerable.Range(0, slots).Select(i => TakeAsync(accounts[(i + 1) % Silos], TrafficClass.High)).ToList();
        await Eventually(() => owner.Waiting == 6 + slots);
        foreach (var (account, slot) in low)
        {
            account.Return(slot, TrafficClass.Low);
        }

        await Task.WhenAll(high).WaitAsync(Patience);
        Assert.All(waiting, one => Assert.False(one.IsCompleted));
    }

    [Fact]
    public async Task A_slot_that_one_silo_does_not_need_goes_to_whoever_waits_on_another()
    {
        const int slots = 3;
        var owner = new SlotOwner(slots, _clock);
        var accounts = Open(owner);
        var first = await TakeAsync(accounts[0], TrafficClass.Medium);
        var second = await TakeAsync(accounts[0], TrafficClass.Medium);
        accounts[0].Return(first, TrafficClass.Medium);
        accounts[0].Return(second, TrafficClass.Medium);
        Assert.True(owner.Leases.Values.Sum() > 0);
        for (var i = 0; i < slots; i++)
        {
            await TakeAsync(accounts[1], TrafficClass.Medium);
        }
    }

    [Fact]
    public async Task While_only_lower_classes_wait_the_urgent_one_goes_on_from_what_its_silo_keeps_for_it()
    {
        const int slots = 8;
        var owner = new SlotOwner(slots, _clock, keepsHeadroom: true);
        var accounts = Open(owner);

        // The owner has seen calls of High when it was told of one while it was in flight.
        for (var i = 0; i < 20 || (owner.Headroom == 0 && i < 1_000); i++)
        {
            var held = await TakeAsync(accounts[0], TrafficClass.High);
            await accounts[0].BeatAsync(closing: false);
            accounts[0].Return(held, TrafficClass.High);
        }

        await accounts[0].BeatAsync(closing: false);
        Assert.InRange(owner.Headroom, 1, slots - 1);
        var lower = Enumerable.Range(0, 3 * slots).Select(i => TakeAsync(accounts[i % Silos], TrafficClass.Low)).ToList();
        await Eventually(() => owner.Waiting > 0 && lower.Count(one => one.IsCompleted) == slots - owner.Headroom);
        await Eventually(() => accounts[0].Available > 0);

        // At once: nobody is asked.
        var urgent = accounts[0].AcquireAsync(new(TrafficClass.High, new("t"), 1, _clock.Now + 60_000, 1, 60_000), CancellationToken.None);
        Assert.True(urgent.IsCompleted);
        Assert.NotNull((await urgent).Slot);
        Assert.Equal(slots - owner.Headroom, lower.Count(one => one.IsCompleted));
    }

    private EndpointAccount[] Open(SlotOwner owner) => [.. Enumerable.Range(1, Silos).Select(silo => SlotListener.Open(owner, _clock, silo))];

    private async Task<bool> CallAsync(EndpointAccount account, TrafficClass trafficClass, TenantId tenant, int serviceMs, int afterMs)
    {
        await Task.Delay(afterMs);
        var result = await account.AcquireAsync(new(trafficClass, tenant, 1, _clock.Now + 600_000, serviceMs, 600_000 - serviceMs), CancellationToken.None);
        if (result.Slot is not { } slot)
        {
            return false;
        }

        var inUse = Interlocked.Increment(ref _inUse);
        int most;
        while (inUse > (most = Volatile.Read(ref _most)) && Interlocked.CompareExchange(ref _most, inUse, most) != most)
        {
            // Another one was quicker; look again.
        }

        await Task.Delay(serviceMs);
        Interlocked.Decrement(ref _inUse);
        account.Release(slot, trafficClass, CallEnd.Answered, serviceMs, serviceMs, Money.Zero, Money.Zero);
        return true;
    }

    private async Task<HeldLease> TakeAsync(EndpointAccount account, TrafficClass trafficClass) =>
        (await account.AcquireAsync(new(trafficClass, new("t"), 1, _clock.Now + 600_000, 1, 600_000), CancellationToken.None).AsTask().WaitAsync(Patience)).Slot
        ?? throw new TimeoutException("No slot came.");

    private static async Task Eventually(Func<bool> holds)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (!holds())
        {
            await Task.Delay(5, patience.Token);
        }
    }
}
