using System.Collections.Immutable;
using System.Text.Json;
using OrleansInference.Budgets;

namespace OrleansInference.Tests.Budgets;

/// <summary>What can happen in a history.</summary>
internal enum HistoryEvent
{
    Grant,
    Refusal,
    Spend,
    Settle,
    Return,
    Crash,
    Unreported,
    Fence,
    WindowRoll,
    LimitChange,
    LostMessage,
    DuplicateMessage,
    LateMessage,
    FailedWrite,
    WriteWithoutAnswer,
    OwnerRestart,
    DirectReservation,
    DirectSettlement,
    ChargeAboveCap,
}

/// <summary>
/// A tenant's ledger, silos that spend from it, the network between them and the storage under it, in virtual time from
/// a seed: everything that may go wrong does.
/// </summary>
internal sealed class BudgetWorld
{
    public const long SkewMs = 2_000;

    private static readonly string[] Zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo"];

    private readonly Random _random;
    private readonly List<Silo> _silos = [];
    private readonly List<Call> _calls = [];
    private readonly List<(string Id, Admission Admission, long Charge)> _jobs = [];
    private readonly PriorityQueue<Action, (long At, int Order)> _network = new();
    private readonly List<Admission> _admissions = [];
    private readonly List<Regime> _regimes = [];
    private readonly PageStore _pages;
    private readonly bool _changes;
    private readonly bool _faults;
    private readonly int _jumpiness;
    private TenantDefinition _definition;
    private TenantLedger _ledger;
    private TenantLedgerState _stored;
    private long _ownerOffset;
    private long _ownerNow;
    private long _now;
    private int _names;
    private int _order;
    private bool _lost;
    private bool _orderly;
    private bool _changedInStore;

    public BudgetWorld(int seed)
    {
        _random = new(seed);
        _changes = _random.Next(3) == 0;
        _faults = _random.Next(8) != 0;
        _jumpiness = _random.Next(3) switch { 0 => 0, 1 => 60_000, _ => 6 * 3_600_000 };
        _now = StartOfHistory();
        _definition = RandomDefinition();
        _pages = new(seed);
        _ledger = _pages.Open(_definition, null);
        _stored = _ledger.ToState();
        _regimes.Add(new(long.MinValue, _definition, 0));
        MoveOwner();
    }

    public int Admitted => _admissions.Count;

    public int PageWrites => _pages.Writes;

    /// <summary>How often each kind of event has happened.</summary>
    public int[] Events { get; } = new int[Enum.GetValues<HistoryEvent>().Length];

    /// <summary>Runs a history and checks it; null if every promise was kept.</summary>
    public string? Run(int steps)
    {
        for (var i = 0; i < steps; i++)
        {
            Advance(_random.Next(12) switch
            {
                0 => _random.Next(_jumpiness + 1),
                < 4 => _random.Next(3000),
                _ => _random.Next(60),
            });
            Step();
        }

        EndOrderly();
        return BudgetOracle.Overspend(_admissions, _regimes, SkewMs) ?? Misbooked();
    }

    private void Step()
    {
        switch (_random.Next(40))
        {
            case 0 when _silos.Count < 5:
            case 1 when _silos.Count == 0:
                _silos.Add(new($"silo-{++_names}", Offset()));
                break;
            case 2 when _faults && _silos.Count > 0 && _random.Next(3) == 0:
                Crash(Pick(_silos));
                break;
            case 3 when _silos.Count > 0:
                Pick(_silos).CloseLease();
                Did(HistoryEvent.Return);
                break;
            case 4 when _changes && _random.Next(2) == 0:
                Change();
                break;
            case 5 when _faults:
                Did(HistoryEvent.OwnerRestart);
                Restart(_stored);
                break;
            case 6 or 7:
                ReserveDirectly();
                break;
            case 8 or 9 when _jobs.Count > 0:
                EndJob(Pick(_jobs));
                break;
            case < 18 when _silos.Count > 0:
                Beat(Pick(_silos), _random.Next(2) * RandomAmount());
                break;
            case < 24 when _calls.Count > 0:
                End(Pick(_calls));
                break;
            default:
                if (_silos.Count > 0)
                {
                    Spend(Pick(_silos));
                }

                break;
        }
    }

