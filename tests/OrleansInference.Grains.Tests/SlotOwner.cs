using System.Net;
using OrleansInference.Budgets;
using OrleansInference.Capacity;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

/// <summary>An endpoint's grain reduced to the ledger of its slots, behind a network that may lose messages.</summary>
internal sealed class SlotOwner : IEndpointGrain
{
    private readonly Dictionary<string, ISlotObserver> _observers = [];
    private readonly RouterClock _clock;
    private readonly int _slots;
    private readonly bool _keepsHeadroom;
    private readonly Random? _faults;
    private SlotLedger _ledger;
    private long _name;

    public SlotOwner(int slots, RouterClock clock, bool keepsHeadroom = false, int? faults = null)
    {
        (_slots, _clock, _keepsHeadroom, _faults) = (slots, clock, keepsHeadroom, faults is { } seed ? new(seed) : null);
        _ledger = Open(null);
    }

    public int Headroom => With(ledger => ledger.Headroom);

    public int Waiting => With(ledger => ledger.Waiting.Sum());

    public IReadOnlyDictionary<string, long> Leases => With(ledger => ledger.Escrow.Leases.GroupBy(lease => lease.Holder).ToDictionary(group => group.Key, group => group.Sum(lease => lease.Outstanding)));

    /// <summary>Messages that were lost.</summary>
    public int Lost { get; private set; }

    /// <summary>Another activation: what was not stored is forgotten. How many wait as it knows, before anybody has told it.</summary>
    public int Restart()
    {
        lock (_observers)
        {
            _ledger = Open(_ledger.Escrow.ToState());
            _observers.Clear();
            return _ledger.Waiting.Sum();
        }
    }

    public async Task<LeaseGrant?> Refill(LeaseReport report, EndpointDemand demand)
    {
        await Task.Yield();
        var fate = _faults is null ? 9 : Draw(40);
        if (fate == 0)
        {
            Lost++;
            throw new TimeoutException("The report was lost.");
        }

        LeaseGrant grant;
        List<(ISlotObserver, LeaseGrant)> notices = [];
        lock (_observers)
        {
            if (demand.Queue?.Observer is { } observer)
            {
                _observers[report.Holder] = observer;
            }

            grant = _ledger.Report(report, demand, _clock.Now);
            foreach (var (holder, notice) in _ledger.TakeNotices(_clock.Now))
            {
                if (_observers.TryGetValue(holder, out var other))
                {
                    notices.Add((other, notice));
                }
            }
        }

        foreach (var (other, notice) in notices)
        {
            if (_faults is not null && Draw(10) == 0)
            {
                Lost++;
                continue;
            }

            _ = Task.Run(() => other.OnGrant(new("e"), notice));
        }

        if (fate == 1)
        {
            Lost++;
            throw new TimeoutException("The answer was lost.");
        }

        return grant;
    }

    public Task Configure(EndpointConfiguration configuration) => Task.CompletedTask;

    public Task Book(string bookingId, Money cost, Money charged, int predictions) => Task.CompletedTask;

    public Task<EndpointView?> GetView() => Task.FromResult<EndpointView?>(null);

    public Task<bool> Defer(DeferredJob job) => Task.FromResult(false);

    public Task DeferredEnded(string jobKey, bool hasFailed) => Task.CompletedTask;

    private SlotLedger Open(EscrowState? leases)
    {
        // No test is of leases that end by themselves, and a machine that stands still would end short ones.
        var ledger = new SlotLedger(EscrowOptions.Slots(60_000) with { LeaseMs = 3_600_000 }, _name += 1_000, leases);
        ledger.SetCapacity(_slots, _keepsHeadroom, priorServiceMs: 1);
        return ledger;
    }

    private T With<T>(Func<SlotLedger, T> ask)
    {
        lock (_observers)
        {
            return ask(_ledger);
        }
    }

    private int Draw(int below)
    {
        lock (_faults!)
        {
            return _faults.Next(below);
        }
    }
}

/// <summary>One of the silos.</summary>
internal sealed class LoneSilo(int number = 1) : ILocalSiloDetails
{
    public string Name => "s";

    public string ClusterId => "c";

    public string DnsHostName => "localhost";

    public SiloAddress SiloAddress { get; } = SiloAddress.New(IPAddress.Loopback, number, 1);

    public SiloAddress GatewayAddress => SiloAddress;
}

/// <summary>Hands what is announced to a silo's account of the endpoint.</summary>
internal sealed class SlotListener : ISlotObserver
{
    public Leases.EndpointAccount? Account { get; set; }

    public Task OnGrant(EndpointName endpoint, LeaseGrant grant)
    {
        Account?.OnGrant(grant);
        return Task.CompletedTask;
    }

    /// <summary>A silo's account of the endpoint.</summary>
    public static Leases.EndpointAccount Open(IEndpointGrain grain, RouterClock clock, int silo = 1)
    {
        var listener = new SlotListener();
        return listener.Account = new(new("e"), grain, new(new LoneSilo(silo)), clock, null, () => listener);
    }
}
