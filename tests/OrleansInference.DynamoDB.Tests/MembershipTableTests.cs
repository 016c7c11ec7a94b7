using System.Net;
using Amazon.DynamoDBv2.Model;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Item = System.Collections.Generic.Dictionary<string, Amazon.DynamoDBv2.Model.AttributeValue>;

namespace OrleansInference.DynamoDB.Tests;

[Collection(DynaliteCollection.Name)]
public sealed class MembershipTableTests(Dynalite dynalite) : IDisposable
{
    private static readonly DateTime Start = new(2026, 3, 1, 12, 30, 0, 250, DateTimeKind.Utc);
    private readonly string _name = Dynalite.NewTable();
    private readonly List<IDisposable> _open = [];

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        dynalite.Proxy.Faults = null;
        _open.ForEach(static open => open.Dispose());
    }

    [Fact]
    public async Task A_new_table_has_a_version_and_no_silos()
    {
        var table = await OpenAsync();
        var all = await table.ReadAll();
        Assert.Equal((0, "0", 0), (all.Version.Version, all.Version.VersionEtag, all.Members.Count));
        await table.InitializeMembershipTable(true);
        Assert.Equal(all.Version, (await table.ReadAll()).Version);
    }

    [Fact]
    public async Task A_silo_is_read_back_as_it_was_inserted()
    {
        var table = await OpenAsync();
        var entry = Entry(1);
        entry.AddSuspector(Address(2), Start.AddSeconds(1));
        entry.AddSuspector(Address(3), Start.AddSeconds(2));
        Assert.True(await table.InsertRow(entry, (await table.ReadAll()).Version.Next()));
        foreach (var data in (MembershipTableData[])[await table.ReadAll(), await table.ReadRow(entry.SiloAddress)])
        {
            Assert.Equal((1, "1"), (data.Version.Version, data.Version.VersionEtag));
            var (read, etag) = Assert.Single(data.Members);
            Assert.Equal("0", etag);
            Assert.Equal(entry.ToFullString(), read.ToFullString());
            Assert.Equal((entry.SiloAddress, entry.HostName, entry.SiloName, entry.ProxyPort, entry.Status), (read.SiloAddress, read.HostName, read.SiloName, read.ProxyPort, read.Status));
            Assert.Equal((entry.StartTime, entry.IAmAliveTime), (read.StartTime, read.IAmAliveTime));
            Assert.Equal(entry.SuspectTimes, read.SuspectTimes);
        }

        Assert.Empty((await table.ReadRow(Address(9))).Members);
        Assert.Equal(1, (await table.ReadRow(Address(9))).Version.Version);
    }

    [Fact]
    public async Task An_insert_that_loses_answers_false_and_changes_nothing()
    {
        var table = await OpenAsync();
        var version = (await table.ReadAll()).Version.Next();
        Assert.True(await table.InsertRow(Entry(1), version));
        Assert.False(await table.InsertRow(Entry(2), version));
        Assert.False(await table.InsertRow(Entry(1), (await table.ReadAll()).Version.Next()));
        Assert.False(await table.InsertRow(Entry(3), new(7, "not ours")));
        var all = await table.ReadAll();
        Assert.Equal((1, 1), (all.Version.Version, all.Members.Count));
    }

    [Fact]
    public async Task An_update_that_loses_answers_false_and_changes_nothing()
    {
        var table = await OpenAsync();
        Assert.False(await table.UpdateRow(Entry(1), "0", (await table.ReadAll()).Version.Next()));
        Assert.True(await table.InsertRow(Entry(1), (await table.ReadAll()).Version.Next()));
        var before = await table.ReadAll();
        var (entry, etag) = before.Members[0];
        entry.Status = SiloStatus.ShuttingDown;
        Assert.True(await table.UpdateRow(entry, etag, before.Version.Next()));
        entry.Status = SiloStatus.Dead;
        Assert.False(await table.UpdateRow(entry, etag, (await table.ReadAll()).Version.Next()));
        Assert.False(await table.UpdateRow(entry, "1", before.Version.Next()));
        Assert.False(await table.UpdateRow(entry, "not ours", (await table.ReadAll()).Version.Next()));
        var after = await table.ReadAll();
        Assert.Equal((2, "2"), (after.Version.Version, after.Version.VersionEtag));
        Assert.Equal((SiloStatus.ShuttingDown, "1"), (after.Members[0].Item1.Status, after.Members[0].Item2));
    }

    [Fact]
    public async Task An_update_replaces_the_whole_row()
    {
        var table = await OpenAsync();
        var entry = Entry(1);
        entry.AddSuspector(Address(2), Start);
        Assert.True(await table.InsertRow(entry, (await table.ReadAll()).Version.Next()));
        entry.SuspectTimes = null;
        Assert.True(await table.UpdateRow(entry, "0", (await table.ReadAll()).Version.Next()));
        Assert.Empty((await table.ReadAll()).Members[0].Item1.SuspectTimes ?? []);
    }

    [Fact]
    public async Task Being_alive_is_written_without_touching_etags_and_only_where_there_is_a_row()
    {
        var table = await OpenAsync();
        Assert.True(await table.InsertRow(Entry(1), (await table.ReadAll()).Version.Next()));
        var before = await table.ReadAll();
        var alive = new MembershipEntry { SiloAddress = Address(1), IAmAliveTime = Start.AddHours(3) };
        await table.UpdateIAmAlive(alive);
        var after = await table.ReadAll();
        Assert.Equal((before.Version, before.Members[0].Item2), (after.Version, after.Members[0].Item2));
        Assert.Equal((Start.AddHours(3), "silo-1", SiloStatus.Active), (after.Members[0].Item1.IAmAliveTime, after.Members[0].Item1.SiloName, after.Members[0].Item1.Status));
        await Assert.ThrowsAsync<ConditionalCheckFailedException>(() => table.UpdateIAmAlive(new() { SiloAddress = Address(2), IAmAliveTime = Start }));
        Assert.Single((await table.ReadAll()).Members);
    }

    [Fact]
    public async Task Defunct_silos_are_removed_and_those_that_died_a_moment_ago_are_not()
    {
        var table = await OpenAsync();
        for (var i = 1; i <= 60; i++)
        {
            var entry = Entry(i);
            entry.Status = i % 2 == 0 ? SiloStatus.Dead : SiloStatus.Active;
            if (i == 60)
            {
                entry.AddSuspector(Address(1), Start.AddHours(1));
            }

            Assert.True(await table.InsertRow(entry, (await table.ReadAll()).Version.Next()));
        }

        await table.CleanupDefunctSiloEntries(Start);
        Assert.Equal(60, (await table.ReadAll()).Members.Count);
        await table.CleanupDefunctSiloEntries(Start.AddMinutes(1));
        var left = (await table.ReadAll()).Members.Select(static member => member.Item1.SiloAddress.Generation).Order();
        Assert.Equal(Enumerable.Range(1, 60).Where(static i => i % 2 == 1 || i == 60), left);
    }

    [Fact]
    public async Task Clusters_share_a_table_and_do_not_see_each_other()
    {
        var (one, other) = (await OpenAsync(), await OpenAsync("other"));
        Assert.True(await one.InsertRow(Entry(1), (await one.ReadAll()).Version.Next()));
        Assert.Empty((await other.ReadAll()).Members);
        Assert.True(await other.InsertRow(Entry(2), (await other.ReadAll()).Version.Next()));
        await one.DeleteMembershipTableEntries("cluster");
        await Assert.ThrowsAsync<TableException>(one.ReadAll);
        Assert.Single((await other.ReadAll()).Members);
    }

    [Fact]
    public async Task Rows_and_attributes_are_those_of_the_official_package()
    {
        var table = await OpenAsync();
        var entry = Entry(1);
        entry.AddSuspector(Address(2), Start);
        entry.AddSuspector(Address(3), Start.AddSeconds(1));
        Assert.True(await table.InsertRow(entry, (await table.ReadAll()).Version.Next()));
        using var raw = dynalite.Client();
        var row = (await raw.GetItemAsync(_name, MembershipSchema.Key("cluster", "127.0.0.1-11111-1"), Cancelled)).Item;
        Assert.Equal(
            [
                "Address S 127.0.0.1", "DeploymentId S cluster", "ETag N 0", "Generation N 1", "HostName S host-1", "IAmAliveTime S 2026-03-01 12:30:00.250 GMT", "MembershipVersion N 1",
                "Port N 11111", "ProxyPort N 30001", "SiloIdentity S 127.0.0.1-11111-1", "SiloName S silo-1", "SiloStatus N 3", "StartTime S 2026-03-01 12:30:00.250 GMT",
                "SuspectingSilos S 127.0.0.1:11111@2|127.0.0.1:11111@3", "SuspectingTimes S 2026-03-01 12:30:00.250 GMT|2026-03-01 12:30:01.250 GMT",
            ],
            Text(row));
        Assert.Equal(
            ["DeploymentId S cluster", "ETag N 1", "MembershipVersion N 1", "SiloIdentity S VersionRow"],
            Text((await raw.GetItemAsync(_name, MembershipSchema.Key("cluster", "VersionRow"), Cancelled)).Item));
    }

    [Fact]
    public async Task What_the_official_package_has_written_is_read()
    {
        var table = await OpenAsync();
        using var raw = dynalite.Client();

        // Its version row carries the attributes of a silo that is none; it writes no attribute for an empty text.
        await raw.PutItemAsync(_name, Of(("DeploymentId", "cluster"), ("SiloIdentity", "VersionRow"), ("Port", 0), ("Generation", 0), ("SiloStatus", 0), ("ProxyPort", 0), ("MembershipVersion", 4), ("ETag", 9)), Cancelled);
        await raw.PutItemAsync(
            _name,
            Of(("DeploymentId", "cluster"), ("SiloIdentity", "10.1.2.3-11111-77"), ("Address", "10.1.2.3"), ("Port", 11111), ("Generation", 77), ("HostName", "elsewhere"), ("SiloStatus", 6), ("ProxyPort", 30000), ("SiloName", "Silo_1"), ("StartTime", "2026-03-01 12:30:00.250 GMT"), ("IAmAliveTime", "2026-03-01 12:31:00.000 GMT"), ("MembershipVersion", 4), ("ETag", 3)),
            Cancelled);
        var all = await table.ReadAll();
        Assert.Equal((4, "9"), (all.Version.Version, all.Version.VersionEtag));
        var (entry, etag) = Assert.Single(all.Members);
        Assert.Equal(("10.1.2.3:11111@77", "elsewhere", SiloStatus.Dead, 30000, "3"), (entry.SiloAddress.ToParsableString(), entry.HostName, entry.Status, entry.ProxyPort, etag));
        Assert.Equal((Start, new DateTime(2026, 3, 1, 12, 31, 0)), (entry.StartTime, entry.IAmAliveTime));
        Assert.True(await table.UpdateRow(entry, etag, all.Version.Next()));
    }

    [Fact]
    public async Task A_row_that_cannot_be_read_keeps_no_cluster_from_forming()
    {
        var table = await OpenAsync();
        using var raw = dynalite.Client();
        await raw.PutItemAsync(_name, Of(("DeploymentId", "cluster"), ("SiloIdentity", "what-is-this"), ("Address", "nowhere"), ("ETag", 1)), Cancelled);
        Assert.True(await table.InsertRow(Entry(1), (await table.ReadAll()).Version.Next()));
        Assert.Single((await table.ReadAll()).Members);
    }

    [Theory]
    [InlineData(8, 25)]
    public async Task Concurrent_writers_lose_nothing_and_whoever_reads_sees_one_moment(int writers, int changes)
    {
        // Each change adds one to the sum of the silos' ports and to the version: a read that mixes two moments finds them apart.
        using var done = new CancellationTokenSource();
        var reader = Task.Run(
            async () =>
            {
                var (table, last, reads) = (await OpenAsync(), -1, 0);
                while (!done.IsCancellationRequested)
                {
                    var all = await table.ReadAll();
                    Assert.True(all.Version.Version >= last, $"version {all.Version.Version} after {last}");
                    last = all.Version.Version;
                    Assert.Equal(last, all.Members.Sum(static member => member.Item1.ProxyPort));
                    Assert.Equal(all.Members.Count, all.Members.Select(static member => member.Item1.SiloAddress).Distinct().Count());
                    reads++;
                }

                return reads;
            },
            Cancelled);
        await Task.WhenAll(Enumerable.Range(1, writers).Select(i => Task.Run(
            async () =>
            {
                var table = await OpenAsync();
                var entry = Entry(i);
                entry.ProxyPort = 0;
                for (var change = 0; change < changes;)
                {
                    entry.ProxyPort = change + 1;
                    var data = change == 0 ? await table.ReadAll() : await table.ReadRow(entry.SiloAddress);
                    change += (change == 0 ? await table.InsertRow(entry, data.Version.Next()) : await table.UpdateRow(entry, data.TryGet(entry.SiloAddress)!.Item2, data.Version.Next())) ? 1 : 0;
                }
            },
            Cancelled)));
        await done.CancelAsync();
        Assert.True(await reader > 0);
        var end = await (await OpenAsync()).ReadAll();
        Assert.Equal((writers * changes, $"{writers * changes}"), (end.Version.Version, end.Version.VersionEtag));
        Assert.All(end.Members, member => Assert.Equal(($"{changes - 1}", changes), (member.Item2, member.Item1.ProxyPort)));
    }

    [Fact]
    public async Task What_only_another_transaction_stood_in_the_way_of_is_tried_again()
    {
        var table = await OpenAsync();
        var version = (await table.ReadAll()).Version.Next();
        var left = 3;
        dynalite.Proxy.Faults = call => call.Operation == "TransactWriteItems" && left-- > 0
            ? new("TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [TransactionConflict, None]")
            : null;
        Assert.True(await table.InsertRow(Entry(1), version));
        Assert.True(left < 0);
    }

    [Fact]
    public async Task A_write_whose_answer_was_lost_is_known_to_have_been_done()
    {
        var table = await OpenAsync();
        var version = (await table.ReadAll()).Version.Next();
        var left = 1;
        dynalite.Proxy.Faults = call => call.Operation == "TransactWriteItems" && left-- > 0 ? new("InternalServerError", "the answer is lost", BeforeItIsDone: false) : null;
        Assert.True(await table.InsertRow(Entry(1), version));
        Assert.Equal(1, (await table.ReadAll()).Version.Version);
    }

    [Fact]
    public async Task A_throttled_table_is_waited_for_and_one_that_may_not_be_read_is_an_error()
    {
        var table = await OpenAsync();
        var left = 2;
        dynalite.Proxy.Faults = _ => left-- > 0 ? new("ProvisionedThroughputExceededException", "too fast") : null;
        Assert.Equal(0, (await table.ReadAll()).Version.Version);
        dynalite.Proxy.Faults = _ => new("AccessDeniedException", "User is not authorized to perform: dynamodb:GetItem");
        Assert.Contains("not authorized", (await Assert.ThrowsAnyAsync<Exception>(table.ReadAll)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task All_reads_are_strongly_consistent()
    {
        var table = await OpenAsync();
        Assert.True(await table.InsertRow(Entry(1), (await table.ReadAll()).Version.Next()));
        dynalite.Proxy.TakeCalls();
        await table.ReadAll();
        await table.ReadRow(Address(1));
        var reads = dynalite.Proxy.TakeCalls().Where(static call => call.Operation is "GetItem" or "Query").ToList();
        Assert.Equal(5, reads.Count);
        Assert.All(reads, static call => Assert.True(call.Body["ConsistentRead"]!.GetValue<bool>()));
    }

    [Fact]
    public async Task Gateways_are_the_active_silos_that_have_a_port_for_clients()
    {
        var table = await OpenAsync();
        for (var i = 1; i <= 4; i++)
        {
            var entry = Entry(i);
            entry.Status = i == 2 ? SiloStatus.Joining : SiloStatus.Active;
            entry.ProxyPort = i == 3 ? 0 : entry.ProxyPort;
            Assert.True(await table.InsertRow(entry, (await table.ReadAll()).Version.Next()));
        }

        using var gateways = new DynamoDBGatewayListProvider(
            Options.Create(dynalite.Options(new DynamoDBGatewayOptions(), _name)),
            Options.Create(new ClusterOptions { ClusterId = "cluster", ServiceId = "service" }),
            Options.Create(new GatewayOptions()));
        await gateways.InitializeGatewayListProvider();
        Assert.Equal(["gwy.tcp://127.0.0.1:30001/1", "gwy.tcp://127.0.0.1:30004/4"], (await gateways.GetGateways()).Select(static uri => uri.ToString()).Order());
    }

    private async Task<DynamoDBMembershipTable> OpenAsync(string cluster = "cluster")
    {
        var table = new DynamoDBMembershipTable(
            Options.Create(dynalite.Options(new DynamoDBClusteringOptions(), _name)),
            Options.Create(new ClusterOptions { ClusterId = cluster, ServiceId = "service" }),
            NullLogger<DynamoDBMembershipTable>.Instance);
        lock (_open)
        {
            _open.Add(table);
        }

        await table.InitializeMembershipTable(true);
        return table;
    }

    private static SiloAddress Address(int generation) => SiloAddress.New(IPAddress.Loopback, 11111, generation);

    private static MembershipEntry Entry(int generation) => new()
    {
        SiloAddress = Address(generation),
        Status = SiloStatus.Active,
        HostName = $"host-{generation}",
        SiloName = $"silo-{generation}",
        ProxyPort = 30_000 + generation,
        StartTime = Start,
        IAmAliveTime = Start,
    };

    private static string[] Text(Item item) => [.. item.OrderBy(static attribute => attribute.Key, StringComparer.Ordinal).Select(static attribute => $"{attribute.Key} {(attribute.Value.S is { } text ? $"S {text}" : $"N {attribute.Value.N}")}")];

    private static Item Of(params (string Name, object Value)[] attributes) =>
        attributes.ToDictionary(static a => a.Name, static a => a.Value is int number ? Items.N(number) : Items.S((string)a.Value));
}
