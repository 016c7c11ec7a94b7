using OrleansInference.Jobs;

namespace OrleansInference.Batch;

/// <summary>What a batch needs next.</summary>
public enum BatchAction
{
    /// <summary>It was never accepted: release its reservation and delete what is stored of it.</summary>
    Discard = 0,

    /// <summary>Write the input objects of the round and create its transform job.</summary>
    Start = 1,

    /// <summary>Look at the transform job; stop it if nobody waits for it any more, and collect its output if it has ended.</summary>
    Look = 2,

    /// <summary>End it without a transform job: it was cancelled or has expired.</summary>
    End = 3,

    /// <summary>Send its charge to the ledger and its record to the audit log, and book its cost.</summary>
    Settle = 4,

    /// <summary>Delete what is stored of it.</summary>
    Purge = 5,

    /// <summary>Ask the ledger how it stands with the money it waits for.</summary>
    Reserve = 6,
}

/// <summary>An action and when it is due (Unix ms).</summary>
public readonly record struct BatchStep(BatchAction Action, long At);

/// <summary>What an object of a round came to.</summary>
/// <param name="Charge">What its records are charged; null if it was not transformed.</param>
/// <param name="Failure">Why not.</param>
/// <param name="MayPass">Whether its records are not to blame for that.</param>
/// <param name="IsUnreadable">Whether there may be answers, which could not be read for as long as anybody waited.</param>
public sealed record PieceOutcome(Money? Charge, string? Failure, bool MayPass = false, bool IsUnreadable = false)
{
    /// <summary>What was measured of the records with an answer.</summary>
    public IReadOnlyList<RecordSample> Samples { get; init; } = [];
}

/// <summary>What is measured of a record with an answer, for the lane's statistics.</summary>
/// <param name="SizeClass">Its size class; negative: not known.</param>
/// <param name="ServiceMs">Milliseconds that the model took for it, as it says; 0: it does not say.</param>
public readonly record struct RecordSample(int SizeClass, double ServiceMs);

/// <summary>
/// One batch: Accepted → Running → Succeeded, Failed, Expired or Cancelled. Its transform jobs are its rounds: an object that failed is split
/// for the next, so that a bad record costs only itself. Records with an answer are charged, whatever becomes of the rest; the sum is settled
/// once, at the end. Takes events with the time they happened; <see cref="Next"/> says what is to be done.
/// </summary>
/// <param name="record">What is stored.</param>
/// <param name="limits">Bounds of retries, and how often transform jobs are looked at.</param>
/// <param name="retentionMs">Milliseconds an ended batch is kept.</param>
public sealed partial class BatchMachine(BatchRecord record, WindowLimits limits, long retentionMs)
{
    /// <summary>What to store.</summary>
    public BatchRecord Record { get; private set; } = record;

    /// <summary>Unix ms until which the ended batch is kept.</summary>
    public long KeptUntil => (Record.Ending?.At ?? Record.Specification.Deadline) + retentionMs;

    /// <summary>Milliseconds after the deadline until which the ledger keeps the reservation for the settlement.</summary>
    public const long ReservationGraceMs = 3_600_000;

    /// <summary>Whether its caller holds its id: it has its reservation, or waits for it, or has ended so.</summary>
    public bool IsAccepted => Record.ReservedAt > 0 || IsHeld;

    /// <summary>Unix ms from which its wait is the lane's: waiting for money says nothing about that.</summary>
    public long ReadyAt => Math.Max(Record.Specification.AcceptedAt, Record.FundedAt);

    private EndpointDefinition Endpoint => Record.Endpoint.Endpoint;

    /// <summary>A batch that is to be accepted.</summary>
    public static BatchRecord Begin(string batchId, BatchSpecification specification, EndpointConfiguration endpoint, string reservationId)
    {
        ArgumentNullException.ThrowIfNull(specification);
        return new()
        {
            BatchId = batchId,
            Specification = specification,
            Endpoint = endpoint,
            ReservationId = reservationId,
            Pieces = [.. specification.Objects.Select(static (part, index) => new BatchPiece { Source = index, First = 0, Count = part.Records })],
        };
    }

