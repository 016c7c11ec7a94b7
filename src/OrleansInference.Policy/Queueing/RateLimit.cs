using System.Text.Json.Serialization;
using OrleansInference.Budgets;

namespace OrleansInference.Queueing;

/// <summary>A <see cref="RateLimit"/> as it is stored.</summary>
public sealed record RateLimitState
{
    /// <summary>Units out on leases.</summary>
    [JsonPropertyName("units")] public EscrowState Units { get; init; } = new();

    /// <summary>Requests that the units at home have room for.</summary>
    [JsonPropertyName("tokens")] public double Tokens { get; init; }

    /// <summary>Unix ms as of which <see cref="Tokens"/> is; 0 before the first use.</summary>
    [JsonPropertyName("at")] public long At { get; init; }

    /// <summary>What went out and came back with the units of each open lease.</summary>
    [JsonPropertyName("leases")] public IReadOnlyList<RateLeaseRecord> Leases { get; init; } = [];
}

/// <summary>Requests that went out and came back with the units of a lease, in millionths, since it began.</summary>
/// <param name="Holder">The holder.</param>
/// <param name="LeaseId">The lease within the holder.</param>
/// <param name="MicrosGranted">Went out.</param>
/// <param name="MicrosReturned">Came back.</param>
public sealed record RateLeaseRecord(
    [property: JsonPropertyName("holder")] string Holder,
    [property: JsonPropertyName("id")] long LeaseId,
    [property: JsonPropertyName("granted")] long MicrosGranted,
    [property: JsonPropertyName("returned")] long MicrosReturned);

/// <summary>
/// The owner's side of a rate limit that many silos enforce together: a token bucket (equivalent to the GCRA of ITU-T I.371) cut into as many units as
/// its burst, each with room for one request and its part of the rate. Units are leased like slots, by demand; each is at one place at a time and takes
/// along what is in it, so over any time all holders together admit at most the burst and the rate's worth of that time, however many
/// there are, whichever die and whatever messages are lost. A part of the units stays at home for silos that hold none.
/// Persist <see cref="ToState"/> before a grant is sent. Not thread-safe.
/// </summary>
public sealed class RateLimit
{
    private const int HomePart = 16;
    private const double Micros = 1e6;

    private readonly Escrow _units;
    private readonly Dictionary<(string Holder, long LeaseId), (long Granted, long Returned)> _leases = [];
    private double _tokens;
    private double _ahead;
    private long _at;

    /// <summary>Begins full, or with what was stored.</summary>
    /// <param name="perSecond">Requests per second, greater than 0.</param>
    /// <param name="burst">The most requests at once, at least 1.</param>
    /// <param name="options">Times of the leases; null for the usual ones.</param>
    /// <param name="state">What was stored; null to begin.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public RateLimit(double perSecond, int burst, EscrowOptions? options = null, RateLimitState? state = null)
    {
        // What a holder that vanished may have admitted, it has admitted when its lease is over: its units come home then, empty.
        _units = new((options ?? EscrowOptions.Slots(0)) with { Reusable = true, LongestCallMs = 0 }, state?.Units);
        Set(perSecond, burst);
        _at = state?.At ?? 0;
        _tokens = state is null ? burst : Math.Max(0, state.Tokens);
        foreach (var lease in state?.Leases ?? [])
        {
            _leases[(lease.Holder, lease.LeaseId)] = (lease.MicrosGranted, lease.MicrosReturned);
        }
    }

    /// <summary>Requests per second.</summary>
    public double PerSecond { get; private set; }

    /// <summary>The most requests at once.</summary>
    public int Burst { get; private set; }

    /// <summary>Units out on leases.</summary>
    public long Outstanding => _units.Outstanding;

