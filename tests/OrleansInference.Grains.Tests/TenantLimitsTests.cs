using Microsoft.Extensions.Time.Testing;
using OrleansInference.Budgets;
using OrleansInference.Hosting;
using OrleansInference.Limits;
using OrleansInference.Queueing;

namespace OrleansInference.Tests;

/// <summary>A tenant's limits on one silo, before an owner that takes its time.</summary>
public sealed class TenantLimitsTests
{
    // It moves when the test says so: how much a rate gives while a flood is under way is no matter of the machine.
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);
    private readonly RouterClock _clock;

    public TenantLimitsTests() => _clock = new(_time);

    [Fact]
    public async Task A_flood_beyond_a_limit_does_not_make_a_call_each()
    {
        var owner = new Owner(_clock, inFlight: 5);
        var limits = Open(owner, new LimitDefinition { MaxInFlight = 5, RequestsPerSecond = 1_000, Burst = 1_000 });
        for (var i = 0; i < 5; i++)
        {
            Assert.Null((await EnterAsync(limits)).Refusal);
        }

        await SettleAsync(owner);
        _time.Advance(TimeSpan.FromMilliseconds(200));
        owner.Calls = 0;
        var refused = await Task.WhenAll(Enumerable.Range(0, 1_000).Select(_ => EnterAsync(limits)));
        Assert.All(refused, static pass => Assert.NotNull(pass.Refusal));
        Assert.InRange(owner.Calls, 0, 20);
    }

    [Fact]
    public async Task A_flood_beyond_a_rate_does_not_make_a_call_each()
    {
        var owner = new Owner(_clock, perSecond: 10);
        var limits = Open(owner, new LimitDefinition { RequestsPerSecond = 10, Burst = 10 });
        for (var i = 0; i < 30; i++)
        {
            await EnterAsync(limits);
        }

        await SettleAsync(owner);
        _time.Advance(TimeSpan.FromMilliseconds(100));
        owner.Calls = 0;
        await Task.WhenAll(Enumerable.Range(0, 1_000).Select(_ => EnterAsync(limits)));
        Assert.InRange(owner.Calls, 0, 50);
    }

    [Theory]
    [InlineData(21, 0)]
    [InlineData(20, 7)]
    public async Task Requests_that_were_in_flight_when_the_limit_changed_make_room_when_they_end(int most, double perSecond)
    {
        var owner = new Owner(_clock, inFlight: 20, perSecond: 1_000);
        var limits = Open(owner, new LimitDefinition { MaxInFlight = 20 });
        var held = new List<DoorPass>();
        for (var i = 0; i < 20; i++)
        {
            held.Add(await EnterAsync(limits));
        }

        owner.InFlight = most;
        limits.Configure([new() { MaxInFlight = most, RequestsPerSecond = perSecond, Burst = perSecond > 0 ? 1_000 : 0 }]);
        await limits.BeatAsync(closing: false);
        held.ForEach(static pass => pass.Leave());
        await EventuallyAsync(limits, most);
    }

    [Fact]
    public async Task Requests_that_were_in_flight_when_the_limit_was_lowered_go_on_counting()
    {
        var owner = new Owner(_clock, inFlight: 20);
        var limits = Open(owner, new LimitDefinition { MaxInFlight = 20, RequestsPerSecond = 1_000_000 });
        for (var i = 0; i < 20; i++)
        {
            Assert.Null((await EnterAsync(limits)).Refusal);
        }

        // Another kind of limit, so that what there was is former.
        owner.InFlight = 10;
        limits.Configure([new() { MaxInFlight = 10 }]);
        for (var began = _clock.Now; _clock.Now - began < 13_000; _time.Advance(TimeSpan.FromMilliseconds(500)))
        {
            await limits.BeatAsync(closing: false);
        }

        Assert.NotNull((await EnterAsync(limits)).Refusal);
    }

    [Fact]
    public async Task What_one_class_is_refused_does_not_use_up_the_rate_for_all()
    {
        var limits = Open(new Owner(_clock, perSecond: 100, highPerSecond: 1), new LimitDefinition { RequestsPerSecond = 100, Burst = 100 }, new LimitDefinition { Class = TrafficClass.High, RequestsPerSecond = 1, Burst = 1 });
        var (tries, medium) = (0, 0);
        for (var began = _clock.Now; _clock.Now - began < 3_000; _time.Advance(TimeSpan.FromMilliseconds(20)))
        {
            for (var i = 0; i < 20; i++)
            {
                await EnterAsync(limits);
            }

            tries++;
            medium += (await limits.EnterAsync(TrafficClass.Medium, long.MaxValue, CancellationToken.None)).Refusal is null ? 1 : 0;
        }

        Assert.True(medium > 0.9 * tries, $"{medium} of {tries}");
    }

    private static async Task<DoorPass> EnterAsync(TenantLimits limits) => await limits.EnterAsync(TrafficClass.High, long.MaxValue, CancellationToken.None);

    /// <summary>Waits for the reports that are made on the side.</summary>
    private static async Task SettleAsync(Owner owner)
    {
        for (var calls = -1; calls != owner.Calls;)
        {
            calls = owner.Calls;
            await Task.Delay(100);
        }
    }

    /// <summary>Before the leases would run out.</summary>
    private async Task EventuallyAsync(TenantLimits limits, int most)
    {
        for (var began = _clock.Now; ; _time.Advance(TimeSpan.FromMilliseconds(200)))
        {
            Assert.True(_clock.Now - began < 8_000, "they do not make room");
            await limits.BeatAsync(closing: false);
            var passes = new List<DoorPass>();
            for (var i = 0; i < most; i++)
            {
                passes.Add(await EnterAsync(limits));
            }

            passes.ForEach(static pass => pass.Leave());
            if (passes.TrueForAll(static pass => pass.Refusal is null))
            {
                return;
            }
        }
    }

    private TenantLimits Open(Owner owner, params LimitDefinition[] definitions)
    {
        var limits = new TenantLimits(new("t"), owner, new(new LoneSilo()), _clock);
        limits.Configure([.. definitions]);
        return limits;
    }

    private sealed class Owner(RouterClock clock, int inFlight = 0, double perSecond = 0, double highPerSecond = 0) : ITenantLimitsGrain
    {
        private readonly Lock _lock = new();
        private readonly Escrow _inFlight = new(EscrowOptions.Slots(0));
        private readonly RateLimit? _all = perSecond > 0 ? new(perSecond, (int)perSecond) : null;
        private readonly RateLimit? _high = highPerSecond > 0 ? new(highPerSecond, 1) : null;

        public int InFlight { get; set; } = inFlight;

        public int Calls { get; set; }

        public async Task<LeaseGrant?> RefillInFlight(TrafficClass? limit, LeaseReport report)
        {
            await CalledAsync();
            lock (_lock)
            {
                _inFlight.Expire(clock.Now);
                return _inFlight.Report(report, clock.Now, InFlight - _inFlight.Outstanding).Grant;
            }
        }

        public async Task<RateGrant?> RefillRate(TrafficClass? limit, RateReport report)
        {
            await CalledAsync();
            lock (_lock)
            {
                return (limit is null ? _all : _high)?.Report(report, clock.Now);
            }
        }

        public async Task<bool?> TakeRate(TrafficClass? limit)
        {
            await CalledAsync();
            lock (_lock)
            {
                return (limit is null ? _all : _high)?.TryTake(clock.Now, out _);
            }
        }

        private async Task CalledAsync()
        {
            lock (_lock)
            {
                Calls++;
            }

            await Task.Delay(5);
        }
    }
}