    private void Did(HistoryEvent what) => Events[(int)what]++;

    private void Advance(long ms)
    {
        var until = _now + ms;
        foreach (var budget in _definition.Budgets)
        {
            if (budget.Kind == BudgetWindowKind.Rolling ? _now / 1000 / budget.Seconds != until / 1000 / budget.Seconds : _now / 86_400_000 != until / 86_400_000)
            {
                Did(HistoryEvent.WindowRoll);
            }
        }

        while (_network.TryPeek(out _, out var next) && next.At <= until)
        {
            _now = Math.Max(_now, next.At);
            _network.Dequeue()();
        }

        _now = until;
    }

    private void Spend(Silo silo)
    {
        var now = _now + silo.Offset;
        var amount = RandomAmount();
        var lease = silo.Current;
        if (lease.TryReserve(amount, now))
        {
            var call = new Call(silo, lease, new(now, amount), amount);
            _admissions.Add(call.Admission);
            _calls.Add(call);
            Did(HistoryEvent.Spend);
            if (_random.Next(2) == 0)
            {
                End(call);
            }
        }
        else
        {
            Beat(silo, amount);
        }
    }

    private void End(Call call)
    {
        _calls.Remove(call);
        Did(HistoryEvent.Settle);
        var charge = _random.Next(4) switch { 0 => 0, 1 => call.Amount, _ => _random.NextInt64(call.Amount + 1) };
        call.Admission.Charge = charge;
        call.Lease.Settle(call.Amount, charge);
    }

    private void Beat(Silo silo, long atLeast)
    {
        foreach (var lease in silo.Leases.ToArray())
        {
            var report = lease.BuildReport(silo.Name, _now + silo.Offset, lease == silo.Current ? atLeast : 0);
            Send(() =>
            {
                if (Write(() => _ledger.Refill(report, OwnerNow())) is not { } grant)
                {
                    return;
                }

                Did(grant.Fenced ? HistoryEvent.Fence : grant.Granted > 0 ? HistoryEvent.Grant : HistoryEvent.Refusal);
                Send(() => silo.Apply(lease, grant, report.Closing, _now + silo.Offset));
            });
        }
    }

    // A silo that dies takes its calls with it: they were made, and cost at most what was reserved.
    private void Crash(Silo silo)
    {
        _lost = true;
        Did(HistoryEvent.Crash);
        _silos.Remove(silo);
        _calls.RemoveAll(c => c.Silo == silo);
        if (_random.Next(4) == 0)
        {
            Write(() =>
            {
                _ledger.Tick(OwnerNow());
                _ledger.Fence(silo.Name);
                return "";
            });
        }
    }

    private void Change()
    {
        var definition = _random.Next(2) == 0
            ? _definition with { Budgets = [.. _definition.Budgets.Select(b => b with { Limit = RandomLimit() })] }
            : RandomDefinition();
        Regime? regime = null;
        var answer = Write(() =>
        {
            _ledger.Configure(definition, OwnerNow());
            var leased = _ledger.GetView(OwnerNow()).Leases.Sum(static l => l.Outstanding.Nanos);
            regime = new(_ownerNow, definition, leased);
            return "";
        });
        if (answer is not null)
        {
            Did(HistoryEvent.LimitChange);
            _definition = definition;
            _regimes.Add(regime!);
        }
        else if (_stored.Version == _ledger.Version && _changedInStore)
        {
            // Written although it was answered with an error.
            _definition = definition;
            _regimes.Add(regime!);
            Restart(_stored);
        }
    }

