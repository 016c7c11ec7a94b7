using System.Text.Json.Serialization;

namespace OrleansInference.Audit;

/// <summary>How a reservation ended.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<AuditKind>))]
public enum AuditKind
{
    /// <summary>A charge was booked.</summary>
    Settle = 0,

    /// <summary>Nothing was charged.</summary>
    Release = 1,

    /// <summary>No end of a reservation: what a member of a batch window had of the window's bill, however the member ended.</summary>
    Share = 2,
}

/// <summary>
/// One ended reservation, or one member's share of a batch window's bill. The sum of the charges of a tenant is what its ledger has settled; the
/// sum of the costs of a window's members is what AWS bills for it.
/// </summary>
public sealed record AuditRecord
{
    /// <summary>How it ended.</summary>
    public required AuditKind Kind { get; init; }

    /// <summary>Who paid.</summary>
    public required TenantId Tenant { get; init; }

    /// <summary>The request: its decision id, or the key of its job.</summary>
    public required string Request { get; init; }

    /// <summary>The decision; of a share the last transform job of its window.</summary>
    public required string Decision { get; init; }

    /// <summary>The model.</summary>
    public required ModelName Model { get; init; }

    /// <summary>The class it was treated as; of a share Low, as windows take all classes alike.</summary>
    public required TrafficClass Class { get; init; }

    /// <summary>The lane.</summary>
    public required Lane Lane { get; init; }

    /// <summary>The endpoint.</summary>
    public required EndpointName Endpoint { get; init; }

    /// <summary>The most that could be charged.</summary>
    public required Money Cap { get; init; }

    /// <summary>What was charged; zero in a share.</summary>
    public required Money Charge { get; init; }

    /// <summary>In a share, what AWS bills for the member: the operator's cost. Zero elsewhere.</summary>
    public Money Cost { get; init; }

    /// <summary>Unix ms of the reservation: the moment at which the charge counts in budget windows.</summary>
    public required long ReservedAt { get; init; }

    /// <summary>Unix ms of the end.</summary>
    public required long EndedAt { get; init; }

    /// <summary>Unix ms of the request's arrival.</summary>
    public long ArrivedAt { get; init; }

    /// <summary>Unix ms of the deadline.</summary>
    public long Deadline { get; init; }

    /// <summary>Milliseconds the model itself ran, as measured or reported; 0 if it did not run.</summary>
    public double ServiceMs { get; init; }

    /// <summary>Input tokens, known or estimated.</summary>
    public int InputTokens { get; init; }

    /// <summary>What went wrong, if anything did.</summary>
    public ProblemCode? Problem { get; init; }

    /// <summary>
    /// Id of the reservation, where its end may be told again after a fault: of the records with one id the log keeps the first. Null where
    /// the end is told once.
    /// </summary>
    public string? Reservation { get; init; }
}

/// <summary>The audit log. Writing never waits for storage; <see cref="FlushAsync"/> does.</summary>
public interface IAuditLog
{
    /// <summary>Appends a record off the hot path.</summary>
    void Append(AuditRecord record);

    /// <summary>Waits until everything appended before the call is durable.</summary>
    Task FlushAsync(CancellationToken cancellationToken);
}
