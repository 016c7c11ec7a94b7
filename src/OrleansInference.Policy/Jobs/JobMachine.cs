namespace OrleansInference.Jobs;

/// <summary>
/// One job: Accepted → Dispatched → Running → Succeeded, Failed, Expired or Cancelled. Takes events with the time they
/// happened; <see cref="Next"/> says what is to be done. An end is decided once and stored (<see cref="JobRecord.Ending"/>), then
/// settled in the ledger, then visible: so the same charge is settled however often the way there is interrupted.
/// A job is charged by the rule of every request: what is known to have run on a model is paid for by its use, answered or not. So an
/// answer is charged, and a failure that the model itself reported; a job that never ran, or of which that is not known (expired,
/// cancelled, a record that a transform job gave no answer for), is charged nothing.
/// </summary>
public sealed partial class JobMachine(JobRecord record, JobTimes times)
{
    private const int MostProblemCharacters = 500;

    /// <summary>What to store.</summary>
    public JobRecord Record { get; private set; } = record;

    /// <summary>The state a caller may see: an end only after it was settled.</summary>
    public JobState VisibleState => Record is { Ending: { } ending, Settled: true } ? ending.State : Record.State;

    /// <summary>Unix ms until which the ended job is kept.</summary>
    public long KeptUntil => (Record.Ending?.At ?? Record.Specification.Deadline) + times.RetentionMs;

    /// <summary>Whether its end is still to be told to the queue or the webhook that the request named.</summary>
    public bool OwesReply => Record is { Settled: true, Replied: false, ReplyGivenUp: false, Specification.Request.ReplyTo: not null };

    private bool IsWaiting => Record.State is JobState.Dispatched or JobState.Running;

    private bool IsBatch => Record.Specification.Route.Lane == Lane.Batch;

    // The batch window, or the endpoint whose slots it waits for, says when something happens.
    private bool IsTold => IsBatch || IsDeferred;

    /// <summary>Whether the same submission was meant, and not another one under the same idempotency key.</summary>
    public static bool IsSame(JobSpecification one, JobSpecification other)
    {
        ArgumentNullException.ThrowIfNull(one);
        ArgumentNullException.ThrowIfNull(other);
        return one.BodyHash == other.BodyHash && one.BodyLength == other.BodyLength && one.Request.Model == other.Request.Model;
    }

    /// <summary>The action that is due next, and when.</summary>
    public JobStep Next()
    {
        var record = Record;
        if (record.Ending is not null)
        {
            return !record.Settled ? new(JobAction.Settle, record.NotBefore)
                : OwesReply && record.NotBefore < KeptUntil ? new(JobAction.Reply, record.NotBefore)
                : new(JobAction.Purge, KeptUntil);
        }

        var deadline = record.Specification.Deadline;
        if (!IsWaiting)
        {
            return record.NotBefore < deadline ? new(IsHeld ? JobAction.Reserve : JobAction.Dispatch, record.NotBefore) : new(JobAction.Expire, deadline);
        }

        if (IsTold && record.HastenAt > 0 && record.HastenAt <= NextCheck(record))
        {
            return new(IsDeferred ? JobAction.Serve : JobAction.Hasten, record.HastenAt);
        }

        if (record.CheckedAt >= deadline || (IsTold && NextCheck(record) >= deadline))
        {
            return new(JobAction.Expire, deadline);
        }

        // The last look is at the deadline itself, so that an answer in time is not thrown away for having been found late.
        return new(JobAction.Check, Math.Min(NextCheck(record), deadline));
    }

    /// <summary>The lane has it: SageMaker's async queue.</summary>
    public void Dispatched(string output, string? failure, long now) => Record = Record with
    {
        State = JobState.Dispatched,
        ExpectedOutput = output,
        ExpectedFailure = failure,
        DispatchedAt = now,
        CheckedAt = 0,
        Failures = 0,
        NotBefore = 0,
    };

