namespace OrleansInference.Sqlite.Tests;

public sealed class SqliteDatabaseTests : IDisposable
{
    private static readonly SqliteSchema Schema = new("test", ["CREATE TABLE t (id INTEGER PRIMARY KEY, value INTEGER NOT NULL);"]);
    private readonly DataFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Writes_that_wait_together_are_committed_together_and_each_gets_its_own_answer()
    {
        using var database = await OpenAsync();
        using var gate = new ManualResetEventSlim();
        var blocker = await BlockWriterAsync(database, gate);
        var inserts = Enumerable.Range(0, 100).Select(i => InsertAsync(database, i)).ToArray();
        var duplicate = InsertAsync(database, 50);
        var cancelled = database.WriteAsync((session, _) => session.Execute("DELETE FROM t"), 0, new CancellationToken(true));
        var failing = database.WriteAsync<int>((_, _) => throw new InvalidOperationException("mine"), 0, default);
        var last = InsertAsync(database, 1000);
        var commits = database.Commits;
        gate.Set();

        await blocker;
        Assert.All(await Task.WhenAll(inserts), rows => Assert.Equal(1, rows));
        Assert.Equal(1, await last);
        Assert.Contains("UNIQUE", (await Assert.ThrowsAsync<DataFileException>(() => duplicate)).Message, StringComparison.Ordinal);
        Assert.Equal("mine", (await Assert.ThrowsAsync<InvalidOperationException>(() => failing)).Message);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
        Assert.Equal(101, await CountAsync(database));
        Assert.Equal(2, database.Commits - commits);
    }

    [Fact]
    public async Task When_a_whole_transaction_is_lost_everyone_in_it_learns_it_and_the_next_write_works()
    {
        using var database = await OpenAsync();
        using var gate = new ManualResetEventSlim();
        var blocker = await BlockWriterAsync(database, gate);
        var before = InsertAsync(database, 1);
        // SQLite rolls back by itself when a disk is full or fails in the middle of a statement.
        var culprit = database.WriteAsync<int>((session, _) => { session.Execute("ROLLBACK"); throw new IOException("disk"); }, 0, default);
        var after = InsertAsync(database, 2);
        gate.Set();
        await blocker;
        foreach (var lost in new[] { before, culprit, after })
        {
            await Assert.ThrowsAsync<IOException>(() => lost);
        }

        Assert.Equal(1, await InsertAsync(database, 1));
        Assert.Equal(1, await CountAsync(database));
    }

    [Fact]
    public async Task What_was_answered_survives_a_killed_process()
    {
        using var database = await OpenAsync();
        await Task.WhenAll(Enumerable.Range(0, 200).Select(i => InsertAsync(database, i)));
        using var copy = _folder.CopyAsIfKilled();
        using var recovered = await SqliteDatabase.OpenAsync(copy.FilePath, Schema, default);
        Assert.Equal(200, await CountAsync(recovered));
    }

    [Fact]
    public async Task A_torn_end_of_the_log_costs_only_the_commit_that_was_being_written()
    {
        using var database = await OpenAsync();
        for (var i = 0; i < 10; i++)
        {
            await InsertAsync(database, i);
        }

        using var copy = _folder.CopyAsIfKilled();
        using (var log = File.OpenWrite(copy.FilePath + "-wal"))
        {
            log.SetLength(log.Length - 100);
        }

        using var recovered = await SqliteDatabase.OpenAsync(copy.FilePath, Schema, default);
        Assert.Equal(9, await CountAsync(recovered));
        Assert.Equal(1, await InsertAsync(recovered, 9));
    }

    [Fact]
    public async Task Versions_go_on_counting_after_a_killed_process()
    {
        using var database = await OpenAsync();
        var last = 0L;
        for (var i = 0; i < 5; i++)
        {
            last = await database.WriteAsync((_, versions) => versions.Next(), 0, default);
        }

        using var copy = _folder.CopyAsIfKilled();
        using var recovered = await SqliteDatabase.OpenAsync(copy.FilePath, Schema, default);
        Assert.Equal(last + 1, await recovered.WriteAsync((_, versions) => versions.Next(), 0, default));
    }

