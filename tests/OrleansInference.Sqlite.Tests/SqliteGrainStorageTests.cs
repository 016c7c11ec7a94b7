using Orleans.Storage;

namespace OrleansInference.Sqlite.Tests;

public sealed class SqliteGrainStorageTests : IDisposable
{
    private static readonly GrainId Grain = GrainId.Create("tenant", "acme/ü?\\#'");
    private readonly DataFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task What_was_written_is_read_back()
    {
        using var storage = await _folder.OpenStorageAsync();
        var written = new GrainState<Note>(new() { Text = "a" });
        await storage.WriteStateAsync("note", Grain, written);
        Assert.True(written.RecordExists);

        var read = await ReadAsync(storage);
        Assert.Equal("a", read.State!.Text);
        Assert.Equal(written.ETag, read.ETag);
        Assert.True(read.RecordExists);

        written.State!.Text = "b";
        var first = written.ETag;
        await storage.WriteStateAsync("note", Grain, written);
        Assert.True(long.Parse(written.ETag!) > long.Parse(first!));
        Assert.Equal("b", (await ReadAsync(storage)).State!.Text);
    }

    [Fact]
    public async Task A_state_never_written_reads_as_a_new_one()
    {
        using var storage = await _folder.OpenStorageAsync();
        var state = new GrainState<Note>(new() { Text = "left over" }, "7") { RecordExists = true };
        await storage.ReadStateAsync("note", Grain, state);
        Assert.Equal("new", state.State!.Text);
        Assert.Null(state.ETag);
        Assert.False(state.RecordExists);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("1000000")]
    [InlineData("-1")]
    [InlineData("not ours")]
    public async Task A_write_or_clear_with_another_etag_is_refused_and_changes_nothing(string? etag)
    {
        using var storage = await _folder.OpenStorageAsync();
        var owner = new GrainState<Note>(new() { Text = "owner" });
        await storage.WriteStateAsync("note", Grain, owner);

        var stale = new GrainState<Note>(new() { Text = "stale" }, etag);
        var onWrite = await Assert.ThrowsAsync<InconsistentStateException>(() => storage.WriteStateAsync("note", Grain, stale));
        var onClear = await Assert.ThrowsAsync<InconsistentStateException>(() => storage.ClearStateAsync("note", Grain, stale));
        Assert.Equal((owner.ETag, etag), (onWrite.StoredEtag, onWrite.CurrentEtag));
        Assert.Equal((owner.ETag, etag), (onClear.StoredEtag, onClear.CurrentEtag));
        Assert.Equal(etag, stale.ETag);
        Assert.Equal("stale", stale.State!.Text);
        Assert.Equal("owner", (await ReadAsync(storage)).State!.Text);
    }

    [Fact]
    public async Task An_etag_for_a_state_that_is_not_there_is_a_conflict()
    {
        using var storage = await _folder.OpenStorageAsync();
        var state = new GrainState<Note>(new(), "3");
        var refused = await Assert.ThrowsAsync<InconsistentStateException>(() => storage.WriteStateAsync("note", Grain, state));
        Assert.Null(refused.StoredEtag);
        await Assert.ThrowsAsync<InconsistentStateException>(() => storage.ClearStateAsync("note", Grain, state));
    }

    [Fact]
    public async Task Clear_deletes_and_the_state_can_be_written_anew()
    {
        using var storage = await _folder.OpenStorageAsync();
        var state = new GrainState<Note>(new() { Text = "a" });
        await storage.WriteStateAsync("note", Grain, state);
        await storage.ClearStateAsync("note", Grain, state);
        Assert.Equal((null, false, "new"), (state.ETag, state.RecordExists, state.State!.Text));
        Assert.False((await ReadAsync(storage)).RecordExists);

        await storage.ClearStateAsync("note", Grain, state);
        await storage.WriteStateAsync("note", Grain, state);
        Assert.True((await ReadAsync(storage)).RecordExists);
    }

    [Fact]
    public async Task An_etag_from_before_a_clear_is_never_valid_again()
    {
        using var storage = await _folder.OpenStorageAsync();
        var state = new GrainState<Note>(new());
        await storage.WriteStateAsync("note", Grain, state);
        var old = new GrainState<Note>(new() { Text = "old activation" }, state.ETag);
        for (var i = 0; i < 3; i++)
        {
            await storage.ClearStateAsync("note", Grain, state);
            await storage.WriteStateAsync("note", Grain, state);
            await Assert.ThrowsAsync<InconsistentStateException>(() => storage.WriteStateAsync("note", Grain, old));
        }
    }