    /// <summary>The lane has it: a batch window.</summary>
    public void Joined(string window, long now) => Record = Record with
    {
        State = JobState.Dispatched,
        Window = window,
        DispatchedAt = now,
        CheckedAt = 0,
        Failures = 0,
        NotBefore = 0,
        HastenAt = HastenFirst(now),
    };

    /// <summary>Handing it over failed: tried again within the deadline if that may help, else the job fails.</summary>
    /// <param name="problem">What went wrong.</param>
    /// <param name="mayPass">Whether trying again may help.</param>
    /// <param name="chance">Uniform in 0..1.</param>
    /// <param name="now">Unix ms.</param>
    public void DispatchFailed(InferenceProblem problem, bool mayPass, double chance, long now)
    {
        ArgumentNullException.ThrowIfNull(problem);
        if (IsWaiting || Record.Ending is not null)
        {
            return;
        }

        var failures = Record.Failures + 1;
        var notBefore = now + Backoff.DelayMs(failures, chance);
        if (mayPass && notBefore < Record.Specification.Deadline)
        {
            Record = Record with { Failures = failures, NotBefore = notBefore };
        }
        else
        {
            End(new() { State = JobState.Failed, At = now, Problem = problem });
        }
    }

    /// <summary>It has not ended yet; <paramref name="running"/> if it is known to run.</summary>
    public void NotYet(bool running, long now)
    {
        if (IsWaiting && Record.Ending is null)
        {
            Record = Record with { CheckedAt = now, State = running ? JobState.Running : Record.State };
        }
    }

    /// <summary>The async lane's answer was found.</summary>
    /// <param name="answer">What the answer's body tells about its use.</param>
    /// <param name="location"><c>s3://</c> address of the answer.</param>
    /// <param name="contentType">MIME type of the answer.</param>
    /// <param name="now">Unix ms.</param>
    public void Answered(AnswerUse answer, string location, string? contentType, long now)
    {
        var elapsed = Math.Max(0, now - Record.DispatchedAt);

        var known = answer.ServiceMs > 0 || elapsed <= DeclaredMs;
        var service = answer.ServiceMs > 0 ? answer.ServiceMs : ServiceAtMost(elapsed);
        End(new()
        {
            State = JobState.Succeeded,
            At = now,
            Charge = JobCharge.Of(Record.Endpoint.Endpoint, Record.Specification, answer, service, Record.Specification.Route.ChargeCap),
            OutputLocation = location,
            ContentType = contentType,
            ServiceMs = known ? service : 0,
            WaitMs = known ? Math.Max(0, now - service - ReadyAt) : -1,
        });
    }

    /// <summary>The lane reported a failure.</summary>
    /// <param name="problem">What went wrong.</param>
    /// <param name="ran">Whether it is the model's own answer, so that it is known to have run.</param>
    /// <param name="now">Unix ms.</param>
    public void ModelFailed(InferenceProblem problem, bool ran, long now)
    {
        var service = ran ? ServiceAtMost(Math.Max(0, now - Record.DispatchedAt)) : 0;
        End(new()
        {
            State = JobState.Failed,
            At = now,
            Problem = problem,
            Charge = ran
                ? JobCharge.Of(Record.Endpoint.Endpoint, Record.Specification, default, service, Record.Specification.Route.ChargeCap)
                : Money.Zero,
        });
    }

    /// <summary>The batch window's answer.</summary>
    /// <param name="result">The answer.</param>
    /// <param name="location"><c>s3://</c> address of the result; null if there is none.</param>
    /// <param name="contentType">MIME type of the result.</param>
    /// <param name="now">Unix ms.</param>
    /// <returns>False if the job has ended otherwise, so that the result has no owner.</returns>
    public bool WindowEnded(WindowResult result, string? location, string? contentType, long now)
    {
        ArgumentNullException.ThrowIfNull(result);
        if (Record.Ending is { } before)
        {
            return before.State == JobState.Succeeded;
        }

        if (Record.Before is not null && location is null)
        {
            // The faster lane may still answer.
            return false;
        }

        End(location is null
            ? new()
            {
                State = JobState.Failed,
                At = now,
                Problem = new() { Code = ProblemCode.ModelError, Message = result.Failure ?? "The transform job gave no answer.", OriginalMessage = result.Failure },
            }
            : new()
            {
                State = JobState.Succeeded,
                At = now,
                Charge = Money.Min(Money.Max(result.Charge, Money.Zero), Record.Specification.Route.ChargeCap),
                OutputLocation = location,
                ContentType = contentType,
                ServiceMs = result.ServiceMs,
                WaitMs = result.StartedAt > 0 ? Math.Max(0, result.StartedAt - ReadyAt) : -1,
            });
        return true;
    }

