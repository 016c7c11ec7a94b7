using System.Runtime.CompilerServices;
using OrleansInference.Hosting;
using OrleansInference.Leases;
using OrleansInference.Routing;

namespace OrleansInference.Dispatch;

/// <summary>The right to have one request in flight on an endpoint: a slot, waited for if need be, in time, and past the circuit breaker.</summary>
internal sealed class Permits(ModelCaller caller, RouteOutcomes outcomes, RouterClock clock)
{
    private const long MostRetryMs = 3_600_000;
    private static readonly TimeSpan ComeBack = TimeSpan.FromSeconds(1);

    /// <summary>A slot and the breaker's leave, for a call that can be sent at once; else the refusal, and the money is given back.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<(CallContext? Call, TryResult Refusal)> AcquireAsync(RequestPlan plan, Routed routed, Candidate candidate, MoneyReservation reservation, CancellationToken cancellationToken)
    {
        var account = plan.Routes.AccountOf(candidate);
        SlotResult permit = default;
        try
        {
            // Waiting so long that the deadline cannot be met helps nobody, and keeps a slot from who can still be in time.
            var asked = clock.Now;
            var latest = candidate.LastBegin(routed.Decision.SizeClass, plan.Deadline, asked);
            permit = await account.AcquireAsync(new(plan.Class, plan.Request.Tenant, plan.Tenant.Definition?.Weight ?? 1, latest, routed.ServiceMs, plan.Deadline - asked - routed.ServiceMs), cancellationToken);
        }
        finally
        {
            if (permit.Slot is null)
            {
                caller.Released(plan, candidate, reservation, cancellationToken.IsCancellationRequested ? ProblemCode.Cancelled : ProblemCode.Throttled);
            }
        }

        if (permit.Slot is not { } slot)
        {
            outcomes.Kept(candidate.Lane, routed.Decision, false);
            return (null, new(InferenceOutcome.Refused(ProblemCode.Throttled, WhyNoSlot(plan, candidate, permit.Refusal), RetryAfter(permit), plan.RouteOn(candidate, routed.Decision, reservation.Amount, Money.Zero)), true));
        }

        var now = clock.Now;
        if (now >= plan.Deadline || cancellationToken.IsCancellationRequested)
        {
            // What could only be cut off at once is not sent.
            var code = now >= plan.Deadline ? ProblemCode.DeadlineUnreachable : ProblemCode.Cancelled;
            account.Return(slot, plan.Class);
            caller.Released(plan, candidate, reservation, code);
            return (null, new(InferenceOutcome.Refused(code, code == ProblemCode.Cancelled ? "The caller gave up." : "The deadline passed before the request could be sent; nothing was charged. Come back, or allow a later deadline.", code == ProblemCode.Cancelled ? null : ComeBack), false));
        }

        // Asked last: the endpoint may have begun to fail while this waited, and a probe must not be held up by a wait.
        if (account.Breaker.TryEnter(now) is not { } pass)
        {
            account.Return(slot, plan.Class);
            caller.Released(plan, candidate, reservation, ProblemCode.UpstreamUnavailable);
            return (null, new(InferenceOutcome.Refused(ProblemCode.UpstreamUnavailable, $"Endpoint {candidate.Endpoint.Name} has failed and is being tried with few requests; come back in a moment.", ComeBack, plan.RouteOn(candidate, routed.Decision, reservation.Amount, Money.Zero)), true));
        }

        return (new(plan, routed.Decision, candidate, reservation, slot, pass, now), default);
    }

    private static string WhyNoSlot(RequestPlan plan, Candidate candidate, SlotVerdict refusal) => refusal switch
    {
        SlotVerdict.TooLate => $"Endpoint {candidate.Endpoint.Name} is busy: behind those whose turn comes first, a request of class {plan.Class} would not get a slot in time; come back later, or allow a later deadline.",
        SlotVerdict.Gone => $"Endpoint {candidate.Endpoint.Name} was removed while the request waited for it; come back.",
        SlotVerdict.QueueFull => $"Too many requests of class {plan.Class} wait for endpoint {candidate.Endpoint.Name}; come back later.",
        SlotVerdict.TenantFull => $"Too many requests of tenant '{plan.Request.Tenant}' wait for endpoint {candidate.Endpoint.Name}; come back when some of them have been served.",
        _ => $"No slot of endpoint {candidate.Endpoint.Name} came free in time; come back in a moment.",
    };

    private static TimeSpan RetryAfter(in SlotResult permit) =>
        permit.RetryAfterMs > 0 ? TimeSpan.FromMilliseconds(Math.Min(permit.RetryAfterMs, MostRetryMs)) : ComeBack;
}
