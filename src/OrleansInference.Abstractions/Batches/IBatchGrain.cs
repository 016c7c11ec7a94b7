using System.Collections.Immutable;

namespace OrleansInference;

/// <summary>An input object of a batch: so many records, one a line.</summary>
[GenerateSerializer, Immutable, Alias("oi.BatchObject")]
public readonly record struct BatchObject
{
    /// <summary>Records in it, at least 1.</summary>
    [Id(0)] public required int Records { get; init; }

    /// <summary>Their bytes, line ends not counted.</summary>
    [Id(1)] public required long Bytes { get; init; }

    /// <summary>Their input tokens, estimated.</summary>
    [Id(2)] public required long InputTokens { get; init; }
}

/// <summary>What a batch is made from. Its records are already stored as the objects of <see cref="Upload"/>.</summary>
[GenerateSerializer, Immutable, Alias("oi.BatchSpecification")]
public sealed record BatchSpecification
{
    /// <summary>The request, without its records.</summary>
    [Id(0)] public required InferenceRequest Request { get; init; }

    /// <summary>The route that was decided; its charge cap is that of all records together.</summary>
    [Id(1)] public required RouteTaken Route { get; init; }

    /// <summary>Names the upload: no other of the same batch has this name.</summary>
    [Id(2)] public required string Upload { get; init; }

    /// <summary>Unix ms of arrival.</summary>
    [Id(3)] public required long AcceptedAt { get; init; }

    /// <summary>Unix ms after which answers are worthless.</summary>
    [Id(4)] public required long Deadline { get; init; }

    /// <summary>SHA-256 of the records in hex: the same idempotency key must come with the same one.</summary>
    [Id(5)] public required string InputHash { get; init; }

    /// <summary>The input objects, in order.</summary>
    [Id(6)] public required ImmutableArray<BatchObject> Objects { get; init; }

    /// <summary>Milliseconds of a slot that one record is charged at most.</summary>
    [Id(7)] public required long LongestCallMs { get; init; }

    /// <summary>Output tokens that one record is charged at most.</summary>
    [Id(8)] public required int MaxOutputTokens { get; init; }

    /// <summary>The most output tokens that the model gives, which tells how records are sorted by size; 0: not known.</summary>
    [Id(9)] public int ModelMaxOutputTokens { get; init; }

    /// <summary>Whether it may be accepted before the budget allows it, and wait for that.</summary>
    [Id(10)] public bool MayHold { get; init; }

    /// <summary>Milliseconds that it is expected to take, for which its money must come before the deadline.</summary>
    [Id(11)] public long ExpectedMs { get; init; }
}

/// <summary>A batch as its caller sees it.</summary>
[GenerateSerializer, Immutable, Alias("oi.BatchView")]
public sealed record BatchView
{
    /// <summary>The id, unique within the tenant.</summary>
    [Id(0)] public required string BatchId { get; init; }

    /// <summary>Who pays.</summary>
    [Id(1)] public required TenantId Tenant { get; init; }

    /// <summary>What was asked.</summary>
    [Id(2)] public required ModelName Model { get; init; }

    /// <summary>Where it stands. It succeeds if at least one record did; <see cref="Failed"/> tells how many did not.</summary>
    [Id(3)] public required JobState State { get; init; }

    /// <summary>The route, with the one charge of all records once it has ended.</summary>
    [Id(4)] public required RouteTaken Route { get; init; }

    /// <summary>When it was accepted.</summary>
    [Id(5)] public required DateTimeOffset AcceptedAt { get; init; }

    /// <summary>When its answers become worthless.</summary>
    [Id(6)] public required DateTimeOffset Deadline { get; init; }

    /// <summary>When it ended.</summary>
    [Id(7)] public DateTimeOffset? EndedAt { get; init; }

    /// <summary>Why it did not succeed.</summary>
    [Id(8)] public InferenceProblem? Problem { get; init; }

    /// <summary>Records.</summary>
    [Id(9)] public required long Records { get; init; }

    /// <summary>Records that have their answer.</summary>
    [Id(10)] public required long Done { get; init; }

    /// <summary>Records that have failed for good.</summary>
    [Id(11)] public required long Failed { get; init; }

    /// <summary>Transform jobs so far.</summary>
    [Id(12)] public int TransformJobs { get; init; }

    /// <summary>
    /// Set while an <see cref="JobState.Accepted"/> batch waits for its tenant's budget: when the money it needs is expected to be free. Nothing is
    /// reserved for it yet.
    /// </summary>
    [Id(13)] public DateTimeOffset? HeldUntil { get; init; }
}

/// <summary>Some results of a batch.</summary>
[GenerateSerializer, Immutable, Alias("oi.BatchResultPage")]
public sealed record BatchResultPage
{
    /// <summary>JSON lines, in the order of the records: <c>{"record":1,"output":…}</c> or <c>{"record":2,"error":{"code":…,"message":…}}</c>. Records without a result yet are left out.</summary>
    [Id(0)] public ReadOnlyMemory<byte> Lines { get; init; }

    /// <summary>The record that the next page begins at; null after the last.</summary>
    [Id(1)] public long? Next { get; init; }
}

/// <summary>A run of records with one fate, for reading results.</summary>
[GenerateSerializer, Immutable, Alias("oi.BatchRun")]
public sealed record BatchRun
{
    /// <summary>Number of its first record, from 1.</summary>
    [Id(0)] public required long First { get; init; }

    /// <summary>Records.</summary>
    [Id(1)] public required int Count { get; init; }

    /// <summary>Key of the object with their answers, one a line; null if there is none.</summary>
    [Id(2)] public string? OutputKey { get; init; }

    /// <summary>Why they failed; null if they did not.</summary>
    [Id(3)] public string? Failure { get; init; }
}

/// <summary>One batch: many records, one deadline, one bill. Key: <c>tenant/batch id</c>. Every transition is durable before it is visible.</summary>
[Alias("oi.IBatchGrain")]
public interface IBatchGrain : IGrainWithStringKey
{
    /// <summary>Records are about to be stored under this upload's name: should no batch be made of them, they are deleted. Durable before it is answered.</summary>
    [Alias("Expect")] Task Expect(string upload);

    /// <summary>Begins the batch, or answers the one that is there; an outcome with a problem if it could not be accepted. An upload that was not taken is deleted in time.</summary>
    [Alias("Accept")] Task<InferenceOutcome> Accept(BatchSpecification specification);

    /// <summary>The batch; null if there is none.</summary>
    [Alias("Get")] Task<BatchView?> Get();

    /// <summary>Waits at most <paramref name="wait"/> for the batch to end, then answers it as it stands.</summary>
    [Alias("WaitForEnd")] Task<BatchView?> WaitForEnd(TimeSpan wait);

    /// <summary>Cancels the batch unless it has ended: what runs is stopped, and what has run is kept and charged. Answers it as it then stands.</summary>
    [Alias("Cancel")] Task<BatchView?> Cancel();

    /// <summary>The money that a held batch waits for is reserved for it. Harmless at any time.</summary>
    /// <param name="reservationId">The reservation; a batch of this id that has another one is not meant.</param>
    /// <param name="admittedAt">Unix ms at which its charge counts, by the ledger.</param>
    [Alias("Funded")] Task Funded(string reservationId, long admittedAt);

    /// <summary>The first run of records numbered <paramref name="from"/> (1 is the first) or above that has results or may have them; null if there is none.</summary>
    [Alias("FindRun")] Task<BatchRun?> FindRun(long from);
}
