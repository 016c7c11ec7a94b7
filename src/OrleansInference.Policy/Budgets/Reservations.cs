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

    /// <summary>Counts up over the ledger with every change of a reservation: of two records of one id the higher is the newer.</summary>
    [JsonPropertyName("seq")] public long Sequence { get; init; }

    /// <summary>Number of the <see cref="ReservationPage"/> that it is stored in; null where it has none yet.</summary>
    [JsonPropertyName("page")] public int? Page { get; init; }
}

/// <summary>The direct reservations of a ledger by id: pending → settled | released | expired, each step once.</summary>
internal sealed class Reservations
{
    private readonly Dictionary<string, ReservationRecord> _byId = new(StringComparer.Ordinal);
    private readonly SortedSet<(long ExpiresAt, string Id)> _ended = new(Comparer<(long ExpiresAt, string Id)>.Create(static (a, b) =>
        a.ExpiresAt != b.ExpiresAt ? a.ExpiresAt.CompareTo(b.ExpiresAt) : string.CompareOrdinal(a.Id, b.Id)));

    private readonly PriorityQueue<string, long> _steps = new();
    private readonly ReservationPages _pages;
    private readonly int _maxEnded;
    private long _sequence;

    /// <summary>Takes up what was stored: pages, and what has changed since they were. Of several of one id the newest counts.</summary>
    /// <param name="stored">The pages, by number.</param>
    /// <param name="changed">What has changed since.</param>
    /// <param name="now">Unix ms of the ledger.</param>
    /// <param name="pages">An empty layout.</param>
    /// <param name="maxEnded">The most that have ended and are remembered.</param>
    public Reservations(IReadOnlyList<ReservationPage> stored, IReadOnlyList<ReservationRecord> changed, long now, ReservationPages pages, int maxEnded = MaxEnded)
    {
        (_pages, _maxEnded) = (pages, maxEnded);
        foreach (var page in stored)
        {
            _pages.AddPage();
            foreach (var reservation in page.Reservations)
            {
                TakeUp(reservation with { Page = page.Number });
            }
        }

        foreach (var reservation in changed)
        {
            var placed = reservation with { Page = _pages.PageOf(Find(reservation.Id) is { } known ? known : reservation) };
            TakeUp(placed);
            _pages.Change(placed);
        }

        foreach (var reservation in _byId.Values.ToList())
        {
            // That one has run out follows from the ledger's time; nothing was written for it.
            var isOpen = reservation.Status == ReservationStatus.Pending && reservation.ExpiresAt > now;
            Keep(isOpen || reservation.Status != ReservationStatus.Pending ? reservation : Expired(reservation));
            _steps.Enqueue(reservation.Id, NextStep(Find(reservation.Id)!));
        }

        BoundEnded();
    }

    /// <summary>How long after its expiry a reservation is remembered, so that a late settlement still corrects the charge.</summary>
    public const long RememberMs = 3_600_000;

    /// <summary>The most reservations that are open at a time.</summary>
    public const int MaxPending = 1_000_000;

    /// <summary>The most that have ended and are remembered.</summary>
    public const int MaxEnded = 1_000;

    public int Pending => _byId.Count - _ended.Count;

    public ReservationPages Pages => _pages;

    public IReadOnlyCollection<ReservationRecord> All => _byId.Values;

    public ReservationRecord? Find(string id) => _byId.GetValueOrDefault(id);

    /// <summary>Pages to be written once the ledger as it stands now is durable; none while others are.</summary>
    public IReadOnlyList<ReservationPage> TakePages() => _pages.Take(id => _byId[id]);

    /// <summary>Adds or replaces a reservation.</summary>
    public void Put(ReservationRecord reservation)
    {
        var known = Find(reservation.Id);
        reservation = reservation with { Sequence = ++_sequence, Page = known?.Page ?? _pages.PageOf(reservation) };
        if (known is null)
        {
            _pages.Join(reservation);
        }

        Keep(reservation);
        _pages.Change(reservation);
        if (known is null || NextStep(known) != NextStep(reservation))
        {
            _steps.Enqueue(reservation.Id, NextStep(reservation));
        }

        BoundEnded();
    }

    /// <summary>Those that run out by <paramref name="now"/>, marked so; forgets those whose messages cannot come any more.</summary>
    public IReadOnlyList<ReservationRecord> Expire(long now)
    {
        List<ReservationRecord>? expired = null;
        while (_steps.TryPeek(out var id, out var at) && at <= now)
        {
            _steps.Dequeue();
            if (Find(id) is not { } reservation || NextStep(reservation) != at)
            {
                continue;
            }

            if (reservation.Status == ReservationStatus.Pending)
            {
                (expired ??= []).Add(reservation);
                Keep(Expired(reservation));
                _steps.Enqueue(id, NextStep(Find(id)!));
            }
            else
            {
                Forget(reservation);
            }
        }

        if (expired is null)
        {
            return [];
        }

        BoundEnded();
        return expired;
    }

    private void TakeUp(ReservationRecord reservation)
    {
        _sequence = Math.Max(_sequence, reservation.Sequence);
        if (Find(reservation.Id) is { } known)
        {
            if (known.Sequence > reservation.Sequence)
            {
                return;
            }

            _pages.Leave(known);
        }

        _byId[reservation.Id] = reservation;
        _pages.Join(reservation);
    }

    private void Keep(ReservationRecord reservation)
    {
        _byId[reservation.Id] = reservation;
        if (reservation.Status != ReservationStatus.Pending)
        {
            _ended.Add((reservation.ExpiresAt, reservation.Id));
        }
    }

    private void Forget(ReservationRecord reservation)
    {
        _byId.Remove(reservation.Id);
        _ended.Remove((reservation.ExpiresAt, reservation.Id));
        _pages.Leave(reservation);
        if (_byId.Count == 0)
        {
            _byId.TrimExcess();
        }
    }

    private void BoundEnded()
    {
        while (_ended.Count > _maxEnded)
        {
            Forget(Find(_ended.Min.Id)!);
        }

        // Of those forgotten before their time a step is left.
        if (_steps.Count > (2 * _byId.Count) + _maxEnded)
        {
            _steps.Clear();
            _steps.EnqueueRange(_byId.Values.Select(static reservation => (reservation.Id, NextStep(reservation))));
        }
    }

    private static ReservationRecord Expired(ReservationRecord reservation) => reservation with { Status = ReservationStatus.Expired, Charge = reservation.Amount };

    // A repeated request to reserve is refused after the expiry, so what has ended need not be known after that.
    private static long NextStep(ReservationRecord reservation) =>
        reservation.Status == ReservationStatus.Expired ? Math.Min(reservation.ExpiresAt, long.MaxValue - RememberMs) + RememberMs : reservation.ExpiresAt;
}
