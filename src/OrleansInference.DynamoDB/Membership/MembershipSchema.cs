using System.Globalization;
using System.Net;
using Amazon.DynamoDBv2;
using Item = System.Collections.Generic.Dictionary<string, Amazon.DynamoDBv2.Model.AttributeValue>;

namespace OrleansInference.DynamoDB;

/// <summary>The membership table's layout, which is that of the official package: a row for each silo and one for the table's version.</summary>
internal static class MembershipSchema
{
    public const string DefaultTable = "OrleansSilos";
    public const string Cluster = "DeploymentId";
    public const string Silo = "SiloIdentity";
    public const string ETag = "ETag";
    public const string Address = "Address";
    public const string Port = "Port";
    public const string Generation = "Generation";
    public const string HostName = "HostName";
    public const string Status = "SiloStatus";
    public const string ProxyPort = "ProxyPort";
    public const string SiloName = "SiloName";
    public const string SuspectingSilos = "SuspectingSilos";
    public const string SuspectingTimes = "SuspectingTimes";
    public const string StartTime = "StartTime";
    public const string IAmAliveTime = "IAmAliveTime";
    public const string Version = "MembershipVersion";

    /// <summary>Range key of the row that holds the table's version.</summary>
    public const string VersionRow = "VersionRow";

    private const char Separator = '|';

    public static TableDefinition Table { get; } = new(new(Cluster, ScalarAttributeType.S), new(Silo, ScalarAttributeType.S), []);

    public static string Identity(SiloAddress silo) => string.Create(CultureInfo.InvariantCulture, $"{silo.Endpoint.Address}-{silo.Endpoint.Port}-{silo.Generation}");

    public static Item Key(string cluster, string identity) => new() { [Cluster] = Items.S(cluster), [Silo] = Items.S(identity) };

    public static Item ToItem(string cluster, MembershipEntry entry, int version, long etag)
    {
        var item = Key(cluster, Identity(entry.SiloAddress));
        item[Address] = Items.S(entry.SiloAddress.Endpoint.Address.ToString());
        item[Port] = Items.N(entry.SiloAddress.Endpoint.Port);
        item[Generation] = Items.N(entry.SiloAddress.Generation);
        item[Status] = Items.N((int)entry.Status);
        item[ProxyPort] = Items.N(entry.ProxyPort);
        item[StartTime] = Items.S(LogFormatter.PrintDate(entry.StartTime));
        item[IAmAliveTime] = Items.S(LogFormatter.PrintDate(entry.IAmAliveTime));
        item[Version] = Items.N(version);
        item[ETag] = Items.N(etag);
        AddText(HostName, entry.HostName);
        AddText(SiloName, entry.SiloName);
        if (entry.SuspectTimes is { Count: > 0 } suspects)
        {
            item[SuspectingSilos] = Items.S(string.Join(Separator, suspects.Select(static suspect => suspect.Item1.ToParsableString())));
            item[SuspectingTimes] = Items.S(string.Join(Separator, suspects.Select(static suspect => LogFormatter.PrintDate(suspect.Item2))));
        }

        return item;

        void AddText(string name, string? text)
        {
            if (!string.IsNullOrWhiteSpace(text))
            {
                item[name] = Items.S(text);
            }
        }
    }

    /// <exception cref="FormatException">The row is not one of a silo.</exception>
    public static MembershipEntry ToEntry(Item item)
    {
        var entry = new MembershipEntry
        {
            SiloAddress = AddressOf(item, (int)item.Number(Port)),
            HostName = item.Text(HostName) ?? "",
            SiloName = item.Text(SiloName) ?? "",
            Status = (SiloStatus)item.Number(Status),
            ProxyPort = (int)item.Number(ProxyPort),
            StartTime = Time(item.Text(StartTime)),
            IAmAliveTime = Time(item.Text(IAmAliveTime)),
        };
        var silos = Parts(item.Text(SuspectingSilos));
        var times = Parts(item.Text(SuspectingTimes));
        if (silos.Length != times.Length)
        {
            throw new FormatException($"{silos.Length} suspecting silos have {times.Length} times");
        }

        for (var i = 0; i < silos.Length; i++)
        {
            entry.AddSuspector(SiloAddress.FromParsableString(silos[i]), LogFormatter.ParseDate(times[i]));
        }

        return entry;
    }

    /// <summary>The address of a row's silo at one of its ports.</summary>
    public static SiloAddress AddressOf(Item item, int port) => SiloAddress.New(IPAddress.Parse(item.Text(Address) ?? ""), port, (int)item.Number(Generation));

    private static string[] Parts(string? list) => string.IsNullOrEmpty(list) ? [] : list.Split(Separator);

    private static DateTime Time(string? text) => string.IsNullOrEmpty(text) ? default : LogFormatter.ParseDate(text);
}
