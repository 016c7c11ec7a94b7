using System.Text.Json.Serialization;

namespace OrleansInference.Budgets;

/// <summary>How far a direct reservation has come.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ReservationStatus>))]
public enum ReservationStatus
{
    /// <summary>Holds its amount.</summary>
    Pending = 0,

    /// <summary>Ended with a charge.</summary>
    Settled = 1,

    /// <summary>Ended without a charge.</summary>
    Released = 2,

    /// <summary>Ran out: its amount counts as spent.</summary>
    Expired = 3,
}

/// <summary>What a settlement did.</summary>
public enum SettleOutcome
{
    /// <summary>The charge was booked, or the amount released if it is zero.</summary>
    Settled = 0,

    /// <summary>The charge was above what was reserved, which is a defect of the caller: the reserved amount was booked.</summary>
    Clamped = 1,

    /// <summary>It had ended before: nothing changed.</summary>
    Repeated = 2,

    /// <summary>No such reservation is remembered: nothing changed.</summary>
    Unknown = 3,
}

/// <summary>A direct reservation; remembered after its end until late messages about it cannot come any more.</summary>
public sealed record ReservationRecord
{
    /// <summary>Chosen by the caller.</summary>
    [JsonPropertyName("id")] public required string Id { get; init; }

    /// <summary>What is reserved.</summary>
    [JsonPropertyName("amount")] public long Amount { get; init; }

    /// <summary>What was charged in the end.</summary>
    [JsonPropertyName("charge")] public long Charge { get; init; }

    /// <summary>Unix ms of the admission: the charge counts at this moment.</summary>
    [JsonPropertyName("at")] public long AdmittedAt { get; init; }

    /// <summary>Unix ms at which it counts as spent if it has not ended.</summary>
    [JsonPropertyName("expires")] public long ExpiresAt { get; init; }

    /// <summary>How far it has come.</summary>
    [JsonPropertyName("status")] public ReservationStatus Status { get; init; }
}

/// <summary>The direct reservations of a ledger by id: pending → settled | released | expired, each step once.</summary>
internal sealed class Reservations
{
    private readonly Dictionary<string, ReservationRecord> _byId;
    private long _nextStep = long.MaxValue;

    public Reservations(IReadOnlyList<ReservationRecord> stored)
    {
        _byId = new(stored.Count, StringComparer.Ordinal);
        foreach (var reservation in stored)
        {
            Put(reservation);
        }
    }

    /// <summary>How long after its expiry a reservation is remembered, so that a late settlement still corrects the charge.</summary>
    public const long RememberMs = 3_600_000;

    /// <summary>The most reservations that are open at a time.</summary>
    public const int MaxPending = 10_000;

    /// <summary>The most that have ended and are remembered.</summary>
    public const int MaxEnded = 1_000;

    public int Pending { get; private set; }

    public IReadOnlyList<ReservationRecord>? ToList() => _byId.Count == 0 ? null : [.. _byId.Values];

    public IReadOnlyCollection<ReservationRecord> All => _byId.Values;

    public ReservationRecord? Find(string id) => _byId.GetValueOrDefault(id);

    /// <summary>Adds or replaces a reservation.</summary>
    public void Put(ReservationRecord reservation)
    {
        Pending += PendingOf(reservation) - PendingOf(Find(reservation.Id));
        _byId[reservation.Id] = reservation;
        _nextStep = Math.Min(_nextStep, NextStep(reservation));
        if (_byId.Count - Pending > MaxEnded)
        {
            // In batches, so that the search is rare.
            foreach (var old in _byId.Values.Where(static r => r.Status != ReservationStatus.Pending).OrderBy(static r => r.ExpiresAt).Take(MaxEnded / 8).ToList())
            {
                _byId.Remove(old.Id);
            }
        }
    }

    /// <summary>Those that run out by <paramref name="now"/>, marked so; forgets those whose messages cannot come any more.</summary>
    public IReadOnlyList<ReservationRecord> Expire(long now)
    {
        if (now < _nextStep)
        {
            return [];
        }

        List<ReservationRecord> expired = [];
        List<string> forgotten = [];
        foreach (var reservation in _byId.Values)
        {
            if (now >= NextStep(reservation))
            {
                if (reservation.Status == ReservationStatus.Pending)
                {
                    expired.Add(reservation);
                }
                else
                {
                    forgotten.Add(reservation.Id);
                }
            }
        }

        forgotten.ForEach(id => _byId.Remove(id));
        foreach (var reservation in expired)
        {
            Put(reservation with { Status = ReservationStatus.Expired, Charge = reservation.Amount });
        }

        _nextStep = _byId.Count == 0 ? long.MaxValue : _byId.Values.Min(NextStep);
        if (_byId.Count == 0)
        {
            _byId.TrimExcess();
        }

        return expired;
    }

    private static int PendingOf(ReservationRecord? reservation) => reservation?.Status == ReservationStatus.Pending ? 1 : 0;

    // A repeated request to reserve is refused after the expiry, so what has ended need not be known after that.
    private static long NextStep(ReservationRecord reservation) =>
        reservation.Status == ReservationStatus.Expired ? Math.Min(reservation.ExpiresAt, long.MaxValue - RememberMs) + RememberMs : reservation.ExpiresAt;
}
