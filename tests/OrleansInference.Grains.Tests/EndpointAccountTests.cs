using System.Net;
using OrleansInference.Budgets;
using OrleansInference.Leases;

namespace OrleansInference.Tests;

public sealed class EndpointAccountTests
{
    private const int Slots = 4;
    private const int LowerMost = 3;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Owner _owner = new();
    private readonly EndpointAccount _account;

    public EndpointAccountTests() => _account = new(new("e"), _owner, new(new Silo()), new(TimeProvider.System));

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
        Release(low[0]);
        await second;
        Assert.False(waiting.IsCompleted);

        // Four are in use: after one more end the waiting one would be the fourth again, after two it is the third.
        Release(low[1]);
        Assert.False(waiting.IsCompleted);
        Release(high);
        await waiting;
        Assert.Equal(LowerMost, _account.LoadFor(TrafficClass.Low, Now, 0).InFlight);
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

        held.ForEach(Release);
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

    private void Release(HeldLease held) => _account.Release(held, CallEnd.Answered, 1, Money.Zero, Money.Zero);

    /// <summary>The endpoint's grain reduced to its escrow.</summary>
    private sealed class Owner : IEndpointGrain
    {
        private readonly Escrow _escrow = new(EscrowOptions.Slots(60_000));

        public Task<LeaseGrant?> Refill(LeaseReport report, EndpointDemand demand) =>
            Task.FromResult<LeaseGrant?>(_escrow.Report(report, Now, Slots - _escrow.Outstanding).Grant);

        public Task Configure(EndpointConfiguration configuration) => Task.CompletedTask;

        public Task Book(string bookingId, Money cost, Money charged, int predictions) => Task.CompletedTask;

        public Task<EndpointView?> GetView() => Task.FromResult<EndpointView?>(null);
    }

    private sealed class Silo : ILocalSiloDetails
    {
        public string Name => "s";

        public string ClusterId => "c";

        public string DnsHostName => "localhost";

        public SiloAddress SiloAddress { get; } = SiloAddress.New(IPAddress.Loopback, 1, 1);

        public SiloAddress GatewayAddress => SiloAddress;
    }
}
