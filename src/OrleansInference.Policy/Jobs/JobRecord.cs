namespace OrleansInference.Jobs;

/// <summary>How a job ended, decided once: what is settled is exactly this, however often the settlement is sent.</summary>
public sealed record JobEnding
{
    /// <summary>Succeeded, Failed, Expired or Cancelled.</summary>
    public required JobState State { get; init; }

    /// <summary>Unix ms of the end.</summary>
    public required long At { get; init; }

    /// <summary>What is charged; zero unless a model is known to have run for it.</summary>
    public Money Charge { get; init; }

    /// <summary>Why it did not succeed.</summary>
    public InferenceProblem? Problem { get; init; }

    /// <summary><c>s3://</c> address of the result.</summary>
    public string? OutputLocation { get; init; }

    /// <summary>MIME type of the result.</summary>
    public string? ContentType { get; init; }

    /// <summary>Milliseconds the model itself ran; 0 if that is not known.</summary>
    public double ServiceMs { get; init; }

    /// <summary>Milliseconds from arrival until the model began, as far as known; negative: not known.</summary>
    public double WaitMs { get; init; } = -1;
}

/// <summary>A lane that a job has, will have or had, and the reservation for it.</summary>
/// <param name="Route">The route.</param>
/// <param name="Endpoint">The endpoint as it was when the route was decided.</param>
/// <param name="ReservationId">Id in the tenant's ledger.</param>
public sealed record JobLane(RouteTaken Route, EndpointConfiguration Endpoint, string ReservationId);

/// <summary>Everything that is stored of a job.</summary>
public sealed record JobRecord
{
    /// <summary>The id, unique within the tenant.</summary>
    public required string JobId { get; init; }

    /// <summary>What it was made from.</summary>
    public required JobSpecification Specification { get; init; }

    /// <summary>The endpoint as it was at acceptance, as much of it as <see cref="Keep"/> keeps; its tariff is what the job is charged by.</summary>
    public required EndpointConfiguration Endpoint { get; init; }

    /// <summary>Where it stands, without regard to <see cref="Ending"/>.</summary>
    public JobState State { get; init; }

    /// <summary>Unix ms at which its charge counts, by the ledger.</summary>
    public long ReservedAt { get; init; }

    /// <summary>Unix ms at which the budget is expected to allow it, while it is held for that; 0: it has its reservation.</summary>
    public long HeldUntil { get; init; }

    /// <summary>Unix ms until which it was held for the budget; 0: it was not.</summary>
    public long FundedAt { get; init; }

    /// <summary>Id of its reservation in the tenant's ledger.</summary>
    public string ReservationId { get; init; } = "";

    /// <summary>Tries of the step under way that failed.</summary>
    public int Failures { get; init; }

    /// <summary>Unix ms before which the step under way is not tried again.</summary>
    public long NotBefore { get; init; }

    /// <summary>Unix ms when it was handed to its lane.</summary>
    public long DispatchedAt { get; init; }

    /// <summary>Unix ms when its result was last looked for.</summary>
    public long CheckedAt { get; init; }

    /// <summary><c>s3://</c> address where the async lane will put the result.</summary>
    public string? ExpectedOutput { get; init; }

    /// <summary><c>s3://</c> address where the async lane would describe a failure.</summary>
    public string? ExpectedFailure { get; init; }

    /// <summary>Key of the batch window it joined.</summary>
    public string? Window { get; init; }

    /// <summary>Unix ms when a member of a batch window that may come too late looks for a faster lane, or a deferred job no longer waits for its turn; 0: not.</summary>
    public long HastenAt { get; init; }

    /// <summary>The faster lane whose money is being asked for; null: none.</summary>
    public JobLane? Faster { get; init; }

    /// <summary>The lane that it was moved from; null: it was not.</summary>
    public JobLane? Before { get; init; }

    /// <summary>How it ended, once that is decided.</summary>
    public JobEnding? Ending { get; init; }

    /// <summary>Whether the ledger has taken <see cref="Ending"/>: only then is the end visible.</summary>
    public bool Settled { get; init; }

    /// <summary>Whether the end was told to the request's <see cref="InferenceRequest.ReplyTo"/>.</summary>
    public bool Replied { get; init; }

    /// <summary>Tries to tell the end so far.</summary>
    public int ReplyTries { get; init; }

    /// <summary>Why the last try to tell the end failed; null if none has.</summary>
    public string? ReplyProblem { get; init; }

    /// <summary>Whether the end will not be told any more.</summary>
    public bool ReplyGivenUp { get; init; }

    /// <summary>
    /// What a job keeps of its endpoint: how it is called, charged and waited for. A batch window is opened with all of it.
    /// </summary>
    public static EndpointConfiguration Keep(EndpointConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        var endpoint = configuration.Endpoint;
        return endpoint.Lane == Lane.Batch
            ? configuration
            : new()
            {
                Model = configuration.Model,
                Variant = configuration.Variant,
                Endpoint = new()
                {
                    Name = endpoint.Name,
                    Lane = endpoint.Lane,
                    MaxServiceSeconds = endpoint.MaxServiceSeconds,
                    Tariff = endpoint.Tariff,
                    Prior = endpoint.Prior,
                    Target = endpoint.Target,
                },
            };
    }
}
