using System.Globalization;
using Amazon.DynamoDBv2.Model;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using Orleans.Configuration;

namespace OrleansInference.DynamoDB.Tests;

[Collection(DynaliteCollection.Name)]
public sealed class ReminderTableTests(Dynalite dynalite) : IDisposable
{
    private static readonly DateTime Start = new DateTime(2026, 3, 11, 12, 30, 0, DateTimeKind.Utc).AddTicks(1_234_567);
    private readonly string _name = Dynalite.NewTable();
    private readonly List<DynamoDBReminderTable> _open = [];

    public void Dispose() => _open.ForEach(static table => table.Dispose());

    [Fact]
    public async Task A_reminder_is_read_back_as_it_was_written()
    {
        var table = await OpenAsync();
        var entry = Entry("a", "foo/bar\\#b_a_z?");
        var etag = await table.UpsertRow(entry);
        var read = await table.ReadRow(entry.GrainId, entry.ReminderName);
        Assert.NotNull(read);
        Assert.Equal(
            (entry.GrainId, entry.ReminderName, Start, DateTimeKind.Utc, entry.Period, etag),
            (read.GrainId, read.ReminderName, read.StartAt, read.StartAt.Kind, read.Period, read.ETag));
        Assert.Null(await table.ReadRow(entry.GrainId, "other"));
        Assert.Null(await table.ReadRow(GrainId.Create("r", "b"), entry.ReminderName));
    }

    [Fact]
    public async Task Only_the_current_etag_removes_a_reminder()
    {
        var table = await OpenAsync();
        var entry = Entry("a", "tick");
        var old = await table.UpsertRow(entry);
        var current = await table.UpsertRow(entry);
        Assert.False(await table.RemoveRow(entry.GrainId, "tick", old!));
        Assert.False(await table.RemoveRow(entry.GrainId, "tick", "not ours"));
        Assert.False(await table.RemoveRow(entry.GrainId, "tock", current!));
        Assert.True(await table.RemoveRow(entry.GrainId, "tick", current!));
        Assert.False(await table.RemoveRow(entry.GrainId, "tick", current!));
    }

    [Fact]
    public async Task Of_concurrent_upserts_and_removals_one_is_the_last_and_none_is_half_done()
    {
        var table = await OpenAsync();
        var etags = await Task.WhenAll(Enumerable.Range(1, 20).Select(i =>
        {
            var entry = Entry("a", "tick");
            entry.Period = TimeSpan.FromMinutes(i);
            return table.UpsertRow(entry);
        }));
        var row = Assert.Single((await table.ReadRows(GrainId.Create("r", "a"))).Reminders);
        Assert.Equal(TimeSpan.FromMinutes(1 + Array.IndexOf(etags, row.ETag)), row.Period);
        var removed = await Task.WhenAll(etags.Select(etag => table.RemoveRow(row.GrainId, "tick", etag!)));
        Assert.Equal(1, removed.Count(static done => done));
        Assert.Empty((await table.ReadRows(GrainId.Create("r", "a"))).Reminders);
    }

    [Fact]
    public async Task Range_reads_agree_with_a_scan_also_around_zero_and_over_pages()
    {
        var table = await OpenAsync();
        var elsewhere = await OpenAsync("other service");
        var grains = Enumerable.Range(0, 150).Select(i => GrainId.Create("r", $"{i}")).ToArray();
        await Task.WhenAll(grains.Select(grain => table.UpsertRow(Entry(grain, "tick"))));
        await elsewhere.UpsertRow(Entry("0", "tick"));

        var random = new Random(7);
        (uint Begin, uint End)[] corners = [(0, uint.MaxValue), (0, 0), (uint.MaxValue, 0), (uint.MaxValue, uint.MaxValue), (grains[0].GetUniformHashCode(), grains[0].GetUniformHashCode()), (grains[1].GetUniformHashCode(), grains[2].GetUniformHashCode())];
        var ranges = corners.Concat(Enumerable.Range(0, 60).Select(_ => ((uint)random.NextInt64(1L << 32), (uint)random.NextInt64(1L << 32))));
        foreach (var (begin, end) in ranges)
        {
            var expected = grains.Where(grain => grain.GetUniformHashCode() is var hash && (begin < end ? hash > begin && hash <= end : hash > begin || hash <= end));
            var read = await table.ReadRows(begin, end);
            Assert.Equal(expected.Order(), read.Reminders.Select(row => row.GrainId).Order());
        }
    }