    /// <summary>Changes the limit; holders learn of it with their next report.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public void Set(double perSecond, int burst)
    {
        if (!(perSecond > 0) || !double.IsFinite(perSecond))
        {
            throw new ArgumentOutOfRangeException(nameof(perSecond), perSecond, "A rate limit lets more than 0 requests per second through.");
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(burst, 1);
        (PerSecond, Burst) = (perSecond, burst);
    }

    /// <summary>The limit as it is to be stored.</summary>
    public RateLimitState ToState() => new()
    {
        Units = _units.ToState(),
        Tokens = _tokens,
        At = _at,
        Leases = [.. _leases.Select(lease => new RateLeaseRecord(lease.Key.Holder, lease.Key.LeaseId, lease.Value.Granted, lease.Value.Returned))],
    };

    /// <summary>Takes a holder's report and grants what it may have.</summary>
    /// <exception cref="ArgumentException">The report is malformed.</exception>
    public RateGrant Report(RateReport report, long now)
    {
        ArgumentNullException.ThrowIfNull(report);
        Refill(now);
        var key = (report.Lease.Holder, report.Lease.LeaseId);
        var isKnown = _leases.TryGetValue(key, out var micros);
        var outBefore = _units.Outstanding;
        var reply = _units.Report(report.Lease, now, Burst - Home - outBefore);
        if (isKnown && report.MicrosReturned > micros.Returned)
        {
            // No more comes back than the units that do have room for.
            _tokens += Math.Min((report.MicrosReturned - micros.Returned) / Micros, reply.Returned);
            micros.Returned = report.MicrosReturned;
        }

        var granted = _units.Outstanding - outBefore + reply.Returned;
        if (granted > 0)
        {
            var gone = (long)(Math.Min(granted, _tokens) * Micros);
            micros.Granted += gone;
            _tokens -= gone / Micros;
        }

        // What was given away takes its room along.
        _tokens = Math.Clamp(_tokens, 0, Room);
        if (IsOpen(key.Holder, key.LeaseId))
        {
            _leases[key] = micros;
        }
        else
        {
            _leases.Remove(key);
        }

        return new() { Lease = reply.Grant, MicrosGranted = micros.Granted, PerUnitSecond = PerSecond / Burst, Burst = Burst, AtHome = (long)(_tokens + _ahead) };
    }

    /// <summary>Admits one request of a silo whose lease has nothing left, from the units at home; false if those are empty too.</summary>
    /// <param name="now">Unix ms.</param>
    /// <param name="mustStore">
    /// Whether <see cref="ToState"/> is to be persisted before the answer is sent: a few requests are taken out of the state ahead, so that not each of them
    /// has to be stored, and those that a crash loses are not admitted twice.
    /// </param>
    public bool TryTake(long now, out bool mustStore)
    {
        Refill(now);
        mustStore = _ahead < 1 && _tokens >= 1;
        if (mustStore)
        {
            var part = Math.Min(_tokens, Math.Max(1, Home / 2));
            (_ahead, _tokens) = (_ahead + part, _tokens - part);
        }

        if (_ahead < 1)
        {
            return false;
        }

        _ahead--;
        return true;
    }

    // Units that are never leased: at least one.
    private int Home => Math.Max(1, Burst / HomePart);

    // Requests that the units at home have room for, beside those taken out ahead.
    private double Room => Math.Max(0, Burst - _units.Outstanding - _ahead);

    private bool IsOpen(string holder, long leaseId)
    {
        foreach (var lease in _units.Leases)
        {
            if (lease.LeaseId == leaseId && lease.Holder == holder)
            {
                return true;
            }
        }

        return false;
    }

    private void Refill(long now)
    {
        if (_at != 0 && now > _at)
        {
            // Before anything comes home: what was out is refilled from now on, not for the time that it was out.
            var atHome = Math.Max(0, Burst - _units.Outstanding);
            _tokens = Math.Min(Room, _tokens + (atHome * PerSecond / Burst * (now - _at) / 1000.0));
        }

        _at = Math.Max(_at, now);
        foreach (var ended in _units.Expire(now))
        {
            _leases.Remove((ended.Holder, ended.LeaseId));
        }
    }
}
