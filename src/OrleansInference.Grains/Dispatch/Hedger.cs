using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OrleansInference.Hosting;
using OrleansInference.Routing;
using OrleansInference.Telemetry;

namespace OrleansInference.Dispatch;

/// <summary>
/// Makes a second try of a real-time call beside the first, on another endpoint, when the first has become unlikely to make its deadline
/// (<see cref="Hedging"/>). Only with money that this silo has and a slot that is free, and for a bounded share of the calls. The first answer is the
/// request's and is charged; the other call keeps its slot until it has ended too, since a model does not stop for a caller who has left.
/// </summary>
internal sealed partial class Hedger(RequestPlanner planner, ModelCaller caller, RouterClock clock, IOptions<OrleansInferenceOptions> options, ILogger<Hedger> logger)
{
    private const long OneTry = 1_000_000;
    private const long MostSaved = 10 * OneTry;
    private const int RealtimeOnly = 1 << (int)Lane.Realtime;

    private readonly double _quantile = options.Value.HedgeQuantile;
    private readonly long _earned = (long)(options.Value.MaxHedgeShare * OneTry);

    // Every call earns a share of a second try, and a few can be saved up for a bad moment.
    private long _allowance = MostSaved;

    /// <summary>Whether the call may be given a second try. Never under an idempotency key: its reservation is one candidate's.</summary>
    public bool MayHedge(CallContext call) =>
        _quantile > 0 && call.Candidate.Lane == Lane.Realtime && call.Plan is { Key: null, Route.Streaming: false, HedgeOf: null };

    /// <summary>Calls the candidate, and another beside it if that becomes worth it.</summary>
    public async ValueTask<TryResult> CallAsync(CallContext first, CancellationToken cancellationToken)
    {
        if (Volatile.Read(ref _allowance) < MostSaved)
        {
            Interlocked.Add(ref _allowance, _earned);
        }

        var plan = first.Plan;
        var race = first.Race = new();
        var call = caller.CallAsync(first, cancellationToken).AsTask();
        var delay = Hedging.DelayMs(first.Candidate.Service(first.Decision.SizeClass), plan.Deadline - clock.Now, _quantile, plan.Table.Snapshot.TargetProbability);
        if (call.IsCompleted || delay is not { } wait || await EndsWithinAsync(call, wait))
        {
            return await call;
        }

        // The endpoint's grain may have to be asked for a slot: an answer that comes meanwhile does not wait for that.
        var beginning = BeginAsync(first, race).AsTask();
        if (await Task.WhenAny(call, beginning) == call && !beginning.IsCompleted)
        {
            _ = ObserveAsync(beginning);
            return await call;
        }

        CallContext? second;
        try
        {
            second = await beginning;
        }
        catch (Exception exception)
        {
            LogNotBegun(exception, first.Candidate.Endpoint.Name);
            return await call;
        }

        if (second is null)
        {
            return await call;
        }

        var hedge = caller.CallAsync(second, cancellationToken).AsTask();
        var one = await Task.WhenAny(call, hedge);
        var other = one == call ? hedge : call;
        var result = await one;
        if (result.IsOther)
        {
            // It failed while the other may still be answered.
            (result, other) = (await other, one);
        }

        RouterTelemetry.Hedged(plan.Class, result.Outcome.Route?.DecisionId == second.Plan.DecisionId && result.Outcome.Problem is null);
        _ = ObserveAsync(other);
        plan.Route = plan.Route with { Excluded = plan.Route.Excluded | (1UL << second.Candidate.Index) };
        return result with { Tries = 2 };
    }

    private async Task<bool> EndsWithinAsync(Task call, double milliseconds)
    {
        using var ended = new CancellationTokenSource();
        var timer = Task.Delay(clock.ToWall(TimeSpan.FromMilliseconds(milliseconds)), clock.TimeProvider, ended.Token);
        var isEnded = await Task.WhenAny(call, timer) == call;
        await ended.CancelAsync();
        return isEnded;
    }

    /// <summary>The second call, ready to be sent; null if there is no other endpoint in time, no free slot or no money at hand.</summary>
    private async ValueTask<CallContext?> BeginAsync(CallContext first, HedgeRace race)
    {
        var plan = first.Plan;
        if (plan.Route.Attempt + 1 >= options.Value.MaxAttempts || !TryTakeAllowance())
        {
            return null;
        }

        var second = await PrepareAsync(plan.Hedge(plan.Route with
        {
            LaneMask = RealtimeOnly,
            CanDefer = false,
            InlineWaitMs = 0,
            Excluded = plan.Route.Excluded | (1UL << first.Candidate.Index),
            Attempt = plan.Route.Attempt + 1,
        }));
        if (second is not null && race.TryJoin())
        {
            second.Race = race;
            return second;
        }

        Interlocked.Add(ref _allowance, OneTry);
        if (second is not null)
        {
            second.Account.Return(second.Slot, second.Plan.Class);
            second.Account.Breaker.Ended(second.Pass, Capacity.CallVerdict.None, clock.Now);
            caller.Released(second.Plan, second.Candidate, second.Money, ProblemCode.Cancelled);
        }

        return null;
    }

    private async ValueTask<CallContext?> PrepareAsync(RequestPlan plan)
    {
        var routed = planner.DecideHedge(plan);
        if (routed.Candidate is not { } candidate
            || routed.Decision.ProbabilityInTime < plan.Table.Snapshot.TargetProbability
            || plan.Tenant.TryReserveHere(routed.ChargeCap) is not { } money)
        {
            return null;
        }

        // The headroom is for those who have no slot yet.
        var account = plan.Routes.AccountOf(candidate);
        CallContext? call = null;
        try
        {
            if (await account.TryAcquireAsync(plan.Class, plan.Deadline - clock.Now - routed.ServiceMs, routed.ServiceMs) is { } slot)
            {
                if (account.Breaker.TryEnter(clock.Now) is { } pass)
                {
                    call = new(plan, routed.Decision, candidate, money, slot, pass, clock.Now);
                }
                else
                {
                    account.Return(slot, plan.Class);
                }
            }
        }
        catch (Exception exception)
        {
            // The endpoint's grain may be moving, or its storage may fail: the first try goes on alone.
            LogNotBegun(exception, candidate.Endpoint.Name);
        }
        finally
        {
            if (call is null)
            {
                money.Settle(Money.Zero);
            }
        }

        return call;
    }

    private bool TryTakeAllowance()
    {
        if (Interlocked.Add(ref _allowance, -OneTry) >= 0)
        {
            return true;
        }

        Interlocked.Add(ref _allowance, OneTry);
        return false;
    }

    private async Task ObserveAsync(Task call)
    {
        try
        {
            await call;
        }
        catch (Exception exception)
        {
            LogFault(exception);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A second try beside endpoint {Endpoint}, or on it, could not begin.")]
    private partial void LogNotBegun(Exception exception, EndpointName endpoint);

    [LoggerMessage(Level = LogLevel.Error, Message = "A call whose request had been answered by another ended in an error of the router.")]
    private partial void LogFault(Exception exception);
}
