using Microsoft.Extensions.Logging.Abstractions;
using OrleansInference.Audit;
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
    public async Task A_run_that_did_not_end_in_order_shows_as_a_gap()
    {
        await using (var log = await OpenAsync())
        {
            log.Append(Record("a", 5));
        }

        using (var file = await SqliteDatabase.OpenAsync(Path.Combine(_folder, "audit.db"), AuditSchema.Schema, default))
        {
            await file.WriteAsync(static (session, _) => session.Execute("UPDATE audit_run SET ended_at = NULL"), 100, default);
        }

        await using var again = await OpenAsync();
        var gap = Assert.Single((await again.SummariseAsync(default)).Gaps);
        Assert.Equal(DateTimeOffset.FromUnixTimeMilliseconds(5), gap.LastRecordAt);
    }

    private Task<SqliteAuditLog> OpenAsync() => SqliteAuditLog.OpenAsync(Path.Combine(_folder, "audit.db"), TimeProvider.System, NullLogger<SqliteAuditLog>.Instance, default);

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