    /// <summary>The caller gave up.</summary>
    public void Cancel(long now) => End(new()
    {
        State = JobState.Cancelled,
        At = now,
        Problem = new() { Code = ProblemCode.Cancelled, Message = "The job was cancelled." },
    });

    /// <summary>The deadline passed.</summary>
    public void Expire(long now)
    {
        if (now >= Record.Specification.Deadline)
        {
            End(new()
            {
                State = JobState.Expired,
                At = now,
                Problem = new()
                {
                    Code = ProblemCode.DeadlineExceeded,
                    Message = IsHeld
                        ? "The job's deadline passed while it was held for the tenant's budget. Nothing was charged."
                        : "The job's deadline passed before its answer was there. Nothing was charged.",
                },
            });
        }
    }

    /// <summary>The ledger and the audit log have the end.</summary>
    public void SettlementTaken()
    {
        if (Record.Ending is not null)
        {
            Record = Record with { Settled = true, NotBefore = 0, Failures = 0 };
        }
    }

    /// <summary>The settlement could not be sent; it is tried until it can.</summary>
    public void SettlementFailed(double chance, long now)
    {
        if (Record is { Ending: not null, Settled: false })
        {
            var failures = Record.Failures + 1;
            Record = Record with { Failures = failures, NotBefore = now + Backoff.DelayMs(failures, chance) };
        }
    }

    /// <summary>The end was told, or was not: a queue is tried as long as the job is kept, a webhook for a bounded time after the end.</summary>
    /// <param name="outcome">What became of the try.</param>
    /// <param name="chance">Uniform in 0..1.</param>
    /// <param name="now">Unix ms.</param>
    public void ReplyTried(ReplyOutcome outcome, double chance, long now)
    {
        ArgumentNullException.ThrowIfNull(outcome);
        if (!OwesReply)
        {
            return;
        }

        var tries = Record.ReplyTries + (outcome.Fate == ReplyFate.Busy ? 0 : 1);
        if (outcome.Fate == ReplyFate.Sent)
        {
            Record = Record with { Replied = true, ReplyTries = tries, ReplyProblem = null, NotBefore = 0, Failures = 0 };
            return;
        }

        // One that was not tried comes again soon: what it waits for is others like it, not a receiver that must recover.
        var failures = Record.Failures + 1;
        var isWebhook = Record.Specification.Request.ReplyTo!.Webhook is not null;
        var delay = (isWebhook, outcome.Fate) switch
        {
            (true, ReplyFate.Busy) => Backoff.DelayMs(failures, chance, firstMs: 2_000, mostMs: 60_000),
            (true, _) => Math.Max(Backoff.DelayMs(failures, chance, firstMs: 5_000, mostMs: times.WebhookRetryAtMostEveryMs), Math.Min(outcome.RetryAfterMs, times.WebhookRetryAtMostEveryMs)),
            _ => Backoff.DelayMs(failures, chance, mostMs: 300_000),
        };
        var until = isWebhook ? Math.Min(KeptUntil, Record.Ending!.At + times.WebhookRetryForMs) : KeptUntil;
        var problem = outcome.Problem is { Length: > MostProblemCharacters } text ? text[..MostProblemCharacters] : outcome.Problem;
        Record = outcome.Fate == ReplyFate.Refused || now + delay >= until
            ? Record with { ReplyGivenUp = true, ReplyTries = tries, ReplyProblem = problem, NotBefore = 0, Failures = 0 }
            : Record with { Failures = failures, ReplyTries = tries, ReplyProblem = problem ?? Record.ReplyProblem, NotBefore = now + delay };
    }