    /// <summary>Whether the same batch was meant, and not another one under the same idempotency key.</summary>
    public static bool IsSame(BatchSpecification one, BatchSpecification other)
    {
        ArgumentNullException.ThrowIfNull(one);
        ArgumentNullException.ThrowIfNull(other);
        return one.InputHash == other.InputHash && one.Request.Model == other.Request.Model;
    }

    /// <summary>Whether no answer is wanted any more.</summary>
    public bool IsUnwanted(long now) => Record.CancelledAt > 0 || now >= Record.Specification.Deadline;

    /// <summary>The action that is due next, and when.</summary>
    public BatchStep Next()
    {
        var record = Record;
        if (!IsAccepted)
        {
            return new(BatchAction.Discard, record.NotBefore);
        }

        if (record.Ending is not null)
        {
            return record.Settled ? new(BatchAction.Purge, Math.Max(KeptUntil, record.NotBefore)) : new(BatchAction.Settle, record.NotBefore);
        }

        var deadline = record.Specification.Deadline;
        if (!record.MayRun)
        {
            return record.CancelledAt > 0 ? new(BatchAction.End, record.CancelledAt)
                : record.NotBefore < deadline ? new(IsHeld ? BatchAction.Reserve : BatchAction.Start, record.NotBefore)
                : new(BatchAction.End, deadline);
        }

        // Not known to be created: asked for again as long as it is wanted, then looked for, to be stopped.
        if (record.StartedAt == 0)
        {
            return record.CancelledAt > 0 || record.NotBefore >= deadline
                ? new(BatchAction.Look, record.NotBefore)
                : new(BatchAction.Start, record.NotBefore);
        }

        var look = Math.Max(record.NotBefore, NextLook());

        // One that is unwanted is looked at at once, and then as often as any.
        return record.CheckedAt < deadline && look > deadline ? new(BatchAction.Look, Math.Max(record.NotBefore, deadline)) : new(BatchAction.Look, look);
    }

    /// <summary>The objects of the round: the pieces whose fate is open, in order.</summary>
    public IReadOnlyList<BatchPiece> Objects() => [.. Record.Pieces.Where(static piece => piece.IsOpen)];

    /// <summary>The transform job's name: the same for the same round, and no other's. Two batches differ by their uploads.</summary>
    /// <param name="prefix">The deployment's prefix.</param>
    public string TransformJob(string prefix) => TransformRounds.Name(prefix, Endpoint.Name, Record.Specification.Upload, Record.Round);

    /// <summary>The round's transform job is about to be created.</summary>
    public void Starting() => Record = Record with { MayRun = true, StartedAt = 0, CheckedAt = 0 };

    /// <summary>The round's transform job was created.</summary>
    public void Started(long now) => Record = Record with { StartedAt = now, CheckedAt = 0, Failures = 0, NotBefore = 0 };

    /// <summary>The transform job still runs.</summary>
    public void StillRuns(long now) => Record = Record with { StartedAt = Record.StartedAt == 0 ? now : Record.StartedAt, CheckedAt = now, Failures = 0, NotBefore = 0 };

    /// <summary>There is no such transform job: the round begins anew, or is over if it is not wanted any more.</summary>
    public void Vanished(long now)
    {
        Record = Record with { MayRun = false, StartedAt = 0, Failures = 0, NotBefore = 0 };
        if (IsUnwanted(now))
        {
            End(now);
        }
    }

    /// <summary>
    /// The step under way failed; it is tried again, and at the deadline in any case. Of a transform job that nobody waits for and that cannot be asked about, the
    /// batch is rid in the end.
    /// </summary>
    /// <returns>Whether the batch has ended by this, which is to be stored.</returns>
    public bool Failed(double chance, long now)
    {
        var failures = Record.Failures + 1;
        var deadline = Record.Specification.Deadline;
        var at = now + Backoff.DelayMs(failures, chance);
        Record = Record with { Failures = failures, NotBefore = IsAccepted && Record.Ending is null && now < deadline ? Math.Min(at, deadline) : at };
        if (!IsAccepted || Record.Ending is not null || !Record.MayRun || failures < limits.LooksInVain || now < UnwantedSince + limits.OverdueMs)
        {
            return false;
        }

        End(now, "What became of its transform job could not be found out.");
        return true;
    }

