using OrleansInference.Budgets;
using OrleansInference.Jobs;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Policies;

/// <summary>
/// The budget of a tenant in the simulated world: the ledger that its grain keeps, a lease for each silo, and the weight that pacing gives its charges. Requests that are answered in line reserve from a lease,
/// jobs in the ledger, as in a cluster.
/// </summary>
internal sealed class RoutedBudget
{
    private const int MostHeld = 1_000;
    private const long GraceMs = 3_600_000;

    private readonly int _tenant;
    private readonly ScenarioBudget _budget;
    private readonly World _world;
    private readonly TenantLedger _ledger;
    private readonly LeasedMoney[] _leases;
    private readonly Pacing? _pacing;
    private readonly Dictionary<long, Open> _open = [];
    private readonly ChargesBySecond _charges = new();
    private readonly Dictionary<string, Held> _held = [];
    private Money _charged;
    private long _ids;
    private long _refused;
    private long _waited;

    /// <summary>A budget of which nothing has been spent.</summary>
    /// <param name="world">The world.</param>
    /// <param name="tenant">Index of the tenant.</param>
    /// <param name="budget">Its budget.</param>
    /// <param name="options">How many silos there are, and whether spending is paced.</param>
    public RoutedBudget(World world, int tenant, ScenarioBudget budget, RoutedOptions options)
    {
        (_world, _tenant, _budget) = (world, tenant, budget);
        _ledger = new(new TenantDefinition
        {
            Id = new(ScenarioCatalog.NameOf(world.Scenario.Tenants[tenant].Tenant)),
            Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = budget.WindowSeconds, Limit = budget.Limit }],
        });
        _leases = [.. Enumerable.Range(0, Math.Max(1, options.Silos)).Select(silo => new LeasedMoney(_ledger, $"silo-{silo}"))];
        _pacing = options.Paces ? new() : null;
    }

    /// <summary>Weight of its charges in route decisions.</summary>
    public double Pacing => _pacing?.Weight ?? 0;

    /// <summary>What it came to.</summary>
    public BudgetResult Result => new(_tenant, _budget.Limit, _budget.WindowSeconds, _charges.MostWithin(_budget.WindowSeconds), _charged, _refused, _waited);

    /// <summary>Reserves a charge cap for a request; null if it is reserved, else what the budget covers, which is less.</summary>
    /// <param name="request">The request.</param>
    /// <param name="cap">The charge cap.</param>
    /// <param name="isJob">Whether it becomes a job.</param>
    public Affordable? Reserve(in Request request, Money cap, bool isJob)
    {
        var now = _world.NowMs;
        StorePages();
        if (isJob)
        {
            var id = NextId();
            var reply = _ledger.Reserve(id, cap, World.ToMs(request.DeadlineUs) + GraceMs, now);
            if (reply.Granted)
            {
                _open.Add(request.Number, new(null, id, cap, now));
                return null;
            }

            return Covered(reply.Shortage ?? _ledger.Shortage(cap, now), cap, 0);
        }

        var leases = LeasesOf(request);
        if (leases.TryReserve(cap.Nanos, now) is { } lease)
        {
            _open.Add(request.Number, new(lease, "", cap, now));
            return null;
        }

        return Covered(_ledger.Shortage(cap, now), cap, leases.Available);
    }

    /// <summary>A request that had been reserved for has been served: it is charged for its use, at most what was reserved.</summary>
    /// <param name="request">The request.</param>
    /// <param name="endpoint">Where it was served.</param>
    /// <param name="serviceMs">Milliseconds of one slot.</param>
    public void Settle(in Request request, EndpointDefinition endpoint, double serviceMs)
    {
        if (_open.Remove(request.Number, out var open))
        {
            var use = new AnswerUse((long)request.OutputTokens * RoutedModel.BytesPerToken, request.InputTokens, request.OutputTokens);
            End(open, JobCharge.Of(endpoint, request.InputTokens, (long)request.InputTokens * RoutedModel.BytesPerToken, use, serviceMs, open.Cap));
        }
    }

    /// <summary>A request is not served: what was reserved for it, if anything, is there for others.</summary>
    public void Release(in Request request)
    {
        if (_open.Remove(request.Number, out var open))
        {
            End(open, Money.Zero);
        }
    }

    /// <summary>A request is turned away for want of money.</summary>
    public void Refused() => _refused++;

    /// <summary>Has a request wait for its money as a job; false if it would come too late, or too many wait.</summary>
    /// <param name="index">Index of the request.</param>
    /// <param name="candidate">Index of the candidate that its job is for.</param>
    /// <param name="sizeClass">Its size class.</param>
    /// <param name="cap">The charge cap.</param>
    /// <param name="serviceMs">How long its call is expected to take, in milliseconds.</param>
    public bool TryHold(int index, int candidate, int sizeClass, Money cap, double serviceMs)
    {
        ref readonly var request = ref _world.Requests[index];
        var (now, deadline, id) = (_world.NowMs, World.ToMs(request.DeadlineUs), NextId());
        StorePages();
        var job = new HeldJob(id, deadline, cap.Nanos, deadline + GraceMs, request.Class);
        if (!_ledger.TryHold(job, MostHeld, now))
        {
            return false;
        }

        var isLate = BudgetWait.Begin(_ledger.ExpectedMs(job, now) ?? 0, (long)serviceMs, deadline, 0, now) is null;
        if (isLate && _ledger.FindAdmission(id) is null)
        {
            _ledger.Settle(id, Money.Zero, now);
            return false;
        }

        _waited++;
        _held.Add(id, new(index, candidate, sizeClass, request.Number, cap, deadline));
        return true;
    }

    /// <summary>Lets time pass, as the tenant's grain and the silos do every few seconds.</summary>
    /// <param name="funded">Takes the requests whose jobs have got their money.</param>
    /// <param name="late">Takes those that waited for it in vain.</param>
    public void Poll(ICollection<Held> funded, ICollection<Held> late)
    {
        var now = _world.NowMs;
        StorePages();
        foreach (var leases in _leases)
        {
            leases.Poll(now);
        }

        _ledger.Tick(now);
        _ledger.ServeHeld(now);
        foreach (var job in _ledger.TakeFunded())
        {
            if (_held.Remove(job.Id, out var held))
            {
                _open.Add(held.Number, new(null, job.Id, held.Cap, job.AdmittedAt));
                funded.Add(held);
            }
        }

        foreach (var (id, held) in _held)
        {
            if (held.Deadline <= now)
            {
                _held.Remove(id);
                _ledger.Settle(id, Money.Zero, now);
                late.Add(held);
            }
        }

        _pacing?.Observe(_ledger.GetView(now), now);
    }

    private LeasedMoney LeasesOf(in Request request) => _leases[request.Number % _leases.Length];

    // A request that is decided anew is reserved for anew.
    private string NextId() => (++_ids).ToString(System.Globalization.CultureInfo.InvariantCulture);

    // Other silos' leases may take it meanwhile: what was just refused is not affordable.
    private static Affordable Covered(BudgetShortage shortage, Money refused, long leased) =>
        new(Money.Min(Money.Max(Money.Zero, shortage.Available) + Money.FromNanos(leased), Money.FromNanos(Math.Max(0, refused.Nanos - 1))), shortage);

    private void End(Open open, Money charge)
    {
        StorePages();
        _charged += charge;
        _charges.Add(open.AdmittedAt - World.ToMs(0), charge);
        if (open.Lease is { } lease)
        {
            lease.Settle(open.Cap.Nanos, charge.Nanos);
        }
        else
        {
            _ledger.Settle(open.Id, charge, _world.NowMs);
        }
    }

    // Nothing is stored here: what would be is taken at once.
    private void StorePages()
    {
        while (_ledger.MustStorePages && _ledger.TakePages().Count > 0)
        {
            _ledger.PagesStored();
        }
    }

    /// <summary>What is reserved for a request.</summary>
    /// <param name="Lease">The lease that it is from; null: it is reserved in the ledger.</param>
    /// <param name="Id">Its id there.</param>
    /// <param name="Cap">The charge cap.</param>
    /// <param name="AdmittedAt">When its charge counts, in milliseconds of the world.</param>
    private readonly record struct Open(EscrowLease? Lease, string Id, Money Cap, long AdmittedAt);

    /// <summary>What the budget covers, and what the ledger said.</summary>
    /// <param name="Cap">The largest charge cap that it covers.</param>
    /// <param name="Shortage">Why not more.</param>
    internal readonly record struct Affordable(Money Cap, BudgetShortage Shortage);

    /// <summary>A request whose job waits for its money.</summary>
    /// <param name="Index">Index of the request.</param>
    /// <param name="Candidate">Index of the candidate that its job is for.</param>
    /// <param name="SizeClass">Its size class.</param>
    /// <param name="Number">Number of the request.</param>
    /// <param name="Cap">The charge cap.</param>
    /// <param name="Deadline">Its deadline, in milliseconds of the world.</param>
    internal readonly record struct Held(int Index, int Candidate, int SizeClass, long Number, Money Cap, long Deadline);
}
