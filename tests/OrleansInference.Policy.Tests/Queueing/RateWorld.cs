using System.Text.Json;
using OrleansInference.Budgets;
using OrleansInference.Queueing;

namespace OrleansInference.Tests.Queueing;

/// <summary>
/// An owner of a rate limit and silos that hold parts of it, with clocks that differ, messages that are late, lost, doubled and out of order, silos that
/// die, and an owner that restarts from what it stored. Beside it an ideal bucket over true time, which says whether any span admitted too much.
/// </summary>
internal sealed class RateWorld(int seed, double perSecond, int burst, bool faults)
{
    private const long SkewMs = 2_000;
    private readonly bool _faults = faults;
    private readonly Random _random = new(seed);
    private readonly EscrowOptions _options = EscrowOptions.Slots(0) with { SkewMs = SkewMs };
    private readonly PriorityQueue<Action, (long At, long Order)> _messages = new();
    private readonly List<Silo> _silos = [];
    private RateLimit _owner = new(perSecond, burst, EscrowOptions.Slots(0));
    private string _stored = JsonSerializer.Serialize(new RateLimit(perSecond, burst).ToState());
    private long _order;
    private double _ideal = burst;
    private long _idealAt;

    public long True { get; private set; } = 1_000_000;

    public long Admitted { get; private set; }

    public Dictionary<int, long> AdmittedBy { get; } = [];

    public string? Problem { get; private set; }

    public int Deaths { get; private set; }

    public int Restarts { get; private set; }

    public int Lost { get; private set; }

    /// <summary>Runs for so long with silos of these demands in requests per second.</summary>
    public void Run(long milliseconds, params double[] demands)
    {
        while (_silos.Count < demands.Length)
        {
            _silos.Add(new(this, _silos.Count));
        }

        for (var end = True + milliseconds; True < end && Problem is null; True += 10)
        {
            while (_messages.TryPeek(out var deliver, out var due) && due.At <= True)
            {
                _messages.Dequeue();
                deliver();
            }

            for (var i = 0; i < _silos.Count; i++)
            {
                var expected = i < demands.Length ? demands[i] / 100 : 0;
                var requests = (int)expected + (_random.NextDouble() < expected % 1 ? 1 : 0);
                _silos[i].Live(requests);
            }

            if (_faults && _random.Next(1_500) == 0)
            {
                Deaths++;
                _silos[_random.Next(_silos.Count)].Die();
            }
        }
    }

    private void Admit(int silo)
    {
        if (_idealAt != 0)
        {
            _ideal = Math.Min(burst, _ideal + (perSecond * (True - _idealAt) / 1000));
        }

        (_idealAt, _ideal) = (True, _ideal - 1);
        Admitted++;
        AdmittedBy[silo] = AdmittedBy.GetValueOrDefault(silo) + 1;
        if (_ideal < -1e-3)
        {
            Problem = $"seed {seed}: {-_ideal} requests too many at {True}";
        }
    }

    private void Send(Action deliver)
    {
        if (_faults && _random.Next(8) == 0)
        {
            Lost++;
            return;
        }

        for (var copies = _faults && _random.Next(8) == 0 ? 2 : 1; copies > 0; copies--)
        {
            _messages.Enqueue(deliver, (True + (_faults ? _random.Next(0, 4_000) : 10), _order++));
        }
    }

    private T? Owner<T>(Func<RateLimit, (T Answer, bool MustStore)> act)
    {
        var (answer, mustStore) = act(_owner);
        if (_faults && mustStore && _random.Next(60) == 0)
        {
            // Died before it stored: nobody hears of it.
            Restart();
            return default;
        }

        _stored = mustStore ? JsonSerializer.Serialize(_owner.ToState()) : _stored;
        if (_faults && _random.Next(200) == 0)
        {
            Restart();
        }

        return answer;
    }

    private void Restart()
    {
        Restarts++;
        _owner = new(perSecond, burst, _options, JsonSerializer.Deserialize<RateLimitState>(_stored));
    }

    private sealed class Silo(RateWorld world, int number)
    {
        private readonly List<RateLease> _closing = [];
        private RateLease _lease = new(1, SkewMs);
        private long _offset = world._faults ? world._random.Next(-900, 900) : 0;
        private int _incarnation;
        private long _lastLease = 1;

        private string Name => $"silo-{number}.{_incarnation}";

        private long Now => world.True + _offset;

        public void Die()
        {
            (_lease, _lastLease, _incarnation, _offset) = (new(1, SkewMs), 1, _incarnation + 1, world._random.Next(-900, 900));
            _closing.Clear();
        }

        public void Live(int requests)
        {
            for (var i = 0; i < requests; i++)
            {
                if (_lease.TryTake(Now, out var quota))
                {
                    Assert.True(quota.Remaining >= 0);
                    world.Admit(number);
                }
                else if (world._random.Next(20) == 0)
                {
                    Assert.True(quota.Remaining == 0 || _lease.IsClosed || !world._faults || quota.RetryAfterMs == 0);
                    if (world.Owner(owner => (owner.TryTake(world.True, out var mustStore), mustStore)))
                    {
                        world.Admit(number);
                    }
                }
            }

            if (world.True % 1_000 == number % 10 * 10)
            {
                if (_lease.IsClosed || (world._faults && world._random.Next(30) == 0))
                {
                    _closing.Add(_lease);
                    _lease = new(++_lastLease, SkewMs);
                }

                Tell(_lease, closing: false);
                foreach (var lease in _closing)
                {
                    Tell(lease, closing: true);
                }

                if (_closing.Count > 3)
                {
                    _closing.RemoveAt(0);
                }
            }
        }

        private void Tell(RateLease lease, bool closing)
        {
            var report = lease.BuildReport(Name, Now, closing);
            world.Send(() =>
            {
                if (world.Owner(owner => (owner.Report(report, world.True), true)) is { } grant)
                {
                    world.Send(() => lease.Apply(grant, Now));
                }
            });
        }
    }
}
