using System.Collections.Concurrent;
using OrleansInference.Audit;
using OrleansInference.Leases;
using OrleansInference.Oracles;

namespace OrleansInference.Tests.Faults;

/// <summary>
/// One tenant, asked for about twice what its budget admits, on every silo at a time, by requests and by jobs that
/// reserve from the ledger. Keeps the audit log of what was charged.
/// </summary>
internal sealed class BudgetRun
{
    private const int Requests = 160;
    private static readonly TimeSpan Length = TimeSpan.FromSeconds(2.5);

    private readonly FaultCluster _cluster;
    private readonly Random _random;
    private readonly ConcurrentQueue<AuditRecord> _log = new();
    private readonly ConcurrentQueue<(TenantId, string)> _refused = new();
    private readonly TenantDefinition _definition;
    private readonly long _meanCap;
    private readonly bool _isUniform;
    private readonly bool _hasJobs;
    private int _unavailable;

    public BudgetRun(FaultCluster cluster, int seed, bool faulty)
    {
        _cluster = cluster;
        Seed = seed;
        _random = new(seed);
        _meanCap = 1_000_000L * _random.Next(1, 50);
        _isUniform = !faulty || _random.Next(2) == 0;
        _hasJobs = faulty && _random.Next(2) == 0;
        var limit = Money.FromNanos(_meanCap * Requests / 2);
        var day = new BudgetWindowDefinition { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = limit };

        // The short window rolls on while the load lasts: 60 s are three.
        var minute = new BudgetWindowDefinition { Kind = BudgetWindowKind.Rolling, Seconds = 60, Limit = Money.FromNanos(_meanCap * Requests / 3) };
        _definition = new()
        {
            Id = new($"{(faulty ? "faulty" : "calm")}-{seed}"),
            Budgets = !faulty ? [day] : _random.Next(3) switch { 0 => [minute], 1 => [day, minute], _ => [day] },
        };
        if (faulty)
        {
            cluster.Storage.Treat(Name, new(seed, _random.NextDouble() * 0.15, _random.NextDouble() * 0.3, TimeSpan.FromMilliseconds(_random.Next(1, 400))));
        }
    }

    public int Seed { get; }

    public string Name => _definition.Id.Value;

    public IReadOnlyCollection<AuditRecord> Log => _log;

    public int Unavailable => Volatile.Read(ref _unavailable);

    public Money Charged => Money.FromNanos(_log.Sum(static record => record.Charge.Nanos));

    public Money Limit => _definition.Budgets[0].Limit;

    public async Task RunAsync()
    {
        await PersistentlyAsync(() => _cluster.Grains.GetGrain<ITenantGrain>(Name).Configure(_definition));

        // Drawn before the threads begin, so that the load follows from the seed.
        var load = Enumerable.Range(0, Requests)
            .Select(i => (Id: $"{Name}/{i}", At: Length * _random.NextDouble(), Silo: _random.Next(), Cap: Cap(), Share: _random.NextDouble(), Takes: _random.Next(5, 300), IsJob: _hasJobs && _random.Next(5) == 0))
            .OrderBy(static request => request.At)
            .Select(async request =>
            {
                await Task.Delay(request.At);
                var charge = _isUniform ? request.Cap : Money.FromNanos((long)(request.Cap.Nanos * request.Share));
                if (request.IsJob)
                {
                    await JobAsync(request.Id, request.Cap, charge, request.Takes);
                }
                else
                {
                    await RequestAsync(request.Id, request.Silo, request.Cap, charge, request.Takes);
                }
            });
        await Task.WhenAll(load.ToArray());
    }

    /// <summary>Asks on, silo by silo, until what is left is refused often in a row: a pause of the machine that ended leases may have had others refused before.</summary>
    public async Task SpendTheRestAsync()
    {
        const int often = 10;
        for (int i = 0, refused = 0; refused < often; i++)
        {
            if (await RequestAsync($"{Name}/rest-{i}", silo: i, Money.FromNanos(_meanCap), Money.FromNanos(_meanCap), milliseconds: 0))
            {
                refused = 0;
            }
            else
            {
                refused++;
                await Task.Delay(_cluster.Clock.ToWall(TimeSpan.FromSeconds(1)));
            }
        }
    }