    [Theory]
    [InlineData(0, 3_600, true)]
    [InlineData(600, 3_600, true)]
    [InlineData(720, 3_600, false)]
    [InlineData(86_400, 60, false)]
    [InlineData(-30, 86_400, true)]
    [InlineData(-120, 86_400, false)]
    [InlineData(-3_600, 3_600, true)]
    [InlineData(-3_000, 3_600, true)]
    [InlineData(-2_800, 3_600, false)]
    [InlineData(-86_430, 60, true)]
    public async Task A_range_holds_what_comes_within_the_loading_window(int startsIn, int period, bool isHeld)
    {
        var now = new FakeTimeProvider(new DateTimeOffset(2026, 3, 11, 12, 0, 0, TimeSpan.Zero));
        var table = await OpenAsync(time: now);
        var entry = new ReminderEntry { GrainId = GrainId.Create("r", "a"), ReminderName = "tick", StartAt = now.GetUtcNow().UtcDateTime.AddSeconds(startsIn), Period = TimeSpan.FromSeconds(period) };
        await table.UpsertRow(entry);
        Assert.Equal(isHeld ? 1 : 0, (await table.ReadRows(0, 0)).Reminders.Count);
        Assert.Equal(isHeld ? 1 : 0, (await table.ReadRows(entry.GrainId.GetUniformHashCode() - 1, entry.GrainId.GetUniformHashCode())).Reminders.Count);
        Assert.Single((await table.ReadRows(entry.GrainId)).Reminders);
        Assert.NotNull(await table.ReadRow(entry.GrainId, "tick"));
    }

    [Fact]
    public async Task Clearing_the_table_leaves_other_services_alone()
    {
        var table = await OpenAsync();
        var elsewhere = await OpenAsync("other service");
        await Task.WhenAll(Enumerable.Range(0, 60).Select(i => table.UpsertRow(Entry($"{i}", "tick"))));
        await elsewhere.UpsertRow(Entry("a", "tick"));
        await table.TestOnlyClearTable();
        Assert.Empty((await table.ReadRows(0, 0)).Reminders);
        Assert.Single((await elsewhere.ReadRows(0, 0)).Reminders);
    }

    [Fact]
    public async Task Items_are_those_of_the_official_package_and_its_times_are_read()
    {
        var table = await OpenAsync();
        var entry = Entry("a", "tick");
        var etag = await table.UpsertRow(entry);
        using var raw = dynalite.Client();
        var key = new Dictionary<string, AttributeValue> { ["ReminderId"] = Items.S("service_r/a_tick"), ["GrainHash"] = Items.N(entry.GrainId.GetUniformHashCode()) };
        var item = (await raw.GetItemAsync(_name, key, TestContext.Current.CancellationToken)).Item;
        Assert.Equal(["ETag", "GrainHash", "GrainReference", "Period", "ReminderId", "ReminderName", "ServiceId", "StartTime"], item.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(("service", "r/a", "tick", "00:02:00", etag), (item["ServiceId"].S, item["GrainReference"].S, item["ReminderName"].S, item["Period"].S, item["ETag"].N));

        // It parses the time in its own culture, which reads ISO 8601 in each, and writes it in that; whole seconds.
        foreach (var pattern in (string[])["M/d/yyyy", "dd.MM.yyyy", "yyyy/MM/dd"])
        {
            var culture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
            culture.DateTimeFormat.ShortDatePattern = pattern;
            Assert.Equal(Start, DateTime.Parse(item["StartTime"].S, culture));
        }

        item["StartTime"] = Items.S(new DateTime(2026, 3, 11, 12, 30, 0).ToString(CultureInfo.InvariantCulture));
        await raw.PutItemAsync(_name, item, TestContext.Current.CancellationToken);
        Assert.Equal(new DateTime(2026, 3, 11, 12, 30, 0, DateTimeKind.Utc), (await table.ReadRow(entry.GrainId, "tick"))!.StartAt);
    }

    [Fact]
    public async Task A_range_is_tried_more_often_than_what_requests_wait_for()
    {
        await using var proxy = await DynamoProxy.StartAsync(new(dynalite.Service));
        var table = await OpenAsync(address: proxy.Address);
        await table.UpsertRow(Entry("a", "tick"));
        var left = 0;
        proxy.Faults = _ => Interlocked.Decrement(ref left) >= 0 ? new("ProvisionedThroughputExceededException", "too fast") : null;

        // The attempts of a request.
        left = TablePatience.OnRequests.Retries + 1;
        await Assert.ThrowsAsync<OrleansException>(() => table.ReadRows(GrainId.Create("r", "a")));
        left = TablePatience.OnRequests.Retries + 1;
        Assert.Single((await table.ReadRows(0, uint.MaxValue)).Reminders);
    }

    private async Task<DynamoDBReminderTable> OpenAsync(string service = "service", TimeProvider? time = null, string? address = null)
    {
        var options = dynalite.Options(new DynamoDBReminderStorageOptions(), _name);
        (options.Service, options.Patience) = (address ?? options.Service, TablePatience.OnRequests with { Attempt = TimeSpan.FromHours(1), Call = TimeSpan.FromMinutes(10) });
        var table = new DynamoDBReminderTable(
            Options.Create(options),
            Options.Create(new ClusterOptions { ClusterId = "cluster", ServiceId = service }),
            Options.Create(new ReminderOptions { ReminderLoadingWindow = TimeSpan.FromMinutes(10) }),
            time ?? TimeProvider.System,
            NullLogger<DynamoDBReminderTable>.Instance);
        _open.Add(table);
        await table.StartAsync(TestContext.Current.CancellationToken);
        return table;
    }

    private static ReminderEntry Entry(string grain, string name) => Entry(GrainId.Create("r", grain), name);

    private static ReminderEntry Entry(GrainId grain, string name) => new() { GrainId = grain, ReminderName = name, StartAt = Start, Period = TimeSpan.FromMinutes(2) };
}
