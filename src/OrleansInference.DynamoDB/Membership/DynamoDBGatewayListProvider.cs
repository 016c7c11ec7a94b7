using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Messaging;

namespace OrleansInference.DynamoDB;

/// <summary>Gateways of a cluster for its clients: silos that are active and have a port for them.</summary>
public sealed class DynamoDBGatewayListProvider : IGatewayListProvider, IDisposable
{
    private const string ByCluster = $"{MembershipSchema.Cluster} = :cluster";
    private const string IsGateway = $"{MembershipSchema.Status} = :active AND {MembershipSchema.ProxyPort} > :none";
    private readonly TableClient _table;
    private readonly string _cluster;

    /// <summary>Creates it; the table is opened when the client starts.</summary>
    public DynamoDBGatewayListProvider(IOptions<DynamoDBGatewayOptions> options, IOptions<ClusterOptions> cluster, IOptions<GatewayOptions> gateways)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(cluster);
        ArgumentNullException.ThrowIfNull(gateways);
        _table = new(options.Value, TablePatience.InBackground, TimeProvider.System);
        _cluster = cluster.Value.ClusterId;
        MaxStaleness = gateways.Value.GatewayListRefreshPeriod;
    }

    /// <inheritdoc/>
    public TimeSpan MaxStaleness { get; }

    /// <inheritdoc/>
    public bool IsUpdatable => true;

    /// <inheritdoc/>
    public Task InitializeGatewayListProvider() => _table.OpenAsync(MembershipSchema.Table, CancellationToken.None);

    /// <inheritdoc/>
    public async Task<IList<Uri>> GetGateways()
    {
        List<Uri> gateways = [];
        var values = new Dictionary<string, Amazon.DynamoDBv2.Model.AttributeValue>
        {
            [":cluster"] = Items.S(_cluster),
            [":active"] = Items.N((int)SiloStatus.Active),
            [":none"] = Items.N(0),
        };
        await foreach (var item in _table.QueryAsync(ByCluster, values, CancellationToken.None, filter: IsGateway))
        {
            gateways.Add(MembershipSchema.AddressOf(item, (int)item.Number(MembershipSchema.ProxyPort)).ToGatewayUri());
        }

        return gateways;
    }

    /// <inheritdoc/>
    public void Dispose() => _table.Dispose();
}
