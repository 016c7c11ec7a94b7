using System.Security.Cryptography;
using System.Text;

namespace OrleansInference.Idempotency;

/// <summary>
/// One idempotency key: claimed → (reserved | bound to a job) → ended. Whoever has the claim runs the request; when its holder is gone or
/// its time is over the next one takes the claim over, and from then on nothing the earlier holder says counts: its reservation
/// is released, and it cannot make another. So of all runs of a request one at most is charged.
/// </summary>
/// <param name="record">What was stored.</param>
public sealed class KeyMachine(KeyRecord record)
{
    /// <summary>The most reservations that wait to be released.</summary>
    public const int MaxToRelease = 64;

    /// <summary>What to store.</summary>
    public KeyRecord Record { get; private set; } = record;

    /// <summary>Whether there is an outcome.</summary>
    public bool HasEnded => Record.Outcome is not null;

    /// <summary>A key that was not used before, claimed.</summary>
    public static KeyMachine New(KeyRequest request, string claim)
    {
        ArgumentNullException.ThrowIfNull(request);
        return new(new() { Model = request.Model, BodyHash = request.BodyHash, Claim = claim, Holder = request.Holder, ClaimUntil = request.Until });
    }

    /// <summary>What makes two requests the same beside their model: SHA-256 of the body, or of its address, in hex.</summary>
    public static string HashOf(InferenceRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return Convert.ToHexStringLower(SHA256.HashData(request.InputLocation is { } location ? Encoding.UTF8.GetBytes(location) : request.Body.Span));
    }

    /// <summary>Presents the key again.</summary>
    /// <param name="request">The request.</param>
    /// <param name="claim">The claim it gets if it may run.</param>
    /// <param name="holderIsGone">Whether the present holder can do nothing any more.</param>
    /// <param name="now">Unix ms.</param>
    public KeyState Begin(KeyRequest request, string claim, bool holderIsGone, long now)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (request.Model != Record.Model || request.BodyHash != Record.BodyHash)
        {
            return KeyState.Conflict;
        }

        if (HasEnded)
        {
            return KeyState.Ended;
        }

        if (IsHeld(holderIsGone, now) || Record.ToRelease.Count >= MaxToRelease)
        {
            return KeyState.Busy;
        }

        Record = Release(Record) with { Claim = claim, Holder = request.Holder, ClaimUntil = request.Until };
        return KeyState.Begun;
    }

    /// <summary>Whether somebody runs the request.</summary>
    public bool IsHeld(bool holderIsGone, long now) => !HasEnded && !holderIsGone && now < Record.ClaimUntil;

    /// <summary>Whether <paramref name="claim"/> is the one that counts and has not ended.</summary>
    public bool IsRunning(string claim) => !HasEnded && Record.Claim == claim;

    /// <summary>A call is about to be made on a reservation.</summary>
    public void Reserve(KeyReservation reservation) => Record = Release(Record) with { Reservation = reservation };

    /// <summary>The ledger granted it, and counts it from <paramref name="at"/> (Unix ms).</summary>
    public void Reserved(long at)
    {
        if (Record.Reservation is { } reservation)
        {
            Record = Record with { Reservation = reservation with { At = at } };
        }
    }

    /// <summary>The ledger did not grant it.</summary>
    public void NotReserved() => Record = Record with { Reservation = null };

    /// <summary>The request is about to be made a job.</summary>
    public void Bind() => Record = Release(Record) with { IsJob = true };

    /// <summary>The outcome. The first counts.</summary>
    public void End(InferenceOutcome outcome, string? answerKey, double serviceMs, long now)
    {
        if (!HasEnded)
        {
            Record = Record with { Outcome = outcome, AnswerKey = answerKey, ServiceMs = serviceMs, EndedAt = now };
        }
    }

    /// <summary>The holder has given up.</summary>
    public void LetGo() => Record = Release(Record) with { ClaimUntil = 0 };

    /// <summary>The ledger has released what was to be released, and the audit log has it.</summary>
    public void Released() => Record = Record with { ToRelease = [] };

    /// <summary>The ledger and the audit log have taken the charge.</summary>
    public void SettlementTaken() => Record = Record with { Settled = true };

    private static KeyRecord Release(KeyRecord record) =>
        record.Reservation is { } before ? record with { Reservation = null, ToRelease = [.. record.ToRelease, before] } : record;
}
