using System.Net;
using OrleansInference.Budgets;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

/// <summary>An endpoint's grain reduced to the escrow of its slots.</summary>
internal sealed class SlotOwner(int slots, RouterClock clock) : IEndpointGrain
{
    private readonly Escrow _escrow = new(EscrowOptions.Slots(60_000));

    public Task<LeaseGrant?> Refill(LeaseReport report, EndpointDemand demand) =>
        Task.FromResult<LeaseGrant?>(_escrow.Report(report, clock.Now, slots - _escrow.Outstanding).Grant);

    public Task Configure(EndpointConfiguration configuration) => Task.CompletedTask;

    public Task Book(string bookingId, Money cost, Money charged, int predictions) => Task.CompletedTask;

    public Task<EndpointView?> GetView() => Task.FromResult<EndpointView?>(null);
}

/// <summary>The only silo.</summary>
internal sealed class LoneSilo : ILocalSiloDetails
{
    public string Name => "s";

    public string ClusterId => "c";

    public string DnsHostName => "localhost";

    public SiloAddress SiloAddress { get; } = SiloAddress.New(IPAddress.Loopback, 1, 1);

    public SiloAddress GatewayAddress => SiloAddress;
}
