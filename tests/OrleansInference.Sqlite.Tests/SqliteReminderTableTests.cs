using Microsoft.Extensions.Time.Testing;

namespace OrleansInference.Sqlite.Tests;

public sealed class SqliteReminderTableTests : IDisposable
{
    private static readonly DateTime Start = new(2026, 3, 1, 12, 30, 0, DateTimeKind.Utc);
    private readonly DataFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_reminder_is_read_back_as_it_was_written()
    {
        using var table = await _folder.OpenRemindersAsync();
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
    public async Task Each_upsert_replaces_the_row_and_its_etag()
    {
        using var table = await _folder.OpenRemindersAsync();
        var etags = await Task.WhenAll(Enumerable.Range(1, 20).Select(i =>
        {
            var entry = Entry("a", "tick");
            entry.Period = TimeSpan.FromMinutes(i);
            return table.UpsertRow(entry);
        }));
        Assert.Equal(20, etags.Distinct().Count());
        var row = Assert.Single((await table.ReadRows(GrainId.Create("r", "a"))).Reminders);
        Assert.Equal(etags.MaxBy(etag => long.Parse(etag!)), row.ETag);
    }

    [Fact]
    public async Task Only_the_current_etag_removes_a_reminder()
    {
        using var table = await _folder.OpenRemindersAsync();
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
    public async Task Range_reads_agree_with_a_scan_also_around_zero()
    {
        using var table = await _folder.OpenRemindersAsync();
        using var elsewhere = await _folder.OpenRemindersAsync("other service");
        var grains = Enumerable.Range(0, 300).Select(i => GrainId.Create("r", $"{i}")).ToArray();
        await Task.WhenAll(grains.Select(grain => table.UpsertRow(Entry(grain, "tick"))));
        await elsewhere.UpsertRow(Entry("0", "tick"));

        var random = new Random(7);
        (uint Begin, uint End)[] corners = [(0, uint.MaxValue), (0, 0), (uint.MaxValue, 0), (grains[0].GetUniformHashCode(), grains[0].GetUniformHashCode()), (grains[1].GetUniformHashCode(), grains[2].GetUniformHashCode())];
        var ranges = corners.Concat(Enumerable.Range(0, 200).Select(_ => ((uint)random.NextInt64(1L << 32), (uint)random.NextInt64(1L << 32))));
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
        using var table = await _folder.OpenRemindersAsync(time: now);
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
        using var table = await _folder.OpenRemindersAsync();
        using var elsewhere = await _folder.OpenRemindersAsync("other service");
        await table.UpsertRow(Entry("a", "tick"));
        await elsewhere.UpsertRow(Entry("a", "tick"));
        await table.TestOnlyClearTable();
        Assert.Empty((await table.ReadRows(0, 0)).Reminders);
        Assert.Single((await elsewhere.ReadRows(0, 0)).Reminders);
    }

    [Fact]
    public async Task Reminders_of_the_release_before_are_kept()
    {
        var entry = Entry("a", "tick");
        var old = new SqliteSchema(
            "reminders",
            [
                """
                CREATE TABLE reminders (service TEXT NOT NULL, grain TEXT NOT NULL, name TEXT NOT NULL, hash INTEGER NOT NULL,
                    start_at INTEGER NOT NULL, period INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (service, grain, name)) WITHOUT ROWID;
                CREATE INDEX reminders_by_hash ON reminders (service, hash);
                """,
            ]);
        using (var database = await SqliteDatabase.OpenAsync(_folder.FilePath, old, default))
        {
            await database.WriteAsync(
                (session, versions) => session.Execute(
                    "INSERT INTO reminders VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    "service",
                    entry.GrainId.ToString(),
                    entry.ReminderName,
                    (long)entry.GrainId.GetUniformHashCode(),
                    Start.Ticks,
                    entry.Period.Ticks,
                    versions.Next()),
                0,
                default);
        }

        using var table = await _folder.OpenRemindersAsync();
        var read = await table.ReadRow(entry.GrainId, "tick");
        Assert.Equal((entry.Period, Start), (read?.Period, read?.StartAt));
        Assert.Single((await table.ReadRows(0, 0)).Reminders);
        Assert.NotEqual(read!.ETag, await table.UpsertRow(entry));
        var current = Assert.Single((await table.ReadRows(entry.GrainId)).Reminders);
        Assert.True(await table.RemoveRow(entry.GrainId, "tick", current.ETag!));
        Assert.Empty((await table.ReadRows(0, 0)).Reminders);
    }

    [Fact]
    public async Task Reminders_survive_a_restart_beside_grain_state()
    {
        using (var storage = await _folder.OpenStorageAsync())
        using (var table = await _folder.OpenRemindersAsync())
        {
            await storage.WriteStateAsync("s", GrainId.Create("r", "a"), new GrainState<List<int>>([1]));
            await table.UpsertRow(Entry("a", "tick"));
        }

        using var again = await _folder.OpenRemindersAsync();
        Assert.Single((await again.ReadRows(GrainId.Create("r", "a"))).Reminders);
    }

    private static ReminderEntry Entry(string key, string name) => Entry(GrainId.Create("r", key), name);

    private static ReminderEntry Entry(GrainId grain, string name) => new()
    {
        GrainId = grain,
        ReminderName = name,
        StartAt = Start,
        Period = TimeSpan.FromMinutes(1),
    };
}
