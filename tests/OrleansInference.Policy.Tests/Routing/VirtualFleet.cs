using System.Collections.Immutable;
using OrleansInference.Latency;
using OrleansInference.Routing;

namespace OrleansInference.Tests.Routing;

/// <summary>
/// One silo with a real-time, a serverless and an async endpoint in virtual time: the production decision on statistics that are
/// published each second, over models whose time comes from tokens, as the embedded AWS simulates them. Answers how often a quote came true.
/// </summary>
internal sealed class VirtualFleet
{
    private const long PublishMs = 1_000;
    private const int MaxOutputTokens = 1_024;
    private readonly PriorityQueue<Action, (long At, long Order)> _events = new();
    private readonly Dictionary<string, Station> _stations;
    private readonly LatencyRecorder _recorder = new(1);
    private readonly LatencyStatistics _statistics = new();
    private readonly ModelConfiguration _configuration;
    private readonly Random _random;
    private RoutingTable _table;
    private long _now;
    private long _order;
    private long _sequence;

    public VirtualFleet(ModelConfiguration configuration, int seed)
    {
        _configuration = configuration;
        _random = new(seed);
        _stations = configuration.Model!.Variants.SelectMany(static variant => variant.Endpoints).ToDictionary(static endpoint => endpoint.Name.Value, static endpoint => new Station(endpoint));
        _table = Publish();
    }

    public Calibration Calibration { get; } = new();

    public Dictionary<Lane, int> Routed { get; } = [];

    public int Refused { get; private set; }

    /// <summary>Replays requests, in order of arrival, and runs until the last has ended.</summary>
    public void Run(IEnumerable<(long At, int InputTokens, int OutputTokens, TrafficClass Class, long DeadlineMs)> requests)
    {
        foreach (var request in requests)
        {
            Schedule(request.At, () => Arrive(request.InputTokens, request.OutputTokens, request.Class, request.At + request.DeadlineMs));
        }

        var last = 0L;
        while (_events.TryDequeue(out var action, out var key))
        {
            while (last + PublishMs <= key.At)
            {
                last += PublishMs;
                _now = last;
                _table = Publish();
            }

            _now = key.At;
            action();
        }
    }

    private void Arrive(int inputTokens, int outputTokens, TrafficClass trafficClass, long deadline)
    {
        var request = new RouteRequest
        {
            Now = _now,
            Deadline = deadline,
            Class = trafficClass,
            PayloadBytes = inputTokens * 4,
            InputTokens = inputTokens,
            MaxOutputTokens = MaxOutputTokens,
            CanDefer = trafficClass != TrafficClass.High,
            Seed = (ulong)_order,
        };
        var loads = new CandidateLoad[_table.Candidates.Length];
        var quotes = new Quote[loads.Length];
        foreach (var candidate in _table.Candidates)
        {
            var station = _stations[candidate.Endpoint.Name.Value];
            loads[candidate.Index] = new()
            {
                InFlight = station.InFlight,
                InFlightUrgent = candidate.Lane == Lane.Async ? 0 : station.RunningAbove(trafficClass),
                Waiting = candidate.Lane == Lane.Async ? 0 : station.WaitingUpTo(trafficClass),
                Available = candidate.Lane == Lane.Async ? 0 : Math.Max(0, station.Slots - station.InFlight),
                WarmEnvironments = station.Environments?.WarmIdle(_now) ?? 0,
                BacklogChange = candidate.Lane == Lane.Async ? station.InFlight + station.Waiting - candidate.Backlog : 0,
            };
        }

        var decision = Router.Decide(_table, request, new() { LowBudget = [] }, loads, quotes);
        if (!decision.HasRoute)
        {
            Refused++;
            return;
        }

        var chosen = _table.Candidates[decision.Chosen];
        Routed[chosen.Lane] = Routed.GetValueOrDefault(chosen.Lane) + 1;
        var call = new Call(chosen, decision, trafficClass, deadline, Draw(chosen.Endpoint.Simulation, inputTokens, outputTokens), chosen.SlotsFor(trafficClass));
        if (chosen.Lane == Lane.Async)
        {
            // Storing the input and taking it up; reading the result when its notification has come.
            Schedule(_now + 50 + _random.Next(200), () => Enter(call));
        }
        else
        {
            Enter(call);
        }
    }

    private void Enter(Call call)
    {
        var station = _stations[call.Candidate.Endpoint.Name.Value];
        if (station.TryTake(call))
        {
            Begin(station, call);
            return;
        }

        station.Wait(call);
        Schedule(call.Deadline, () =>
        {
            if (station.Leave(call))
            {
                End(call, false);
            }
        });
    }

