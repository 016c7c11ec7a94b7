using System.Text.Json.Serialization;

namespace OrleansInference.Batch;

/// <summary>Consecutive records of one input object with one fate. A batch holds up to thousands as they are in one state, so the names are short; more are packed where they are stored.</summary>
public sealed record BatchPiece
{
    /// <summary>Index of the input object they come from.</summary>
    [JsonPropertyName("o")] public required int Source { get; init; }

    /// <summary>Index of the first of them in it.</summary>
    [JsonPropertyName("f")] public required int First { get; init; }

    /// <summary>Records, at least 1.</summary>
    [JsonPropertyName("n")] public required int Count { get; init; }

    /// <summary>Whether they have their answers.</summary>
    [JsonPropertyName("d")] public bool IsDone { get; init; }

    /// <summary>Of answers: the round that gave them.</summary>
    [JsonPropertyName("r")] public int Round { get; init; }

    /// <summary>Of answers: the index of the round's object.</summary>
    [JsonPropertyName("i")] public int Index { get; init; }

    /// <summary>Of answers: what they are charged together, in nano-dollars. Of pieces that were packed the first has the charges of all.</summary>
    [JsonPropertyName("c")] public long Charge { get; init; }

    /// <summary>Why they failed; null if they have not.</summary>
    [JsonPropertyName("w")] public string? Failure { get; init; }

    /// <summary>Whether their fate is open.</summary>
    [JsonIgnore] public bool IsOpen => !IsDone && Failure is null;
}

/// <summary>How a batch ended, decided once: what is settled is exactly this, however often the settlement is sent.</summary>
public sealed record BatchEnding
{
    /// <summary>Succeeded, Failed, Expired or Cancelled.</summary>
    public required JobState State { get; init; }

    /// <summary>Unix ms of the end.</summary>
    public required long At { get; init; }

    /// <summary>What all records together are charged.</summary>
    public Money Charge { get; init; }

    /// <summary>Why it did not succeed.</summary>
    public InferenceProblem? Problem { get; init; }
}

/// <summary>Everything that is stored of a batch.</summary>
public sealed record BatchRecord
{
    /// <summary>The id, unique within the tenant.</summary>
    public required string BatchId { get; init; }

    /// <summary>What it was made from.</summary>
    public required BatchSpecification Specification { get; init; }

    /// <summary>The endpoint as it was at acceptance; its tariff is what the records are charged by.</summary>
    public required EndpointConfiguration Endpoint { get; init; }

    /// <summary>Id of its reservation in the tenant's ledger.</summary>
    public required string ReservationId { get; init; }

    /// <summary>Its records in order.</summary>
    public required IReadOnlyList<BatchPiece> Pieces { get; init; }

    /// <summary>Unix ms at which its charge counts, by the ledger; 0: it has no reservation, and unless it is held for that nobody was told of it.</summary>
    public long ReservedAt { get; init; }

    /// <summary>Unix ms at which the budget is expected to allow it, while it is held for that; 0: it is not.</summary>
    public long HeldUntil { get; init; }

    /// <summary>Unix ms until which it was held for the budget; 0: it was not.</summary>
    public long FundedAt { get; init; }

    /// <summary>Transform jobs that have ended.</summary>
    public int Round { get; init; }

    /// <summary>Whether the present transform job may have been created.</summary>
    public bool MayRun { get; init; }

    /// <summary>Unix ms when the present transform job was created; 0: that is not known.</summary>
    public long StartedAt { get; init; }

    /// <summary>Unix ms when it was last looked at.</summary>
    public long CheckedAt { get; init; }

    /// <summary>Tries of the step under way that failed.</summary>
    public int Failures { get; init; }

    /// <summary>Unix ms before which the step under way is not tried again.</summary>
    public long NotBefore { get; init; }

    /// <summary>Unix ms when the caller cancelled it; 0: not.</summary>
    public long CancelledAt { get; init; }

    /// <summary>What AWS bills for its transform jobs so far, in nano-dollars.</summary>
    public long Cost { get; init; }

    /// <summary>How it ended, once that is decided.</summary>
    public BatchEnding? Ending { get; init; }

    /// <summary>Whether the ledger has taken <see cref="Ending"/>: only then is the end visible.</summary>
    public bool Settled { get; init; }
}
