using Microsoft.Extensions.Logging;
using OrleansInference.Dispatch;
using OrleansInference.Hosting;
using OrleansInference.Jobs;
using OrleansInference.Leases;

namespace OrleansInference.Idempotency;

/// <summary>Begins requests that come with an idempotency key, or answers what is known of them.</summary>
internal sealed partial class KeyedRequests(
    IGrainFactory grains,
    AnswerStore answers,
    ILocalSiloDetails silo,
    RouterClock clock,
    ILogger<KeyedRequests> logger)
{
    private const long GraceMs = 60_000;
    private const int Tries = 3;

    // Short, so that a repetition notices soon when the silo that ran the request has died.
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan BetweenTries = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan ComeBackIn = TimeSpan.FromSeconds(1);

    /// <summary>The request to run, or its outcome. While another runs it this waits, at most until the request's own deadline.</summary>
    public async Task<(KeyedRequest? Begun, InferenceOutcome? Known)> BeginAsync(RequestPlan plan, CancellationToken cancellationToken)
    {
        var request = plan.Request;
        var address = new JobAddress(request.Tenant, JobAddress.IdOf(request.Tenant, request.IdempotencyKey!));
        var grain = grains.GetGrain<IIdempotencyGrain>(address.Key);
        var presented = new KeyRequest
        {
            Model = request.Model,
            BodyHash = KeyMachine.HashOf(request),
            Holder = silo.SiloAddress.ToParsableString(),
            Until = plan.Deadline + GraceMs,
        };
        var lost = new LostCalls(clock, plan.Deadline);
        while (true)
        {
            KeyReply reply;
            while (true)
            {
                try
                {
                    reply = await grain.Begin(presented);
                    break;
                }
                catch (Exception exception) when (lost.MayRepeat(exception))
                {
                    // If the lost call did begin it and only its answer was lost, this one waits as any repetition does.
                }

                await lost.PauseAsync(cancellationToken);
            }

            switch (reply.State)
            {
                case KeyState.Begun:
                    return (new(this, grain, address, reply, plan.Deadline), null);
                case KeyState.Conflict:
                    return (null, InferenceOutcome.Refused(ProblemCode.IdempotencyConflict, "The idempotency key was used with another request before; use a new key for a new request."));
                case KeyState.Ended:
                    return (null, await ReplayAsync(reply, cancellationToken));
                default:
                    break;
            }

            var left = plan.Deadline - clock.Now;
            if (left <= 0)
            {
                return (null, InferenceOutcome.Refused(ProblemCode.RequestInProgress, "A request with this idempotency key is under way; ask again for its outcome.", ComeBackIn));
            }

            try
            {
                await grain.Wait(reply.Claim, TimeSpan.FromMilliseconds(Math.Min(left, clock.FromWall(LongestWait).TotalMilliseconds))).WaitAsync(cancellationToken);
            }
            catch (Exception exception) when (LostCalls.IsOne(exception))
            {
                // The key is asked for again, which bears with its silo.
            }
        }
    }

    private async Task<InferenceOutcome> ReplayAsync(KeyReply reply, CancellationToken cancellationToken)
    {
        var outcome = reply.Outcome! with { IsReplay = true };
        if (reply.AnswerKey is not { } key)
        {
            return outcome;
        }

        return await answers.GetAsync(key, cancellationToken) is { } body
            ? outcome with { Body = body }
            : InferenceOutcome.Refused(ProblemCode.Internal, "The answer under this idempotency key is no longer stored.", route: outcome.Route);
    }

    /// <summary>States an outcome; answers the problem if it does not count.</summary>
    private async Task<InferenceProblem?> CompleteAsync(KeyedRequest keyed, InferenceOutcome outcome, double serviceMs)
    {
        var lost = new LostCalls(clock, keyed.Deadline);
        for (var tries = 1; ; tries++)
        {
            try
            {
                var answerKey = await answers.PutAsync(keyed.Address, keyed.Claim, outcome);
                var counts = await keyed.Grain.Complete(keyed.Claim, answerKey is null ? outcome : outcome with { Body = default }, answerKey, serviceMs);
                return counts ? null : RequestPlanner.Problem(ProblemCode.Unavailable, "The request took so long that a repetition under its idempotency key took over; ask again for the outcome.", ComeBackIn);
            }
            catch (Exception exception) when (lost.MayRepeat(exception))
            {
                tries--;
                await lost.PauseAsync(CancellationToken.None);
            }
            catch (Exception exception) when (tries < Tries)
            {
                // Stating it is idempotent.
                LogNotStated(exception, keyed.Address.Key, tries);
                await Task.Delay(BetweenTries, clock.TimeProvider, CancellationToken.None);
            }
            catch (Exception exception)
            {
                LogNotStated(exception, keyed.Address.Key, tries);
                return RequestPlanner.Problem(ProblemCode.Unavailable, "Whether the outcome is kept under the idempotency key, and so counts, is not known; ask again under the same key.", ComeBackIn);
            }
        }
    }

    private async Task AbandonAsync(KeyedRequest keyed, bool forget, ProblemCode? code)
    {
        if (!await TryAbandonAsync(keyed, forget, code, tries: 1))
        {
            // The request's outcome is known and does not wait for it; but unless it is done, repetitions wait until the claim has run out.
            _ = GoOnAbandoningAsync(keyed, forget, code);
        }
    }

    private async Task GoOnAbandoningAsync(KeyedRequest keyed, bool forget, ProblemCode? code)
    {
        var began = clock.TimeProvider.GetTimestamp();
        for (var tries = 2; clock.TimeProvider.GetElapsedTime(began) < LostCalls.Longest; tries++)
        {
            await Task.Delay(BetweenTries * tries, clock.TimeProvider, CancellationToken.None);
            if (await TryAbandonAsync(keyed, forget, code, tries))
            {
                return;
            }
        }

        LogNotAbandoned(keyed.Address.Key);
    }

    // Giving it up is idempotent.
    private async Task<bool> TryAbandonAsync(KeyedRequest keyed, bool forget, ProblemCode? code, int tries)
    {
        try
        {
            await keyed.Grain.Abandon(keyed.Claim, forget, code);
            return true;
        }
        catch (Exception exception)
        {
            LogNotYetAbandoned(exception, keyed.Address.Key, tries);
            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Idempotency key {Key}: try {Try} to state an outcome failed.")]
    private partial void LogNotStated(Exception exception, string key, int @try);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Idempotency key {Key}: try {Try} to give it up failed.")]
    private partial void LogNotYetAbandoned(Exception exception, string key, int @try);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Idempotency key {Key} could not be given up; it is free when its claim has run out.")]
    private partial void LogNotAbandoned(string key);

    /// <summary>A request that this silo runs under its key: its money comes from the ledger, under the key's protection.</summary>
    internal sealed class KeyedRequest(KeyedRequests rooms, IIdempotencyGrain grain, JobAddress address, KeyReply reply, long deadline)
    {
        // As for jobs: long enough for a settlement that was interrupted.
        private const long ReservationGraceMs = 3_600_000;

        public JobAddress Address => address;

        public string Claim => reply.Claim;

        /// <summary>When its outcome is of no use any more, Unix ms.</summary>
        public long Deadline => deadline;

        public IIdempotencyGrain Grain => grain;

        /// <summary>Whether it must go on as a job, as it may be one already.</summary>
        public bool MustBeJob => reply.MustBeJob;

        /// <summary>Whether a job may have been accepted under it.</summary>
        public bool IsBound { get; private set; } = reply.MustBeJob;

        private bool HasEnded { get; set; }

        /// <summary>Reserves the charge cap of the call that is made next.</summary>
        public async Task<MoneyReply> ReserveAsync(RequestPlan plan, RouteTaken route)
        {
            var cap = route.ChargeCap;
            var call = new KeyedCall { Route = route, ArrivedAt = plan.ArrivedAt, Deadline = plan.Deadline, InputTokens = plan.Route.InputTokens };
            var granted = await grain.Reserve(Claim, call, plan.Deadline + ReservationGraceMs);
            return granted.Granted
                ? new(new(null, cap, granted.AdmittedAt, true), 0)
                : await plan.Tenant.LearnShortAsync(cap, granted.RetryAfterMs, granted.Shortage);
        }

        /// <summary>The request is about to become a job.</summary>
        public async Task BindAsync()
        {
            await grain.Bind(Claim);
            IsBound = true;
        }

        /// <summary>States the outcome before anybody sees it. Null, or the problem that it does not count and is not charged.</summary>
        public async Task<InferenceProblem?> CompleteAsync(InferenceOutcome outcome, double serviceMs)
        {
            var problem = await rooms.CompleteAsync(this, outcome, serviceMs);
            HasEnded |= problem is null;
            return problem;
        }

        /// <summary>Gives the key up unless an outcome was stated.</summary>
        /// <param name="code">Why there is none; null if that is not known.</param>
        public async Task AbandonAsync(ProblemCode? code)
        {
            if (HasEnded)
            {
                return;
            }

            // A job may have been accepted although that could not be told: then only the job can answer.
            var forget = !IsBound || code is ProblemCode.BudgetExhausted or ProblemCode.InvalidRequest or ProblemCode.InputNotFound or ProblemCode.PayloadTooLarge or ProblemCode.IdempotencyConflict;
            await rooms.AbandonAsync(this, forget, code);
        }
    }
}