    /// <summary>What the audit log shows to be broken.</summary>
    public IReadOnlyList<Breach> Examine() => [.. OverspendOracle.Examine(_log, _definition), .. ChargeOracle.Examine(_log, _refused)];

    /// <summary>What is wrong with the ledger when nobody holds any of its money any more; null if nothing is.</summary>
    public async Task<string?> LedgerProblemAsync()
    {
        _cluster.Storage.Treat(Name, null);
        var budget = await RouterCluster.EventuallyAsync(
            () => PersistentlyAsync(() => _cluster.Grains.GetGrain<ITenantGrain>(Name).GetBudget()),
            static budget => budget.Leases.IsEmpty && budget.Reserved == Money.Zero);
        var charged = Charged;
        return budget.SettledTotal > charged ? $"seed {Seed}: the ledger has settled {budget.SettledTotal}, but only {charged} were charged"
            : budget.SettledTotal + budget.UnreportedTotal < charged ? $"seed {Seed}: {charged} were charged, but the ledger knows of {budget.SettledTotal} and {budget.UnreportedTotal} unreported"
            : null;
    }

    private Money Cap() => Money.FromNanos(_isUniform ? _meanCap : _meanCap / 2 + _random.NextInt64(_meanCap));

    private async Task<bool> RequestAsync(string id, int silo, Money cap, Money charge, int milliseconds)
    {
        var accounts = _cluster.Accounts;
        MoneyReservation? reservation;
        try
        {
            reservation = await accounts[silo % accounts.Count].GetAsync(_definition.Id) is { } account ? (await account.ReserveAsync(cap, long.MaxValue, CancellationToken.None)).Reservation : null;
        }
        catch (Exception)
        {
            // The caller is told to come back: it was admitted nowhere, so it must not be charged.
            Interlocked.Increment(ref _unavailable);
            reservation = null;
        }

        if (reservation is not { } admitted)
        {
            _refused.Enqueue((_definition.Id, id));
            return false;
        }

        await Task.Delay(milliseconds);
        admitted.Settle(charge);
        Record(id, cap, charge, admitted.At);
        return true;
    }

    // A job tells its reservation and its end again until it has been answered.
    private async Task JobAsync(string id, Money cap, Money charge, int milliseconds)
    {
        var expires = _cluster.Clock.Now + 600_000;
        var reply = await PersistentlyAsync(() => _cluster.Grains.GetGrain<ITenantGrain>(Name).Reserve(id, cap, expires));
        if (!reply.Granted)
        {
            _refused.Enqueue((_definition.Id, id));
            return;
        }

        await Task.Delay(milliseconds);
        await PersistentlyAsync(() => _cluster.Grains.GetGrain<ITenantGrain>(Name).Settle(id, charge));
        Record(id, cap, charge, reply.AdmittedAt);
    }

    private void Record(string id, Money cap, Money charge, long at) => _log.Enqueue(new()
    {
        Kind = charge > Money.Zero ? AuditKind.Settle : AuditKind.Release,
        Tenant = _definition.Id,
        Request = id,
        Decision = id,
        Model = SampleCatalog.Model,
        Class = TrafficClass.High,
        Lane = Lane.Realtime,
        Endpoint = new("chat-rt"),
        Cap = cap,
        Charge = charge,
        ReservedAt = at,
        EndedAt = _cluster.Clock.Now,
    });

    private static Task<bool> PersistentlyAsync(Func<Task> call) => PersistentlyAsync(async () =>
    {
        await call();
        return true;
    });

    private static async Task<T> PersistentlyAsync<T>(Func<Task<T>> call)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await call();
            }
            catch (Exception) when (attempt < 100)
            {
                await Task.Delay(50);
            }
        }
    }
}
