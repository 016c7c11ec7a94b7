using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Orleans.Configuration;
using OrleansInference.Configuration;
using OrleansInference.DynamoDB;
using OrleansInference.Sqlite;

namespace OrleansInference.Hosting;

/// <summary>Where silos find each other, and where grain state and reminders are: in the data folder of a server alone, or in DynamoDB.</summary>
internal static class StateHosting
{
    /// <summary>Port between silos of a cluster, unless the settings say otherwise.</summary>
    public const int SiloPort = 11_111;

    /// <summary>Port for grain clients of a cluster, unless the settings say otherwise.</summary>
    public const int GatewayPort = 30_000;

    /// <summary>Cluster and service of a server alone.</summary>
    public const string LocalId = "dev";

    public static ISiloBuilder AddState(this ISiloBuilder silo, ServerSettings settings, DataFolder folder)
    {
        if (settings.Cluster is not { } cluster)
        {
            var own = Ports(settings, IPAddress.Loopback);
            return silo
                .UseLocalhostClustering(own.Silo, own.Gateway, primarySiloEndpoint: null, serviceId: LocalId, clusterId: LocalId)
                .AddSqliteGrainStorage(OrleansInferenceOptions.StorageName, options => options.FilePath = folder.StateFile)
                .UseSqliteReminderService(options => options.FilePath = folder.StateFile);
        }

        var address = cluster.AdvertisedAddress ?? OwnAddress();
        var ports = Ports(settings, address);
        return silo
            .Configure<ClusterOptions>(options => (options.ClusterId, options.ServiceId) = (cluster.ClusterId, cluster.ServiceId))
            .ConfigureEndpoints(address, ports.Silo, ports.Gateway, listenOnAnyHostAddress: !IPAddress.IsLoopback(address))
            .UseDynamoDBClustering(options => Fill(options, settings, cluster, cluster.MembershipTable))
            .AddDynamoDBGrainStorage(OrleansInferenceOptions.StorageName, options => FillGrains(options, settings, cluster))
            .UseDynamoDBReminderService(options => Fill(options, settings, cluster, cluster.ReminderTable));
    }

    /// <summary>Says of a table where it is and who calls it.</summary>
    public static T Fill<T>(T options, ServerSettings settings, ClusterSettings cluster, string table)
        where T : DynamoDBClientOptions
    {
        (options.TableName, options.CreateIfNotExists, options.Tags) = (table, cluster.CreateTables, settings.CostTags);
        (options.Service, options.UseFips) = (cluster.Endpoint?.OriginalString ?? settings.Region, settings.Aws?.UseFips ?? false);
        (options.AccessKey, options.SecretKey, options.Token) = (settings.Aws?.AccessKeyId, settings.Aws?.SecretAccessKey, settings.Aws?.SessionToken);
        return options;
    }

    /// <summary>Says of the table of grain state where it is, who calls it, and how state is stored.</summary>
    public static DynamoDBStorageOptions FillGrains(DynamoDBStorageOptions options, ServerSettings settings, ClusterSettings cluster)
    {
        options.DeleteStateOnClear = true;
        options.GrainStorageSerializer = new CompressedStateSerializer(new GrainStateJsonSerializer());
        return Fill(options, settings, cluster, cluster.GrainTable);
    }

    /// <summary>The first address at which others can reach this machine; loopback if there is none.</summary>
    internal static IPAddress OwnAddress() => NetworkInterface.GetAllNetworkInterfaces()
        .Where(static network => network.OperationalStatus == OperationalStatus.Up && network.NetworkInterfaceType != NetworkInterfaceType.Loopback)
        .SelectMany(static network => network.GetIPProperties().UnicastAddresses)
        .Select(static unicast => unicast.Address)
        .Where(static address => address.AddressFamily == AddressFamily.InterNetwork && !IPAddress.IsLoopback(address))

        // A link-local one is no way to others; a Fargate task has one beside its own.
        .OrderBy(static address => address.GetAddressBytes() is [169, 254, ..])
        .FirstOrDefault(IPAddress.Loopback);

    /// <summary>The ports of a silo and its gateway; for 0 a free one, and never the same for both.</summary>
    private static (int Silo, int Gateway) Ports(ServerSettings settings, IPAddress address)
    {
        using var silo = new TcpListener(address, 0);
        using var gateway = new TcpListener(address, 0);
        return (PortOrFree(settings.SiloPort, silo), PortOrFree(settings.GatewayPort, gateway));

        static int PortOrFree(int port, TcpListener free)
        {
            if (port != 0)
            {
                return port;
            }

            free.Start();
            return ((IPEndPoint)free.LocalEndpoint).Port;
        }
    }
}
