using System.Text.Json.Serialization;

namespace OrleansInference;

/// <summary>Where a request stands whose idempotency key was presented.</summary>
[JsonConverter(typeof(NamedEnumConverter<KeyState>))]
public enum KeyState
{
    /// <summary>The request is the caller's to run, under the claim it was given.</summary>
    Begun = 0,

    /// <summary>Another is running it.</summary>
    Busy = 1,

    /// <summary>The key was used with another request.</summary>
    Conflict = 2,

    /// <summary>It has ended, or become a job: the outcome is there.</summary>
    Ended = 3,
}

/// <summary>A request that comes with an idempotency key.</summary>
[GenerateSerializer, Immutable, Alias("oi.KeyRequest")]
public sealed record KeyRequest
{
    /// <summary>The model.</summary>
    [Id(0)] public required ModelName Model { get; init; }

    /// <summary>SHA-256 of the body, or of its address, in hex.</summary>
    [Id(1)] public required string BodyHash { get; init; }

    /// <summary>Who would run it: a silo's address with its incarnation, in parsable form.</summary>
    [Id(2)] public required string Holder { get; init; }

    /// <summary>Unix ms by which it will have ended; after it the claim may be taken over.</summary>
    [Id(3)] public required long Until { get; init; }
}

/// <summary>What is known under a key.</summary>
[GenerateSerializer, Immutable, Alias("oi.KeyReply")]
public sealed record KeyReply
{
    /// <summary>Where the request stands.</summary>
    [Id(0)] public required KeyState State { get; init; }

    /// <summary>The claim under which it runs, this caller's or another's.</summary>
    [Id(1)] public string Claim { get; init; } = "";

    /// <summary>Whether it was being made a job when its runner was lost, so that it must go on as one.</summary>
    [Id(2)] public bool MustBeJob { get; init; }

    /// <summary>The outcome, if it has ended; without its body where <see cref="AnswerKey"/> names it.</summary>
    [Id(3)] public InferenceOutcome? Outcome { get; init; }

    /// <summary>Key of the object that holds the body of a large answer.</summary>
    [Id(4)] public string? AnswerKey { get; init; }
}

/// <summary>A call that is made under a key, as far as it is known before it begins: what the audit log tells of it beside its end.</summary>
[GenerateSerializer, Immutable, Alias("oi.KeyedCall")]
public sealed record KeyedCall
{
    /// <summary>The route, with its charge cap.</summary>
    [Id(0)] public required RouteTaken Route { get; init; }

    /// <summary>Unix ms of the request's arrival.</summary>
    [Id(1)] public required long ArrivedAt { get; init; }

    /// <summary>Unix ms of the request's deadline.</summary>
    [Id(2)] public required long Deadline { get; init; }

    /// <summary>Input tokens, known or estimated.</summary>
    [Id(3)] public int InputTokens { get; init; }
}

/// <summary>
/// One idempotency key of a tenant. Key: <c>tenant/id</c>, the id that a job under the key has. Of all who present the key one holds the claim
/// and runs the request; only that claim can reserve money and state an outcome, and only one outcome is ever stated and charged.
/// </summary>
[Alias("oi.IIdempotencyGrain")]
public interface IIdempotencyGrain : IGrainWithStringKey
{
    /// <summary>Claims the request, or tells what became of it.</summary>
    [Alias("Begin")] Task<KeyReply> Begin(KeyRequest request);

    /// <summary>
    /// Reserves a call's charge cap in the ledger until <paramref name="expiresAt"/> (Unix ms), releasing what was reserved under the key before.
    /// That the call may begin is durable before this returns. Fails if the claim is lost.
    /// </summary>
    [Alias("Reserve")] Task<ReservationReply> Reserve(string claim, KeyedCall call, long expiresAt);

    /// <summary>The request is about to be made a job; durable before this returns. Fails if the claim is lost.</summary>
    [Alias("Bind")] Task Bind(string claim);

    /// <summary>
    /// States the outcome: durable first, then settled in the ledger and written to the audit log. False if the claim is lost, so that the outcome
    /// does not count. Repeating it changes nothing. <paramref name="serviceMs"/> is how long the model ran.
    /// </summary>
    [Alias("Complete")] Task<bool> Complete(string claim, InferenceOutcome outcome, string? answerKey, double serviceMs);

    /// <summary>
    /// Gives the claim up: nothing that is charged has happened, for the reason <paramref name="problem"/> if it is known. Unless
    /// <paramref name="forget"/> is false the key is as if never used.
    /// </summary>
    [Alias("Abandon")] Task Abandon(string claim, bool forget, ProblemCode? problem);

    /// <summary>Waits at most <paramref name="wait"/> until <paramref name="claim"/> no longer runs the request.</summary>
    [Alias("Wait")] Task Wait(string claim, TimeSpan wait);
}