    /// <summary>
    /// Whether what cannot be read of an ended transform job's output now is to be given up: nobody waits for it any more, and it has been tried in vain for some seconds.
    /// </summary>
    /// <param name="now">Unix ms.</param>
    public bool IsLastLook(long now) => IsUnwanted(now) && Record.Failures >= limits.LooksInVain;

    /// <summary>SageMaker does not take the transform job: no record that is open can be served.</summary>
    public void Refused(string why, long now)
    {
        Record = Record with { MayRun = false, Pieces = [.. Record.Pieces.Select(piece => piece.IsOpen ? piece with { Failure = why } : piece)] };
        End(now);
    }

    /// <summary>The round's transform job has ended.</summary>
    /// <param name="outcomes">One per object of the round.</param>
    /// <param name="cost">What AWS bills for it.</param>
    /// <param name="now">Unix ms.</param>
    public void RoundEnded(IReadOnlyList<PieceOutcome> outcomes, Money cost, long now)
    {
        ArgumentNullException.ThrowIfNull(outcomes);
        var last = Record.Round + 1 >= limits.MaxRounds;
        string? unread = null;
        List<BatchPiece> pieces = [];
        var index = 0;
        foreach (var piece in Record.Pieces)
        {
            if (!piece.IsOpen)
            {
                Add(pieces, piece);
                continue;
            }

            var outcome = outcomes[index];
            if (outcome.Charge is { } charge)
            {
                pieces.Add(piece with { IsDone = true, Round = Record.Round, Index = index, Charge = charge.Nanos });
            }
            else if (outcome.IsUnreadable)
            {
                unread ??= outcome.Failure;
                Add(pieces, piece with { Failure = outcome.Failure });
            }
            else if (last || (piece.Count == 1 && !outcome.MayPass))
            {
                Add(pieces, piece with { Failure = RecordFailure.Of(outcome.Failure, piece.Count, outcome.MayPass) });
            }
            else
            {
                var size = TransformRounds.PartOf(limits, piece.Count, outcome.MayPass);
                for (var from = 0; from < piece.Count; from += size)
                {
                    pieces.Add(piece with { First = piece.First + from, Count = Math.Min(size, piece.Count - from) });
                }
            }

            index++;
        }

        Record = Record with
        {
            Round = Record.Round + 1,
            Pieces = pieces,
            Cost = checked(Record.Cost + cost.Nanos),
            MayRun = false,
            StartedAt = 0,
            CheckedAt = 0,
            Failures = 0,
            NotBefore = 0,
        };
        if (IsUnwanted(now) || !pieces.Exists(static piece => piece.IsOpen))
        {
            End(now, unread);
        }
    }

    /// <summary>The caller gave up.</summary>
    public void Cancel(long now)
    {
        if (Record is { Ending: null, CancelledAt: 0 })
        {
            Record = Record with { CancelledAt = Math.Max(1, now), CheckedAt = 0, NotBefore = 0 };
        }
    }

    /// <summary>There will be no other transform job: the records that are open have no answer.</summary>
    /// <param name="now">Unix ms.</param>
    /// <param name="lost">Why answers that there may be were not had; null if none were lost.</param>
    public void End(long now, string? lost = null)
    {
        if (Record.Ending is not null)
        {
            return;
        }

        var wasOpen = lost is not null || Record.Pieces.Any(static piece => piece.IsOpen);
        var why = Record.CancelledAt > 0 ? "The batch was cancelled before the record had its answer." : "The deadline passed before the record had its answer.";
        var more = lost is null ? "" : $" {lost}";
        List<BatchPiece> pieces = [];
        foreach (var piece in Record.Pieces)
        {
            Add(pieces, piece.IsOpen ? piece with { Failure = why + more } : piece);
        }

        var done = pieces.Where(static piece => piece.IsDone).ToList();
        var charge = done.Aggregate(Money.Zero, static (sum, piece) => sum + Money.FromNanos(piece.Charge));
        Record = Record with
        {
            Pieces = pieces,
            Failures = 0,
            NotBefore = 0,
            Ending = new()
            {
                State = wasOpen ? Record.CancelledAt > 0 ? JobState.Cancelled : JobState.Expired : done.Count > 0 ? JobState.Succeeded : JobState.Failed,
                At = now,
                Charge = Money.Min(charge, Record.Specification.Route.ChargeCap),
                Problem = wasOpen ? ProblemOfOpen(more)
                    : done.Count > 0 ? null
                    : new() { Code = ProblemCode.ModelError, Message = $"No record has an answer; the first failed so: {pieces[0].Failure}", OriginalMessage = pieces[0].Failure },
            },
        };
    }

