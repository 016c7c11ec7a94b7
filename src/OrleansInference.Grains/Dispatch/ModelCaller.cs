using System.Runtime.CompilerServices;
using OrleansInference.Audit;
using OrleansInference.Hosting;
using OrleansInference.Invocation;
using OrleansInference.Latency;
using OrleansInference.Leases;
using OrleansInference.Routing;

namespace OrleansInference.Dispatch;

/// <summary>What became of one try on one candidate.</summary>
/// <param name="Outcome">The answer or the problem.</param>
/// <param name="MayTryAnother">Whether nothing ran, so that another candidate may be tried.</param>
/// <param name="Stream">The stream, if one was asked for and has begun; it settles when it is disposed.</param>
/// <param name="IsOther">That another call for the same request decides its outcome: this one is charged nothing.</param>
/// <param name="Tries">Calls that were made.</param>
internal readonly record struct TryResult(InferenceOutcome Outcome, bool MayTryAnother, StreamedCall? Stream = null, bool IsOther = false, int Tries = 1);

/// <summary>One try: money and slot in hand, call, settle, measure, write the audit record. Each is done once, however the call ends.</summary>
internal sealed class ModelCaller(
    IModelRuntime runtime,
    CallLimits limits,
    LatencyRecorder recorder,
    RouteOutcomes outcomes,
    IAuditLog audit,
    RouterClock clock)
{
    // Nobody sees it: the request's outcome is the other call's.
    private static readonly InferenceOutcome Overtaken = InferenceOutcome.Refused(ProblemCode.Cancelled, "Another call for the same request decides its outcome.");

    /// <summary>Calls the candidate.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<TryResult> CallAsync(CallContext call, CancellationToken cancellationToken)
    {
        var limit = limits.Begin(Math.Max(call.LongestMs, call.Candidate.MaxServiceMs));
        ModelAnswer answer;
        Task<ModelAnswer>? sent = null;
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            Begin(call);
            sent = runtime.InvokeAsync(CallOf(call), limit.Token);
            answer = sent.IsCompleted
                ? await sent
                : await sent.WaitAsync(clock.ToWall(TimeSpan.FromMilliseconds(call.LongestMs)), clock.TimeProvider, cancellationToken);
        }
        catch (Exception exception)
        {
            if (sent is { IsCompleted: false })
            {
                // Nobody waits for it any more, but the model goes on: so does the call, with its slot, until it ends.
                call.IsLeft = true;
                var given = await FailedAsync(call, exception, cancellationToken.IsCancellationRequested);
                _ = SeeOffAsync(call, sent, limit);
                return given;
            }

            limit.Dispose();
            return await FailedAsync(call, exception, cancellationToken.IsCancellationRequested);
        }

        limit.Dispose();
        var elapsed = Elapsed(call);
        if (call.Race is { } race && !race.TryWin())
        {
            Measure(call, elapsed);
            End(call, CallEnd.Answered, Money.Zero, elapsed, answer.Body.Length, ProblemCode.Cancelled, clock.Now);
            return new(Overtaken, false, IsOther: true);
        }

        var charge = ChargeOf(call, elapsed, answer.CustomAttributes, answer.Body.Length);
        var outcome = new InferenceOutcome
        {
            Route = call.RouteAt(charge),
            Body = answer.Body,
            ContentType = answer.ContentType,
            CustomAttributes = answer.CustomAttributes,
            InvokedProductionVariant = answer.InvokedProductionVariant,
        };
        if (call.Plan.Key is { } key && await key.CompleteAsync(outcome, elapsed) is { } problem)
        {
            End(call, CallEnd.Answered, Money.Zero, elapsed, answer.Body.Length, problem.Code, clock.Now);
            return new(new() { Problem = problem, Route = call.RouteAt(Money.Zero) }, false);
        }

        Answered(call, elapsed, charge, answer.Body.Length);
        return new(outcome, false);
    }

    /// <summary>Opens a stream on the candidate; the answer settles when it is disposed.</summary>
    public async ValueTask<TryResult> StreamAsync(CallContext call, CancellationToken cancellationToken)
    {
        var running = new CancellationTokenSource(clock.ToWall(TimeSpan.FromMilliseconds(Math.Max(call.LongestMs, call.Candidate.MaxServiceMs))), clock.TimeProvider);
        var limit = new CancellationTokenSource(clock.ToWall(TimeSpan.FromMilliseconds(call.LongestMs)), clock.TimeProvider);
        var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        Task<IModelStream>? sent = null;
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            Begin(call);
            sent = runtime.InvokeStreamAsync(CallOf(call), running.Token);
            var stream = await sent.WaitAsync(linked.Token);
            return new(new() { Route = call.RouteAt(Money.Zero) }, false, new(this, call, stream, running, limit, linked));
        }
        catch (Exception exception)
        {
            linked.Dispose();
            limit.Dispose();
            call.IsLeft = sent is { IsCompleted: false } or { IsCompletedSuccessfully: true };
            var result = await FailedAsync(call, exception, cancellationToken.IsCancellationRequested);
            if (call.IsLeft)
            {
                _ = SeeOffStreamAsync(call, sent!, running);
            }
            else
            {
                running.Dispose();
            }

            return result;
        }
    }

    private async Task SeeOffAsync(CallContext call, Task<ModelAnswer> sent, CallLimits.Limit limit)
    {
        await Task.WhenAny(sent);
        limit.Dispose();
        Gone(call, sent.Exception is not null);
    }

    private async Task SeeOffStreamAsync(CallContext call, Task<IModelStream> sent, CancellationTokenSource running)
    {
        var failed = false;
        try
        {
            await using var stream = await sent;
            await foreach (var _ in stream.ReadPartsAsync(running.Token).WithCancellation(running.Token))
            {
                // Its end is what is waited for.
            }
        }
        catch (Exception exception)
        {
            failed = exception is not OperationCanceledException;
        }
        finally
        {
            running.Dispose();
            Gone(call, failed);
        }
    }

    private void Begin(CallContext call)
    {
        outcomes.Sent(call.Candidate.Lane);
        call.SentAt = clock.TimeProvider.GetTimestamp();
        var now = call.ReadyAt;
        if (call.Candidate.Lane == Lane.Serverless)
        {
            call.IsCold = !call.Account.Environments.Begin(now) && call.Account.InFlight > call.Candidate.InService;
        }
        else if (call.Routes.ResidentOnShared(call.Candidate) is { } model)
        {
            call.IsCold = !model.IsLoaded;
        }

        recorder.Record(call.Candidate.Endpoint.Name, LatencyPhase.QueueWait, 0, Math.Max(0, now - call.Plan.Route.Now));
    }

    /// <summary>Settles an answer and says what it cost.</summary>
    public RouteTaken Answered(CallContext call, string? attributes, long bytesOut)
    {
        var elapsed = Elapsed(call);
        var charge = ChargeOf(call, elapsed, attributes, bytesOut);
        Answered(call, elapsed, charge, bytesOut);
        return call.RouteAt(charge);
    }

    private static Money ChargeOf(CallContext call, double elapsed, string? attributes, long bytesOut) =>
        ModelUse.OfAnswer(call.Candidate.Tariff, call.Plan.Route, call.Money.Amount, elapsed, attributes, bytesOut);

    private void Answered(CallContext call, double elapsed, Money charge, long bytesOut)
    {
        Measure(call, elapsed);
        var now = clock.Now;
        outcomes.Answered(call.Candidate.Lane, call.Plan.Class, now - call.Plan.ArrivedAt, now <= call.Plan.Deadline);
        outcomes.Kept(call.Candidate.Lane, call.Decision, now <= call.Plan.Deadline);
        End(call, CallEnd.Answered, charge, elapsed, bytesOut, null, now);
    }

    /// <summary>Settles a call that failed, by the rule of <see cref="ModelUse"/>.</summary>
    /// <param name="call">The call.</param>
    /// <param name="exception">What it ended in.</param>
    /// <param name="callerGaveUp">Whether its cancellation is the caller's doing.</param>
    /// <param name="attributes">The model's custom attributes, as far as it sent them.</param>
    /// <param name="relayed">Bytes of output that the caller was given.</param>
    public async ValueTask<TryResult> FailedAsync(CallContext call, Exception exception, bool callerGaveUp, string? attributes = null, long relayed = 0)
    {
        var elapsed = Elapsed(call);
        var (problem, end, mayTryAnother, ran) = CallFailure.Of(exception, call.Candidate.Endpoint.Name, call.LongestMs, call.SentAt != 0, callerGaveUp, relayed > 0);
        var isOther = call.Race is { } race && !race.TryFail();
        var charge = ran && !isOther ? ModelUse.OfFailure(call.Candidate.Tariff, call.Plan.Route, call.Money.Amount, elapsed, attributes, relayed) : Money.Zero;
        if (problem.Code == ProblemCode.DeadlineExceeded)
        {
            if (!call.IsLeft)
            {
                // It takes at least as long as any call may: without this the statistics would only know the calls that were fast enough.
                Measure(call, elapsed);
            }

            if (!isOther)
            {
                outcomes.Kept(call.Candidate.Lane, call.Decision, false);
            }
        }

        // Under an idempotency key what is charged is final, and durable before it is told.
        if (charge > Money.Zero && call.Plan.Key is { } key
            && await key.CompleteAsync(new() { Problem = problem, Route = call.RouteAt(charge) }, elapsed) is { } lost)
        {
            (problem, charge) = (lost, Money.Zero);
        }

        End(call, end, charge, elapsed, relayed, problem.Code, clock.Now);
        return new(new() { Problem = problem, Route = call.RouteAt(charge) }, mayTryAnother, IsOther: isOther);
    }

    /// <summary>Gives back the money of a call that came to nothing before it was sent.</summary>
    public void Released(RequestPlan plan, Candidate candidate, MoneyReservation money, ProblemCode problem)
    {
        money.Settle(Money.Zero);
        Write(plan, candidate, money, Money.Zero, 0, problem, clock.Now);
    }

    private void End(CallContext call, CallEnd end, Money charge, double elapsed, long bytesOut, ProblemCode? problem, long now)
    {
        call.Money.Settle(charge);
        var ran = problem is null || charge > Money.Zero;
        var cost = ran ? ModelUse.OperatorCostOf(call.Routes.Table, call.Candidate, elapsed, call.Plan.Route.PayloadBytes + bytesOut) : Money.Zero;
        call.Account.Breaker.Ended(call.Pass, CallFailure.VerdictOf(end, problem), now);
        outcomes.Charged(call.Candidate.Lane, call.Plan.Class, charge, cost);
        Write(call.Plan, call.Candidate, call.Money, charge, ran ? elapsed : 0, problem, now);
        if (call.IsLeft)
        {
            call.Charge = charge;
            call.Plan.Place?.Keep();
            return;
        }

        Leave(call, end, elapsed, cost, charge, ran, now);

        // A call that ran into its limit may have done so while the model was loading.
        if (ran && (end == CallEnd.Answered || problem == ProblemCode.ModelError))
        {
            call.Routes.ResidentOnShared(call.Candidate)?.Used(now);
        }
    }

    /// <summary>The model has written its whole answer, though the caller may still be reading it.</summary>
    public void Written(CallContext call) => call.EndedAt = clock.TimeProvider.GetTimestamp();

    /// <summary>A call that nobody waited for any more has ended: its slot is free, and how long it took is known.</summary>
    /// <param name="call">The call.</param>
    /// <param name="failed">Whether it failed: then its time says nothing.</param>
    public void Gone(CallContext call, bool failed)
    {
        var elapsed = Elapsed(call);
        if (!failed)
        {
            // Not only the calls that were fast enough are measured, nor one that was cut off as if it had ended there.
            Measure(call, elapsed);
        }

        var cost = ModelUse.OperatorCostOf(call.Routes.Table, call.Candidate, elapsed, call.Plan.Route.PayloadBytes);
        Leave(call, failed ? CallEnd.Unanswered : CallEnd.SeenOff, elapsed, cost, call.Charge, ran: true, clock.Now);
        call.Plan.Place?.Leave();
    }

    private static void Leave(CallContext call, CallEnd end, double elapsed, Money cost, Money charge, bool ran, long now)
    {
        // A warm one that was not used is warm still.
        if (call.Candidate.Lane == Lane.Serverless && call.SentAt != 0 && (ran || !call.IsCold))
        {
            call.Account.Environments.End(now);
        }

        call.Account.Release(call.Slot, call.Plan.Class, end, (long)elapsed, call.ExpectedMs, cost, charge);
    }

    private void Write(RequestPlan plan, Candidate candidate, MoneyReservation money, Money charge, double serviceMs, ProblemCode? problem, long now)
    {
        if (plan.Key is not null)
        {
            // Under an idempotency key the reservation is the key's, and so is its record.
            return;
        }

        audit.Append(new()
        {
            Kind = charge > Money.Zero ? AuditKind.Settle : AuditKind.Release,
            Tenant = plan.Request.Tenant,
            Request = plan.HedgeOf ?? plan.DecisionId,
            Decision = plan.DecisionId,
            Model = plan.Request.Model,
            Class = plan.Class,
            Lane = candidate.Lane,
            Endpoint = candidate.Endpoint.Name,
            Cap = money.Amount,
            Charge = charge,
            ReservedAt = money.At,
            EndedAt = now,
            ArrivedAt = plan.ArrivedAt,
            Deadline = plan.Deadline,
            ServiceMs = serviceMs,
            InputTokens = plan.Route.InputTokens,
            Problem = problem,
        });
    }

    private void Measure(CallContext call, double elapsed)
    {
        if (call.IsCold)
        {
            recorder.Record(call.Candidate.Endpoint.Name, call.Candidate.Lane == Lane.Serverless ? LatencyPhase.ColdStart : LatencyPhase.ModelLoad, 0, Math.Max(0, elapsed - call.Candidate.Service(call.Decision.SizeClass).Mean));
        }
        else
        {
            recorder.Record(call.Candidate.Endpoint.Name, LatencyPhase.Service, call.Decision.SizeClass, elapsed);
        }
    }

    private double Elapsed(CallContext call) => call.SentAt == 0 ? 0 : clock.FromWall(call.EndedAt == 0 ? clock.TimeProvider.GetElapsedTime(call.SentAt) : clock.TimeProvider.GetElapsedTime(call.SentAt, call.EndedAt)).TotalMilliseconds;

    private static ModelCall CallOf(CallContext call)
    {
        var request = call.Plan.Request;
        return new()
        {
            EndpointName = call.Candidate.Endpoint.TargetName,
            Body = request.Body,
            ContentType = request.ContentType,
            Accept = request.Accept,
            CustomAttributes = request.CustomAttributes,
            InferenceId = request.InferenceId,
            TargetModel = call.Candidate.Endpoint.TargetModel ?? request.TargetModel,
            SessionId = request.SessionId,
        };
    }
}
