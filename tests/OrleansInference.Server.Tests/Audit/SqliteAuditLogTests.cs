using Microsoft.Extensions.Logging.Abstractions;
using OrleansInference.Audit;
using OrleansInference.Hosting;
using OrleansInference.Sqlite;

namespace OrleansInference.Tests.Audit;

public sealed class SqliteAuditLogTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("oi-audit-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Sums_are_exact_and_survive_an_orderly_stop_without_a_flush()
    {
        await using (var log = await OpenAsync())
        {
            Parallel.For(0, 3000, i => log.Append(Record(i % 2 == 0 ? "a" : "b", i)));
        }

        await using var again = await OpenAsync();
        var summary = await again.SummariseAsync(default);
        Assert.Equal(
            [new(new("a"), 1500, 1500, Money.FromNanos(Enumerable.Range(0, 3000).Where(static i => i % 2 == 0).Sum())), new(new("b"), 1500, 1500, Money.FromNanos(Enumerable.Range(0, 3000).Where(static i => i % 2 == 1).Sum()))],
            summary.Tenants);
        Assert.Empty(summary.Gaps);
    }

    [Fact]
    public async Task A_flush_makes_everything_appended_before_it_visible_as_it_was()
    {
        await using var log = await OpenAsync();
        var records = Enumerable.Range(0, 2500).Select(i => Record("a", i) with { Problem = i % 7 == 0 ? ProblemCode.ModelError : null, Kind = i % 7 == 0 ? AuditKind.Release : AuditKind.Settle }).ToList();
        records.ForEach(log.Append);
        await log.FlushAsync(default);
        Assert.Equal(records, (await log.ReadAsync(0, 10_000, default)).Select(static r => r.Record));
    }

    [Fact]
    public async Task The_end_of_a_reservation_that_is_told_again_after_a_restart_counts_once()
    {
        var told = Record("a", 5) with { Reservation = "a/1" };
        await using (var log = await OpenAsync())
        {
            log.Append(told);
            log.Append(told);
        }

        await using var again = await OpenAsync();
        again.Append(told with { EndedAt = 9 });
        again.Append(told with { Reservation = "a/2" });
        again.Append(Record("a", 5));
        again.Append(Record("a", 5));
        await again.FlushAsync(default);
        Assert.Equal([told, told with { Reservation = "a/2" }, Record("a", 5), Record("a", 5)], (await again.ReadAsync(0, 10, default)).Select(static r => r.Record));
        Assert.Equal(new AuditTotal(new("a"), 4, 4, Money.FromNanos(20)), Assert.Single((await again.SummariseAsync(default)).Tenants));
    }

    [Fact]
    public async Task A_share_of_a_window_is_kept_as_it_was_once_and_summed_beside_the_ended_reservations()
    {
        var share = Record("a", 0) with { Kind = AuditKind.Share, Cost = Money.FromNanos(17), Reservation = "job-1/a/1" };
        await using var log = await OpenAsync();
        log.Append(share);
        log.Append(share);
        log.Append(Record("a", 5));
        log.Append(share with { Cost = Money.FromNanos(3), Reservation = "job-1/a/2" });
        await log.FlushAsync(default);
        Assert.Equal([share, Record("a", 5), share with { Cost = Money.FromNanos(3), Reservation = "job-1/a/2" }], (await log.ReadAsync(0, 10, default)).Select(static r => r.Record));
        Assert.Equal(new AuditTotal(new("a"), 1, 1, Money.FromNanos(5)) { WindowCost = Money.FromNanos(20) }, Assert.Single((await log.SummariseAsync(default)).Tenants));
    }

    [Fact]
    public async Task What_an_earlier_run_had_taken_and_this_one_ends_is_summed_apart()
    {
        var clock = new RouterClock(TimeProvider.System);
        long arrived;
        await using (var log = await OpenAsync())
        {
            arrived = clock.Now + 1;
            log.Append(Record("a", 5) with { ArrivedAt = arrived });
        }

        while (clock.Now <= arrived)
        {
            await Task.Yield();
        }

        await using var again = await OpenAsync();
        again.Append(Record("a", 7) with { ArrivedAt = arrived, Reservation = "a/1" });
        again.Append(Record("a", 7) with { ArrivedAt = arrived, Reservation = "a/1" });
        again.Append(Record("a", 0) with { ArrivedAt = arrived, Problem = ProblemCode.ModelError });
        again.Append(Record("a", 9) with { ArrivedAt = clock.Now + 60_000 });
        again.Append(Record("b", 9) with { ArrivedAt = clock.Now + 60_000 });
        await again.FlushAsync(default);
        Assert.Equal(
            [new(new("a"), 4, 4, Money.FromNanos(21), CarriedOver: new(2, 1, Money.FromNanos(7))), new(new("b"), 1, 1, Money.FromNanos(9))],
            (await again.SummariseAsync(default)).Tenants);
    }

    [Fact]
    public async Task A_run_that_did_not_end_in_order_shows_as_a_gap()
    {
        await using (var log = await OpenAsync())
        {
            log.Append(Record("a", 5));
        }

        using (var file = await SqliteDatabase.OpenAsync(InFolder, AuditSchema.Schema, default))
        {
            await file.WriteAsync(static (session, _) => session.Execute("UPDATE audit_run SET ended_at = NULL"), 100, default);
        }

        await using var again = await OpenAsync();
        var gap = Assert.Single((await again.SummariseAsync(default)).Gaps);
        Assert.Equal(DateTimeOffset.FromUnixTimeMilliseconds(5), gap.LastRecordAt);
    }

    [Fact]
    public async Task Records_that_end_faster_than_they_are_written_are_counted_and_summed_exactly()
    {
        const int Many = 5000;
        await using var log = await OpenAsync(new() { MaxQueued = 8, Retention = TimeSpan.FromDays(100_000) });
        using var file = await SqliteDatabase.OpenAsync(InFolder, AuditSchema.Schema, default);
        using var gate = new ManualResetEventSlim();
        var blocking = file.WriteAsync(
            (_, _) =>
            {
                gate.Wait();
                return 0;
            },
            100,
            default);
        for (var i = 0; i < Many; i++)
        {
            log.Append(Record("a", i) with { Kind = i % 2 == 0 ? AuditKind.Settle : AuditKind.Release });
        }

        gate.Set();
        await blocking;
        await log.FlushAsync(default);
        var total = Assert.Single((await log.SummariseAsync(default)).Tenants);
        Assert.Equal((Many, Many / 2, Money.FromNanos(Enumerable.Range(0, Many).Sum())), (total.Records, total.Settled, total.Charged));

        // One batch of 1,024 was with the writer and eight records waited.
        Assert.InRange(total.Folded, Many - 1024 - 8, Many);
        var kept = await log.ReadAsync(0, 2 * Many, default);
        Assert.Equal(Many - total.Folded, kept.Count(static r => r.Record.Request != AuditSchema.Folded));
        Assert.Equal(total.Charged.Nanos, kept.Sum(static r => r.Record.Charge.Nanos));
    }

    [Fact]
    public async Task Records_past_their_retention_go_and_their_sums_stay()
    {
        var now = new RouterClock(TimeProvider.System).Now;
        var day = (long)TimeSpan.FromDays(1).TotalMilliseconds;
        await using var log = await OpenAsync(new() { Retention = TimeSpan.FromDays(10) });
        for (var i = 0; i < 2500; i++)
        {
            log.Append(Record("a", i) with { EndedAt = now - (11 * day) });
        }

        log.Append(Record("a", 1) with { EndedAt = now - (9 * day) });
        log.Append(Record("a", 2) with { EndedAt = now });
        await log.FlushAsync(default);
        var before = (await log.SummariseAsync(default)).Tenants;
        await log.Retention.RemoveAsync(default);

        var summary = await log.SummariseAsync(default);
        Assert.Equal(before, summary.Tenants);
        Assert.Equal(new(2500, Money.FromNanos(Enumerable.Range(0, 2500).Sum()), DateTimeOffset.FromUnixTimeMilliseconds(now - (11 * day))), summary.Removed);
        Assert.Equal([2501L, 2502L], (await log.ReadAsync(0, 10_000, default)).Select(static r => r.Sequence));
    }

    [Fact]
    public async Task A_log_larger_than_allowed_loses_its_oldest_records_first_and_says_so()
    {
        var now = new RouterClock(TimeProvider.System).Now;
        await using var log = await OpenAsync(new() { MaxBytes = 1_000_000 });
        for (var i = 0; i < 12_000; i++)
        {
            log.Append(Record("a", i) with { EndedAt = now });
        }

        await log.FlushAsync(default);
        await log.Retention.RemoveAsync(default);
        var summary = await log.SummariseAsync(default);
        var kept = await log.ReadAsync(0, 20_000, default);
        Assert.InRange(kept.Count, 1000, 11_000);
        Assert.Equal(12_000, kept[^1].Sequence);
        Assert.Equal(12_000 - kept.Count, summary.Removed!.Records);
        Assert.Equal(summary.Tenants.Single().Charged.Nanos, summary.Removed.Charged.Nanos + kept.Sum(static r => r.Record.Charge.Nanos));
        Assert.Equal(0, await log.Retention.RemoveAsync(default));
    }

    private string InFolder => Path.Combine(_folder, "audit.db");

    private Task<SqliteAuditLog> OpenAsync(AuditLimits? limits = null) =>
        SqliteAuditLog.OpenAsync(InFolder, new(TimeProvider.System), limits ?? new() { Retention = TimeSpan.FromDays(36_500) }, NullLogger<SqliteAuditLog>.Instance, default);

    private static AuditRecord Record(string tenant, int charge) => new()
    {
        Kind = AuditKind.Settle,
        Tenant = new(tenant),
        Request = $"r{charge}",
        Decision = $"d{charge}",
        Model = new("chat"),
        Class = TrafficClass.Medium,
        Lane = Lane.Async,
        Endpoint = new("chat-async"),
        Cap = Money.FromNanos(2L * charge),
        Charge = Money.FromNanos(charge),
        ReservedAt = 1,
        EndedAt = charge,
        ServiceMs = 1.5,
        InputTokens = 3,
    };
}