    private InferenceProblem ProblemOfOpen(string more) =>
        Record.CancelledAt > 0 ? new() { Code = ProblemCode.Cancelled, Message = $"The batch was cancelled; what had its answer by then is kept and charged.{more}" }
        : IsHeld ? new() { Code = ProblemCode.DeadlineExceeded, Message = "The batch's deadline passed while it was held for the tenant's budget. Nothing was charged." }
        : new() { Code = ProblemCode.DeadlineExceeded, Message = $"The batch's deadline passed; what had its answer by then is kept and charged.{more}" };

    /// <summary>The ledger and the audit log have the end.</summary>
    public void SettlementTaken()
    {
        if (Record.Ending is not null)
        {
            Record = Record with { Settled = true, NotBefore = 0, Failures = 0 };
        }
    }

    /// <summary>The batch as its caller sees it; null before it is accepted.</summary>
    /// <param name="running">Objects of the present round that have their output already.</param>
    public BatchView? ToView(IReadOnlySet<int>? running = null)
    {
        if (!IsAccepted)
        {
            return null;
        }

        var specification = Record.Specification;
        var ending = Record.Settled ? Record.Ending : null;
        long done = 0, failed = 0, all = 0;
        var index = 0;
        foreach (var piece in Record.Pieces)
        {
            all += piece.Count;
            failed += piece.Failure is null ? 0 : piece.Count;
            done += piece.IsDone || (piece.IsOpen && running?.Contains(index) is true) ? piece.Count : 0;
            index += piece.IsOpen ? 1 : 0;
        }

        return new()
        {
            BatchId = Record.BatchId,
            Tenant = specification.Request.Tenant,
            Model = specification.Request.Model,
            State = ending?.State ?? (Record.MayRun || Record.Round > 0 ? JobState.Running : JobState.Accepted),
            Route = specification.Route with { Charge = ending?.Charge ?? Money.Zero },
            AcceptedAt = DateTimeOffset.FromUnixTimeMilliseconds(specification.AcceptedAt),
            Deadline = DateTimeOffset.FromUnixTimeMilliseconds(specification.Deadline),
            EndedAt = ending is null ? null : DateTimeOffset.FromUnixTimeMilliseconds(ending.At),
            Problem = ending?.Problem,
            HeldUntil = IsWaiting ? DateTimeOffset.FromUnixTimeMilliseconds(Record.HeldUntil) : null,
            Records = all,
            Done = done,
            Failed = failed,
            TransformJobs = Record.Round + (Record is { MayRun: true, StartedAt: > 0 } ? 1 : 0),
        };
    }

    private long UnwantedSince => Record.CancelledAt > 0 ? Math.Min(Record.CancelledAt, Record.Specification.Deadline) : Record.Specification.Deadline;

    /// <summary>Adds a piece; failed ones that follow each other with one reason become one, so that a batch of bad records stays small.</summary>
    private static void Add(List<BatchPiece> pieces, BatchPiece piece)
    {
        if (piece.Failure is { } failure && pieces.Count > 0 && pieces[^1] is var before && before.Failure == failure && before.Source == piece.Source && before.First + before.Count == piece.First)
        {
            pieces[^1] = before with { Count = before.Count + piece.Count };
        }
        else
        {
            pieces.Add(piece);
        }
    }

    private long NextLook() => Record is { CheckedAt: 0, CancelledAt: > 0 } ? 0 : TransformRounds.NextLook(limits, Record.StartedAt, Record.CheckedAt);
}