    /// <summary>The job as its caller sees it.</summary>
    public JobView ToView()
    {
        var specification = Record.Specification;
        var ending = Record.Settled ? Record.Ending : null;
        return new()
        {
            JobId = Record.JobId,
            Tenant = specification.Request.Tenant,
            Model = specification.Request.Model,
            BodyHash = specification.BodyHash,
            State = VisibleState,
            Route = specification.Route with { Charge = ending?.Charge ?? Money.Zero },
            AcceptedAt = DateTimeOffset.FromUnixTimeMilliseconds(specification.AcceptedAt),
            Deadline = DateTimeOffset.FromUnixTimeMilliseconds(specification.Deadline),
            EndedAt = ending is null ? null : DateTimeOffset.FromUnixTimeMilliseconds(ending.At),
            Problem = ending?.Problem,
            OutputLocation = ending?.OutputLocation,
            ContentType = ending?.ContentType,
            ExpectedOutputLocation = Record.ExpectedOutput,
            FailureLocation = Record.ExpectedFailure,
            HeldUntil = IsHeld && Record.Ending is null ? DateTimeOffset.FromUnixTimeMilliseconds(Record.HeldUntil) : null,
            Reply = specification.Request.ReplyTo is null ? null : new()
            {
                State = Record.Replied ? ReplyState.Sent : Record.ReplyGivenUp ? ReplyState.GivenUp : ReplyState.Pending,
                Tries = Record.ReplyTries,
                Problem = Record.ReplyProblem,
                NextTryAt = OwesReply && Record.NotBefore > 0 ? DateTimeOffset.FromUnixTimeMilliseconds(Record.NotBefore) : null,
            },
        };
    }

    // Waiting for money says nothing about the lane.
    private long ReadyAt => Math.Max(Record.Specification.AcceptedAt, Record.FundedAt);

    /// <summary>The first end counts; whatever comes later changes nothing.</summary>
    private void End(JobEnding ending)
    {
        if (Record.Ending is null)
        {
            Record = Record with { Ending = ending, Failures = 0, NotBefore = 0 };
        }
    }

    private double DeclaredMs => Record.Endpoint.Endpoint.Prior.ServiceP99Seconds * 1000;

    // Async inference tells when an answer is there, not how long the model took. Unless the answer says it, the time is
    // what passed since the call, but at most the endpoint's declared 99th percentile: a tenant does not pay for a queue.
    private double ServiceAtMost(long elapsed) => Math.Min(elapsed, DeclaredMs);

    // Looks become rarer as the wait grows, so that finding an answer late costs a bounded share of the whole wait.
    private long NextCheck(JobRecord record)
    {
        if (IsTold)
        {
            // The window tells its members; what is looked for is a word that was lost.
            var looked = Math.Max(record.CheckedAt, record.DispatchedAt);
            var every = Math.Clamp((looked - record.DispatchedAt) / 2, times.WindowCheckEveryMs, 6 * times.WindowCheckEveryMs);
            return looked + (long)(every * Spread);
        }

        var prior = record.Endpoint.Endpoint.Prior;
        if (record.CheckedAt > 0)
        {
            var waited = record.CheckedAt - record.DispatchedAt;
            return record.CheckedAt + Math.Clamp(waited / (times.Notified ? 2 : 4), times.CheckEveryMs, times.CheckAtMostEveryMs);
        }

        // Where the end is notified, only those are looked for whose word was lost: so late that a job can leave memory until then, but with three quarters of its time left.
        var likely = times.Notified
            ? Math.Max(prior.ServiceP99Seconds * 1000, RecoverInMs(record.DispatchedAt))
            : prior.ServiceP50Seconds * 1000;
        return record.DispatchedAt + Math.Clamp((long)likely, times.CheckEveryMs, times.CheckAtMostEveryMs);
    }
}