    private void ReserveDirectly()
    {
        var id = $"job-{++_names}";
        var amount = RandomAmount();
        var expires = _now + _random.Next(1, 20 * 60_000);
        for (var attempt = 0; attempt < 3; attempt++)
        {
            if (Write(() => _ledger.Reserve(id, Money.FromNanos(amount), expires, OwnerNow())) is { } reply)
            {
                if (reply.Granted)
                {
                    var admission = new Admission(reply.AdmittedAt, amount);
                    _admissions.Add(admission);

                    // Some want more than they reserved, which they must not get.
                    var charge = _random.NextInt64(amount + 1);
                    _jobs.Add((id, admission, charge % 8 == 7 ? amount + charge : charge));
                }

                Did(reply.Granted ? HistoryEvent.DirectReservation : HistoryEvent.Refusal);

                return;
            }
        }

        // Given up: if the reservation was made it leaks, and counts as spent when it runs out.
        _lost = true;
    }

    // Told again with the same charge until it is answered.
    private void EndJob((string Id, Admission Admission, long Charge) job)
    {
        if (Write(() => (object)_ledger.Settle(job.Id, Money.FromNanos(job.Charge), OwnerNow())) is not null)
        {
            _jobs.Remove(job);
            Did(job.Charge > job.Admission.Charge ? HistoryEvent.ChargeAboveCap : HistoryEvent.DirectSettlement);
            job.Admission.Charge = Math.Min(job.Charge, job.Admission.Charge);
        }
    }

    // A message may be lost, late, doubled, and overtaken by others.
    private void Send(Action message)
    {
        var copies = _orderly ? 1 : !_faults ? 1 : _random.Next(10) switch { 0 => 0, 1 => 2, _ => 1 };
        if (copies != 1)
        {
            Did(copies == 0 ? HistoryEvent.LostMessage : HistoryEvent.DuplicateMessage);
        }

        for (var i = 0; i < copies; i++)
        {
            var delay = _orderly ? 1 : _random.Next(10) switch { 0 when _faults => _random.Next(30_000), < 3 => _random.Next(500), _ => _random.Next(5) };
            if (delay > 5_000)
            {
                Did(HistoryEvent.LateMessage);
            }

            _network.Enqueue(message, (_now + delay, _order++));
        }
    }

    // What is not stored has not happened, and its answer is not sent. An error may come after the write took effect.
    private T? Write<T>(Func<T?> operation)
        where T : class
    {
        var answer = operation();
        _changedInStore = false;
        if (!_pages.TryWrite(_ledger, mayCrash: _faults && !_orderly))
        {
            // The pages go beside the state: either may have been written when the owner dies.
            Did(HistoryEvent.FailedWrite);
            _changedInStore = _pages.Chance(2);
            Restart(_changedInStore ? _ledger.ToState() : _stored);
            return null;
        }

        switch (_faults && !_orderly ? _random.Next(30) : 29)
        {
            case 0:
                Did(HistoryEvent.FailedWrite);
                Restart(_stored);
                return null;
            case 1:
                Did(HistoryEvent.WriteWithoutAnswer);
                Restart(_ledger.ToState());
                _changedInStore = true;
                return null;
            default:
                _stored = _ledger.ToState();
                _pages.Take(_ledger);
                return answer;
        }
    }

    private void Restart(TenantLedgerState state)
    {
        _stored = _random.Next(4) == 0 ? JsonSerializer.Deserialize<TenantLedgerState>(JsonSerializer.Serialize(state))! : state;
        _ledger = _pages.Open(_definition, _stored);
        MoveOwner();
    }

    private void MoveOwner() => _ownerOffset = Offset();

    // The clocks of any two machines differ by at most the skew.
    private long Offset() => _random.NextInt64(-SkewMs / 2, SkewMs / 2 + 1);

    private long OwnerNow()
    {
        _ownerNow = Math.Max(_ownerNow, _now + _ownerOffset);
        return _now + _ownerOffset;
    }