    [Fact]
    public async Task Holds_on_one_path_share_the_file_and_the_last_one_closes_it()
    {
        var first = await OpenAsync();
        var second = SqliteDatabase.Open(Path.Combine(_folder.Folder, "x", "..", "data.db"));
        await InsertAsync(first, 1);
        first.Dispose();
        first.Dispose();
        Assert.Equal(1, await CountAsync(second));
        Assert.Throws<IOException>(() => new FileStream(_folder.FilePath + ".lock", FileMode.Open, FileAccess.ReadWrite, FileShare.None));
        second.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => CountAsync(second));
        using var free = new FileStream(_folder.FilePath + ".lock", FileMode.Open, FileAccess.ReadWrite, FileShare.None);
    }

    [Fact]
    public async Task Closing_commits_what_was_queued()
    {
        var database = await OpenAsync();
        var inserts = Enumerable.Range(0, 500).Select(i => InsertAsync(database, i)).ToArray();
        database.Dispose();
        await Task.WhenAll(inserts);
        using var again = await OpenAsync();
        Assert.Equal(500, await CountAsync(again));
    }

    [Fact]
    public void A_folder_in_use_by_another_process_is_named_with_the_remedy()
    {
        // Locks of this kind are held by the open file, so another handle stands for another process.
        using (new FileStream(_folder.FilePath + ".lock", FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
        {
            var refused = Assert.Throws<DataFolderInUseException>(() => SqliteDatabase.Open(_folder.FilePath));
            Assert.Contains($"'{_folder.Folder}'", refused.Message, StringComparison.Ordinal);
            Assert.Contains("choose another data folder", refused.Message, StringComparison.Ordinal);
        }

        SqliteDatabase.Open(_folder.FilePath).Dispose();
    }

    [Fact]
    public void A_file_that_is_no_database_is_refused_and_left_as_it_is()
    {
        var text = string.Concat(Enumerable.Repeat("Dear diary, ", 1000));
        File.WriteAllText(_folder.FilePath, text);
        var refused = Assert.Throws<DataFileException>(() => SqliteDatabase.Open(_folder.FilePath));
        Assert.Contains($"'{_folder.FilePath}' is not a SQLite database", refused.Message, StringComparison.Ordinal);
        Assert.Equal(text, File.ReadAllText(_folder.FilePath));
    }

    [Fact]
    public async Task A_damaged_file_is_refused_by_name()
    {
        using (var database = await OpenAsync())
        {
            await Task.WhenAll(Enumerable.Range(0, 5000).Select(i => InsertAsync(database, i)));
        }

        using (var file = File.OpenWrite(_folder.FilePath))
        {
            file.Position = 4096 * 4;
            file.Write(Enumerable.Repeat((byte)0xA5, (int)file.Length - (4096 * 4)).ToArray());
        }

        var refused = Assert.Throws<DataFileException>(() => SqliteDatabase.Open(_folder.FilePath));
        Assert.Contains(_folder.FilePath, refused.Message, StringComparison.Ordinal);
        Assert.Contains("damaged", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_path_that_is_a_folder_or_below_a_file_is_refused_by_name()
    {
        Assert.Contains("is a folder", Assert.Throws<DataFileException>(() => SqliteDatabase.Open(_folder.Folder)).Message, StringComparison.Ordinal);
        File.WriteAllText(_folder.FilePath, "");
        var below = Path.Combine(_folder.FilePath, "deeper", "data.db");
        Assert.Contains("cannot be created", Assert.Throws<DataFileException>(() => SqliteDatabase.Open(below)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Migrations_run_once_each_and_keep_the_rows()
    {
        using (var database = await OpenAsync())
        {
            await InsertAsync(database, 1);
        }

        var newer = Schema with { Migrations = Schema.Migrations.Add("ALTER TABLE t ADD COLUMN note TEXT NOT NULL DEFAULT 'none';") };
        for (var i = 0; i < 2; i++)
        {
            using var migrated = await SqliteDatabase.OpenAsync(_folder.FilePath, newer, default);
            Assert.Equal("none", await migrated.ReadAsync(session => session.Scalar("SELECT note FROM t WHERE id = 1"), default));
        }

        var refused = await Assert.ThrowsAsync<DataFileException>(OpenAsync);
        Assert.Contains("newer release", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_migration_that_fails_leaves_the_file_as_it_was()
    {
        using (var database = await OpenAsync())
        {
            await InsertAsync(database, 1);
        }

        var broken = Schema with { Migrations = Schema.Migrations.AddRange("DELETE FROM t;", "no such statement;") };
        await Assert.ThrowsAsync<DataFileException>(() => SqliteDatabase.OpenAsync(_folder.FilePath, broken, default));
        using var again = await OpenAsync();
        Assert.Equal(1, await CountAsync(again));
    }

    [Fact]
    public async Task The_log_is_flushed_at_every_commit_and_stays_bounded()
    {
        using var database = await OpenAsync();
        Assert.Equal("wal", await database.WriteAsync((session, _) => session.Scalar("PRAGMA journal_mode"), 0, default));
        Assert.Equal(2L, await database.WriteAsync((session, _) => session.Scalar("PRAGMA synchronous"), 0, default));
        using var storage = await _folder.OpenStorageAsync();
        var state = new GrainState<string>(new('x', 100_000));
        for (var i = 0; i < 800; i++)
        {
            await storage.WriteStateAsync("s", GrainId.Create("log", "a"), state);
        }

        Assert.InRange(new FileInfo(_folder.FilePath + "-wal").Length, 1, 48 << 20);
    }

    [Fact]
    public async Task A_reader_cannot_change_the_file()
    {
        using var database = await OpenAsync();
        await Assert.ThrowsAsync<DataFileException>(() => database.ReadAsync(session => session.Execute("DELETE FROM t"), default));
    }

    private Task<SqliteDatabase> OpenAsync() => SqliteDatabase.OpenAsync(_folder.FilePath, Schema, default);

    // Returns when the writer is inside the operation, so that what is queued next forms the next transaction.
    private static async Task<Task<int>> BlockWriterAsync(SqliteDatabase database, ManualResetEventSlim gate)
    {
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var blocker = database.WriteAsync(
            (_, _) =>
            {
                started.SetResult();
                gate.Wait(TestContext.Current.CancellationToken);
                return 0;
            },
            0,
            default);
        await started.Task;
        return blocker;
    }

    private static Task<int> InsertAsync(SqliteDatabase database, long id) =>
        database.WriteAsync((session, _) => session.Execute("INSERT INTO t VALUES (?1, 0)", id), 8, default);

    private static async Task<long> CountAsync(SqliteDatabase database) =>
        (long)(await database.ReadAsync(session => session.Scalar("SELECT count(*) FROM t"), default))!;
}
