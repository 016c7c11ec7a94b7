using System.Security.Cryptography;
using OrleansInference.Batch;
using OrleansInference.Sqlite;

namespace OrleansInference.DynamoDB.Tests;

/// <summary>The largest states that there are, as they are stored in DynamoDB, whose items have at most 400 KB.</summary>
public sealed class LargeStateTests
{
    private const int Records = 100_000;
    private const long Now = 1_800_000_000_000;
    private static readonly WindowLimits Limits = new();
    private readonly CompressedStateSerializer _serializer = new(new GrainStateJsonSerializer());

    /// <summary>Of every object some records are bad, drawn by chance: all objects are split down to their records, and each record has its own charge.</summary>
    [Theory]
    [InlineData(0.015)]
    [InlineData(0.12)]
    [InlineData(0.5)]
    public void The_largest_batch_fits_an_item_after_each_round_whatever_becomes_of_its_records(double bad)
    {
        var random = new Random(7);
        var batch = new BatchMachine(Largest(), Limits, retentionMs: 600_000);
        var isBad = Enumerable.Range(0, Records).Select(_ => random.NextDouble() < bad).ToArray();
        var (most, done, charges) = (Size(batch.Record), 0L, Money.Zero);
        while (batch.Record.Ending is null)
        {
            batch.Starting();
            batch.Started(Now);
            List<PieceOutcome> outcomes = [];
            foreach (var piece in batch.Objects())
            {
                var first = (piece.Source * Limits.MaxObjectMembers) + piece.First;
                var charge = isBad.AsSpan(first, piece.Count).Contains(true) ? (Money?)null : Money.FromNanos(random.NextInt64(1, 1_000_000) * piece.Count);
                outcomes.Add(new(charge, charge is null ? "ClientError: See job logs for more information (arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/TransformJobs)" : null));
                (done, charges) = charge is { } money ? (done + piece.Count, charges + money) : (done, charges);
            }

            batch.RoundEnded(outcomes, Money.FromNanos(1_000_000), Now + 60_000);
            most = Math.Max(most, Size(batch.Record));

            // What goes on is what was stored.
            batch = new(Stored(batch.Record), Limits, retentionMs: 600_000);
        }

        var view = batch.ToView()!;
        Assert.Equal((Records, done, Records - done), (view.Records, view.Done, view.Failed));
        Assert.Equal(charges, batch.Record.Ending.Charge);
        Assert.InRange(most, 1, Items.MostBytes / 2);
    }

    [Theory]
    [InlineData(100)]
    [InlineData(100_000)]
    public void The_fullest_window_fits_an_item_with_every_outcome(int wanted)
    {
        var endpoint = Endpoint();
        endpoint = endpoint with { Endpoint = endpoint.Endpoint with { WindowMaxRequests = wanted } };
        var random = new Random(1);
        var record = new WindowRecord();
        var window = new BatchWindow(record, Limits);
        window.Open(endpoint, "0123456789abcdef", 120_000, Now);
        while (window.Join(Member(random), Now))
        {
            Assert.True(record.Members.Count < wanted + 1);
        }

        Assert.Equal(Math.Min(wanted, WindowLimits.MostMembers), record.Members.Count);
        record.Members = [.. record.Members.Select(member => member with { Outcome = new() { Charge = random.Next(), ServiceMs = random.NextDouble() * 100_000, StartedAt = Now + random.Next(1_000) } })];

        // A round later than the first: every member is in an object of its own.
        record.Objects = [.. Enumerable.Range(0, record.Members.Count).Select(static index => new List<int> { index })];
        Assert.InRange(_serializer.Serialize(record).ToMemory().Length, 1, Items.MostBytes * 95 / 100);
    }

    private int Size(BatchRecord record) => _serializer.Serialize(StoredBatch.Of(record)).ToMemory().Length;

    private BatchRecord Stored(BatchRecord record) => _serializer.Deserialize<StoredBatch>(_serializer.Serialize(StoredBatch.Of(record)))!.ToRecord()!;

    private static WindowMember Member(Random random)
    {
        // As ids of jobs are: as good as chance, so they do not become smaller.
        var id = string.Concat(random.GetItems("abcdefghijklmnopqrstuvwxyz234567".AsSpan(), 26));
        return new()
        {
            JobKey = $"acme/{id}",
            InputKey = $"jobs/acme/{id}/input-{random.NextInt64():x16}",
            Bytes = random.Next(1, 10_000),
            Deadline = Now + 80_000_000 + random.Next(1_000_000),
            ChargeCap = Money.FromNanos(random.Next()),
            ContentType = "application/json",
            InputTokens = random.Next(10_000),
        };
    }

    private static BatchRecord Largest()
    {
        var random = new Random(1);
        var objects = Enumerable.Range(0, (Records + Limits.MaxObjectMembers - 1) / Limits.MaxObjectMembers)
            .Select(i => new BatchObject { Records = Math.Min(Limits.MaxObjectMembers, Records - (i * Limits.MaxObjectMembers)), Bytes = random.Next(64, 4_000_000), InputTokens = random.Next(64, 1_000_000) });
        var record = BatchMachine.Begin(
            "b",
            new()
            {
                Request = new() { Tenant = new("acme"), Model = new("chat") },
                Route = new() { DecisionId = "d", Class = TrafficClass.Low, Lane = Lane.Batch, Endpoint = new("chat-batch"), Variant = new("full"), ChargeCap = Money.FromDollars(1_000_000) },
                Upload = "u",
                AcceptedAt = Now,
                Deadline = Now + 86_400_000,
                InputHash = Convert.ToHexString(SHA256.HashData("x"u8)),
                Objects = [.. objects],
                LongestCallMs = 60_000,
                MaxOutputTokens = 256,
            },
            Endpoint(),
            "batches/acme/b");
        return record with { ReservedAt = Now };
    }

    private static EndpointConfiguration Endpoint() => new()
    {
        Model = new("chat"),
        Variant = new("full"),
        InstanceSecondCost = Money.FromNanos(391_111),
        Endpoint = new() { Name = new("chat-batch"), Lane = Lane.Batch, InstanceType = "ml.g5.xlarge", ConcurrencyPerInstance = 4, MaxInstances = 8 },
    };
}