    private void EndOrderly()
    {
        _orderly = true;
        foreach (var call in _calls.ToArray())
        {
            End(call);
        }

        foreach (var silo in _silos)
        {
            silo.CloseLease();
        }

        for (var i = 0; i < 4; i++)
        {
            Advance(31_000);
            foreach (var silo in _silos)
            {
                Beat(silo, 0);
            }
        }

        foreach (var job in _jobs.ToArray())
        {
            EndJob(job);
        }

        Advance(31_000);
        _ledger.Tick(OwnerNow());
    }

    private string? Misbooked()
    {
        var truth = _admissions.Sum(static a => a.Charge);
        var (settled, unreported) = (_ledger.SettledTotal.Nanos, _ledger.UnreportedTotal.Nanos);
        if (unreported > 0)
        {
            Did(HistoryEvent.Unreported);
        }

        var view = _ledger.GetView(OwnerNow());
        if (view.Leases.Length > 0)
        {
            return $"{view.Leases.Length} leases are open after all silos are gone";
        }

        if (settled > truth || settled + unreported < truth)
        {
            return $"settled {settled} and unreported {unreported} cannot be: {truth} was charged";
        }

        if (!_lost && _jumpiness == 0 && (settled != truth || unreported != 0))
        {
            return $"settled {settled}, unreported {unreported} although nothing was lost; {truth} was charged";
        }

        return null;
    }

    private TenantDefinition RandomDefinition()
    {
        var windows = ImmutableArray.CreateBuilder<BudgetWindowDefinition>();
        do
        {
            var kind = _random.Next(4) switch { 0 => BudgetWindowKind.CalendarDay, 1 => BudgetWindowKind.CalendarMonth, _ => BudgetWindowKind.Rolling };
            windows.Add(new()
            {
                Kind = kind,
                Seconds = kind == BudgetWindowKind.Rolling ? Pick([60L, 90, 600, 3600, 86_400]) : 0,
                Limit = RandomLimit(),
            });
        }
        while (_random.Next(2) == 0);
        return new() { Id = new("tenant"), Budgets = windows.ToImmutable(), TimeZone = Pick(Zones) };
    }

    private Money RandomLimit() => Money.FromNanos(_random.Next(6) == 0 ? _random.Next(50) : _random.Next(100, 5000));

    private long RandomAmount() => _random.Next(10) == 0 ? _random.Next(1, 1000) : _random.Next(1, 60);

    // Around month ends, leap days and clock changes as well as anywhere.
    private long StartOfHistory()
    {
        var at = _random.Next(4) switch
        {
            0 => new DateTime(2028, 2, 28, 20, 0, 0, DateTimeKind.Utc),
            1 => new DateTime(2026, 10, 24, 20, 0, 0, DateTimeKind.Utc),
            2 => new DateTime(2026, 12, 31, 9, 0, 0, DateTimeKind.Utc),
            _ => new DateTime(2026, 4, 4, 9, 0, 0, DateTimeKind.Utc),
        };
        return new DateTimeOffset(at).ToUnixTimeMilliseconds() + _random.NextInt64(30 * 3_600_000L);
    }

    private T Pick<T>(IReadOnlyList<T> items) => items[_random.Next(items.Count)];

    private sealed record Call(Silo Silo, EscrowLease Lease, Admission Admission, long Amount);

    private sealed class Silo(string name, long offset)
    {
        private long _leaseId = 1;

        public string Name { get; } = name;

        public long Offset { get; } = offset;

        public List<EscrowLease> Leases { get; } = [new(1, SkewMs, 2)];

        public EscrowLease Current => Leases[^1];

        public void CloseLease()
        {
            Current.BuildReport(Name, 0, closing: true);
            Renew();
        }

        public void Apply(EscrowLease lease, LeaseGrant grant, bool closed, long now)
        {
            lease.Apply(grant, now);
            if (closed)
            {
                Leases.Remove(lease);
            }

            Renew();
        }

        private void Renew()
        {
            if (Leases.Count == 0 || Current.IsClosed)
            {
                Leases.Add(new(++_leaseId, SkewMs, 2));
            }
        }
    }
}
