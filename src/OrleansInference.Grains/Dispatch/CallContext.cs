using OrleansInference.Capacity;
using OrleansInference.Leases;
using OrleansInference.Routing;

namespace OrleansInference.Dispatch;

/// <summary>Everything one try holds.</summary>
/// <param name="plan">The request.</param>
/// <param name="decision">What was decided.</param>
/// <param name="candidate">Where it goes.</param>
/// <param name="money">Its reservation.</param>
/// <param name="slot">Its slot.</param>
/// <param name="pass">That the endpoint's breaker let it through.</param>
/// <param name="now">The moment at which all of it was in hand.</param>
internal sealed class CallContext(RequestPlan plan, in Decision decision, Candidate candidate, MoneyReservation money, HeldLease slot, CircuitPass pass, long now)
{
    public RequestPlan Plan { get; } = plan;

    public Decision Decision { get; } = decision;

    public Candidate Candidate { get; } = candidate;

    public MoneyReservation Money { get; } = money;

    public HeldLease Slot { get; } = slot;

    /// <summary>That the endpoint's breaker let it through.</summary>
    public CircuitPass Pass { get; } = pass;

    /// <summary>The longest the call may run, in router milliseconds, at least 1: with it the charge cap was computed.</summary>
    public long LongestMs { get; } = Math.Max(1, Math.Min(decision.LongestCallMs, plan.Deadline - now));

    /// <summary>Unix ms at which all of it was in hand.</summary>
    public long ReadyAt { get; } = now;

    /// <summary>The routes that the candidate is one of: the plan may have newer ones by now.</summary>
    public ModelRoutes Routes { get; } = plan.Routes;

    /// <summary>This silo's account of the candidate's endpoint.</summary>
    public EndpointAccount Account => Routes.AccountOf(Candidate);

    /// <summary>The route, at what the call is charged.</summary>
    public RouteTaken RouteAt(Money charge) => Plan.RouteOn(Candidate, Decision, Money.Amount, charge);

    /// <summary>Set if another call for the same request may run beside it.</summary>
    public HedgeRace? Race { get; set; }

    /// <summary>When it was sent, as a timestamp; 0 before.</summary>
    public long SentAt { get; set; }

    /// <summary>When the model had written its whole answer, as a timestamp; 0: now.</summary>
    public long EndedAt { get; set; }

    public bool IsCold { get; set; }

    /// <summary>That nobody waits for it any more while it still runs: it has its slot until it ends.</summary>
    public bool IsLeft { get; set; }

    /// <summary>What a call that was left was charged.</summary>
    public Money Charge { get; set; }

    /// <summary>How long it was expected to take, in milliseconds.</summary>
    public double ExpectedMs => Candidate.Service(Decision.SizeClass).Mean + (!IsCold ? 0 : Candidate.Lane == Lane.Serverless ? Candidate.ColdStart.Mean : Candidate.ModelLoad.Mean);
}