    private void Begin(Station station, Call call)
    {
        var isCold = station.Environments is { } pool && !pool.Begin(_now);
        var elapsed = call.ServiceMs + (isCold ? ColdStart(call.Candidate.Endpoint.Simulation) : 0);
        var cut = Math.Max(1, call.Deadline - _now);
        var took = (long)Math.Ceiling(Math.Min(elapsed, cut));
        Schedule(_now + took, () =>
        {
            var name = call.Candidate.Endpoint.Name;
            if (isCold)
            {
                _recorder.Record(name, LatencyPhase.ColdStart, 0, Math.Max(0, took - call.Candidate.Service(call.Decision.SizeClass).Mean));
            }
            else
            {
                _recorder.Record(name, LatencyPhase.Service, call.Decision.SizeClass, took);
            }

            station.Environments?.End(_now);
            station.Release(call);
            End(call, elapsed <= cut);
            while (station.Next() is { } next)
            {
                Begin(station, next);
            }
        });
    }

    private void End(Call call, bool inTime) => Calibration.Record(call.Candidate.Lane, call.Decision.Class, call.Decision.ProbabilityInTime, inTime && _now <= call.Deadline);

    private RoutingTable Publish()
    {
        var deltas = _recorder.Drain();
        if (!deltas.IsEmpty)
        {
            _statistics.Merge(new() { Holder = "silo", Sequence = ++_sequence, Deltas = deltas }, _now);
        }

        return RoutingTable.Build(new()
        {
            Model = _configuration.Model!,
            Version = _now + 1,
            InstanceSecondCosts = _configuration.InstanceSecondCosts,
            Latency = _statistics.Publish(_now),
            Deadlines = _configuration.Deadlines,
            TargetProbability = _configuration.TargetProbability,
            Status = [.. _stations.Values.Where(static station => station.Endpoint.Lane != Lane.Serverless).Select(station => new EndpointStatus
            {
                Endpoint = station.Endpoint.Name,
                InService = station.Endpoint.MaxInstances,
                Desired = station.Endpoint.MaxInstances,
                Slots = station.Slots,
                InFlight = station.InFlight,
                Backlog = station.Endpoint.Lane == Lane.Async ? station.InFlight + station.Waiting : station.Waiting,
                Version = _now + 1,
            })],
        });
    }

    private double Draw(SimulatedModel model, int inputTokens, int outputTokens) =>
        1000 * (model.BaseSeconds + (inputTokens / model.PrefillTokensPerSecond) + (outputTokens / model.DecodeTokensPerSecond)) * Math.Exp(model.Jitter * Normal());

    private double ColdStart(SimulatedModel model) => 1000 * model.StartSeconds * Math.Exp(0.15 * Normal());

    private double Normal() => Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble());

    private void Schedule(long at, Action action) => _events.Enqueue(action, (Math.Max(at, _now), _order++));

    private sealed record Call(Candidate Candidate, Decision Decision, TrafficClass Class, long Deadline, double ServiceMs, int MostInUse);

    /// <summary>An endpoint's slots and who waits for them: by class, then deadline; before an async endpoint in order.</summary>
    private sealed class Station(EndpointDefinition endpoint)
    {
        private readonly PriorityQueue<Call, (int Class, long Deadline, long Order)> _queue = new();
        private readonly HashSet<Call> _waiting = new(ReferenceEqualityComparer.Instance);
        private readonly int[] _running = new int[3];
        private long _order;

        public EndpointDefinition Endpoint { get; } = endpoint;

        public int Slots { get; } = endpoint.MaxInstances * endpoint.ConcurrencyPerInstance;

        public int InFlight { get; private set; }

        public int Waiting => _waiting.Count;

        public EnvironmentPool? Environments { get; } = endpoint.Lane == Lane.Serverless ? new(endpoint.MaxInstances, (long)(1000 * endpoint.Simulation.KeepWarmSeconds)) : null;

        public int WaitingUpTo(TrafficClass trafficClass) => Endpoint.Lane == Lane.Async ? Waiting : _waiting.Count(call => call.Class <= trafficClass);

        public bool TryTake(Call call)
        {
            if (WaitingUpTo(call.Class) > 0 || InFlight >= Math.Min(Slots, call.MostInUse))
            {
                return false;
            }

            Begin(call);
            return true;
        }

        public void Wait(Call call)
        {
            _waiting.Add(call);

            // SageMaker's own queue before an async endpoint knows no classes.
            _queue.Enqueue(call, Endpoint.Lane == Lane.Async ? (0, 0, _order++) : ((int)call.Class, call.Deadline, _order++));
        }

        public bool Leave(Call call) => _waiting.Remove(call);

        public int RunningAbove(TrafficClass trafficClass) => _running.Take((int)trafficClass).Sum();

        public void Release(Call call)
        {
            InFlight--;
            _running[(int)call.Class]--;
        }

        private void Begin(Call call)
        {
            InFlight++;
            _running[(int)call.Class]++;
        }

        public Call? Next()
        {
            while (_queue.TryPeek(out var call, out _))
            {
                if (!_waiting.Contains(call))
                {
                    _queue.Dequeue();
                }
                else if (InFlight < Math.Min(Slots, call.MostInUse))
                {
                    _queue.Dequeue();
                    _waiting.Remove(call);
                    Begin(call);
                    return call;
                }
                else
                {
                    return null;
                }
            }

            return null;
        }
    }
}