    [Fact]
    public async Task Services_grains_and_state_names_are_kept_apart()
    {
        using var storage = await _folder.OpenStorageAsync();
        using var elsewhere = await _folder.OpenStorageAsync("other service");
        var other = GrainId.Create("tenant", "other");
        await storage.WriteStateAsync("note", Grain, new GrainState<Note>(new() { Text = "1" }));
        await storage.WriteStateAsync("Note", Grain, new GrainState<Note>(new() { Text = "2" }));
        await storage.WriteStateAsync("note", other, new GrainState<Note>(new() { Text = "3" }));
        await elsewhere.WriteStateAsync("note", Grain, new GrainState<Note>(new() { Text = "4" }));

        Assert.Equal("1", (await ReadAsync(storage)).State!.Text);
        Assert.Equal("2", (await ReadAsync(storage, "Note")).State!.Text);
        Assert.Equal("3", (await ReadAsync(storage, grain: other)).State!.Text);
        Assert.Equal("4", (await ReadAsync(elsewhere)).State!.Text);
    }

    [Fact]
    public async Task Of_many_writers_with_the_same_etag_exactly_one_wins_each_round()
    {
        const int Writers = 16;
        const int Rounds = 50;
        using var storage = await _folder.OpenStorageAsync();
        string? etag = null;
        for (var round = 0; round < Rounds; round++)
        {
            var states = Enumerable.Range(0, Writers).Select(writer => new GrainState<Note>(new() { Text = $"{round}/{writer}" }, etag)).ToArray();
            var won = await Task.WhenAll(states.Select(state => Task.Run(async () =>
            {
                try
                {
                    await storage.WriteStateAsync("note", Grain, state);
                    return true;
                }
                catch (InconsistentStateException)
                {
                    return false;
                }
            })));
            var winner = Assert.Single(states.Where((_, writer) => won[writer]));
            var stored = await ReadAsync(storage);
            Assert.Equal((winner.State!.Text, winner.ETag), (stored.State!.Text, stored.ETag));
            etag = winner.ETag;
        }
    }

    [Fact]
    public async Task The_state_is_taken_when_write_is_called()
    {
        using var storage = await _folder.OpenStorageAsync();
        var state = new GrainState<Note>(new() { Text = "at the call" });
        var writing = storage.WriteStateAsync("note", Grain, state);
        state.State!.Text = "after it";
        await writing;
        Assert.Equal("at the call", (await ReadAsync(storage)).State!.Text);
    }

    [Fact]
    public async Task A_state_over_the_limit_is_refused_by_name()
    {
        using var storage = await _folder.OpenStorageAsync(configure: options => options.MaxStateBytes = 100);
        var refused = await Assert.ThrowsAsync<DataFileException>(() => storage.WriteStateAsync("note", Grain, new GrainState<Note>(new() { Text = new('x', 100) })));
        Assert.Contains(Grain.ToString(), refused.Message, StringComparison.Ordinal);
        Assert.Contains("MaxStateBytes", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_state_that_cannot_be_read_is_named()
    {
        using var storage = await _folder.OpenStorageAsync();
        await storage.WriteStateAsync("note", Grain, new GrainState<List<int>>([1]));
        var refused = await Assert.ThrowsAsync<DataFileException>(() => ReadAsync(storage));
        Assert.Contains(Grain.ToString(), refused.Message, StringComparison.Ordinal);
        Assert.Contains(_folder.FilePath, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cancelled_write_writes_nothing()
    {
        using var storage = await _folder.OpenStorageAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => storage.WriteStateAsync("note", Grain, new GrainState<Note>(new()), new CancellationToken(true)));
        Assert.False((await ReadAsync(storage)).RecordExists);
    }

    [Fact]
    public async Task A_provider_that_was_closed_says_so()
    {
        var storage = await _folder.OpenStorageAsync();
        storage.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => ReadAsync(storage));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => storage.WriteStateAsync("note", Grain, new GrainState<Note>(new())));
    }

    private static async Task<GrainState<Note>> ReadAsync(SqliteGrainStorage storage, string name = "note", GrainId? grain = null)
    {
        var state = new GrainState<Note>();
        await storage.ReadStateAsync(name, grain ?? Grain, state);
        return state;
    }

    public sealed class Note
    {
        public string Text { get; set; } = "new";
    }
}
