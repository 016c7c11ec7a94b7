namespace OrleansInference.Idempotency;

/// <summary>Everything that is stored of an idempotency key.</summary>
public sealed record KeyRecord
{
    /// <summary>The model that was asked.</summary>
    public required ModelName Model { get; init; }

    /// <summary>SHA-256 of the request's body, or of its address, in hex.</summary>
    public required string BodyHash { get; init; }

    /// <summary>Names the run of the request that counts.</summary>
    public required string Claim { get; init; }

    /// <summary>The silo that has the claim.</summary>
    public required string Holder { get; init; }

    /// <summary>Unix ms after which the claim may be taken over.</summary>
    public required long ClaimUntil { get; init; }

    /// <summary>The reservation that the run under way may be charged to.</summary>
    public KeyReservation? Reservation { get; init; }

    /// <summary>Reservations of earlier runs and tries, to be released.</summary>
    public IReadOnlyList<KeyReservation> ToRelease { get; init; } = [];

    /// <summary>Whether the request is being made a job.</summary>
    public bool IsJob { get; init; }

    /// <summary>The outcome that every repetition is given: an answer, a job, or a failure that was charged.</summary>
    public InferenceOutcome? Outcome { get; init; }

    /// <summary>Key of the object that holds a large answer's body.</summary>
    public string? AnswerKey { get; init; }

    /// <summary>Unix ms of the outcome.</summary>
    public long EndedAt { get; init; }

    /// <summary>Milliseconds the model ran for the outcome.</summary>
    public double ServiceMs { get; init; }

    /// <summary>Whether the ledger and the audit log are known to have taken the outcome's charge.</summary>
    public bool Settled { get; init; }
}

/// <summary>One reservation made under a key.</summary>
/// <param name="Id">Its id in the tenant's ledger.</param>
/// <param name="Call">What it was made for.</param>
/// <param name="At">Unix ms at which its charge counts, by the ledger; until that is known, when it was asked for.</param>
public sealed record KeyReservation(string Id, KeyedCall Call, long At);
