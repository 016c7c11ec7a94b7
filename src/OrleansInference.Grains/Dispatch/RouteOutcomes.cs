using OrleansInference.Latency;
using OrleansInference.Leases;
using OrleansInference.Routing;
using OrleansInference.Telemetry;

namespace OrleansInference.Dispatch;

/// <summary>Counts what this silo routed and how it ended. Counting is lock-free.</summary>
internal sealed class RouteOutcomes(LatencyRecorder recorder, EndpointAccounts endpoints, Calibration calibration) : IRouteOutcomes
{
    private static readonly int Lanes = Enum.GetValues<Lane>().Length;
    private static readonly int Classes = Enum.GetValues<TrafficClass>().Length;
    private static readonly ProblemCode[] Codes = Enum.GetValues<ProblemCode>();
    private static readonly EndpointName[] ClassSeries = [.. Enum.GetNames<TrafficClass>().Select(name => new EndpointName(name))];

    private readonly StripedCounters _laneRequests = new(Lanes);
    private readonly StripedCounters _laneAnswered = new(Lanes);
    private readonly StripedCounters _laneCharged = new(Lanes);
    private readonly StripedCounters _classRequests = new(Classes);
    private readonly StripedCounters _classAnswered = new(Classes);
    private readonly StripedCounters _classInTime = new(Classes);
    private readonly StripedCounters _errors = new(Classes * Codes.Length);

    // Latencies go through the same recorder type as the endpoints', one series per class, and are gathered when asked for.
    private readonly LatencyRecorder _latencies = new();
    private readonly QuantileSketch[] _sketches = [.. Enumerable.Range(0, Classes).Select(_ => new QuantileSketch())];

    public void Arrived(TrafficClass trafficClass) => _classRequests.Increment((int)trafficClass);

    public void Sent(Lane lane) => _laneRequests.Increment((int)lane);

    public void Charged(Lane lane, TrafficClass trafficClass, Money charge, Money useCost)
    {
        _laneCharged.Add((int)lane, charge.Nanos);
        RouterTelemetry.Charged(lane, trafficClass, charge, useCost);
    }

    public void Answered(Lane lane, TrafficClass trafficClass, double milliseconds, bool inTime)
    {
        _laneAnswered.Increment((int)lane);
        _classAnswered.Increment((int)trafficClass);
        if (inTime)
        {
            _classInTime.Increment((int)trafficClass);
        }

        _latencies.Record(ClassSeries[(int)trafficClass], LatencyPhase.Service, 0, milliseconds);
        RouterTelemetry.Answered(lane, trafficClass, milliseconds / 1000);
    }

    public void Failed(Lane? lane, TrafficClass trafficClass, ProblemCode code)
    {
        _errors.Increment(((int)trafficClass * Codes.Length) + (int)code);
        RouterTelemetry.Failed(lane, trafficClass, code);
    }

    /// <inheritdoc/>
    public void JobEnded(JobView view, long endedAt)
    {
        ArgumentNullException.ThrowIfNull(view);
        var route = view.Route;
        Calibrate(view, endedAt);
        Ended(route, view.State, view.Problem, endedAt - view.AcceptedAt.ToUnixTimeMilliseconds(), endedAt <= view.Deadline.ToUnixTimeMilliseconds());

        // One that still waited for its money was never in the lane.
        if (route.Lane == Lane.Async && view.HeldUntil is null)
        {
            endpoints.Get(route.Endpoint).JobEnded(view.State == JobState.Succeeded, route.Charge);
        }
    }

    /// <inheritdoc/>
    public void BatchEnded(BatchView view)
    {
        // What was predicted of its route is the time of one record, so it tells nothing about that.
        ArgumentNullException.ThrowIfNull(view);
        var ended = view.EndedAt ?? view.Deadline;
        Ended(view.Route, view.State, view.Problem, (ended - view.AcceptedAt).TotalMilliseconds, ended <= view.Deadline);
    }

    /// <inheritdoc/>
    public void JobBegan(JobView view, double serviceMs)
    {
        ArgumentNullException.ThrowIfNull(view);
        if (view.Route.Lane == Lane.Async)
        {
            var account = endpoints.Get(view.Route.Endpoint);
            account.JobComing();
            account.JobBegan(serviceMs);
        }
    }

    /// <inheritdoc/>
    public void Measured(ModelName model, EndpointName endpoint, LatencyPhase phase, int sizeClass, double milliseconds) =>
        recorder.Record(endpoint, phase, sizeClass, milliseconds);

    /// <summary>A request did or did not answer in time, by the lane's doing, as its decision predicted.</summary>
    public void Kept(Lane lane, in Decision decision, bool inTime) => Kept(lane, decision.Class, decision.ProbabilityInTime, inTime);

    /// <summary>The counts so far.</summary>
    public DispatchStatistics ToStatistics()
    {
        lock (_sketches)
        {
            foreach (var delta in _latencies.Drain())
            {
                _sketches[Array.IndexOf(ClassSeries, delta.Endpoint)].Merge(delta);
            }

            return new()
            {
                Lanes = Enum.GetValues<Lane>().ToDictionary(lane => lane, lane => new LaneStatistics(
                    _laneRequests.Sum((int)lane),
                    _laneAnswered.Sum((int)lane),
                    Money.FromNanos(_laneCharged.Sum((int)lane)))),
                Calibration = calibration.Bins(),
                CalibrationByLane = Enum.GetValues<Lane>().ToDictionary(static lane => lane, lane => calibration.Bins(lane: lane)),
                CalibrationByClass = Enum.GetValues<TrafficClass>().ToDictionary(static trafficClass => trafficClass, trafficClass => calibration.Bins(trafficClass: trafficClass)),
                Classes = Enum.GetValues<TrafficClass>().ToDictionary(trafficClass => trafficClass, StatisticsOf),
            };
        }
    }

    // A model's refusal and a caller's change of mind say nothing about the time that was predicted.
    private void Calibrate(JobView view, long endedAt)
    {
        // The route of a job that was held was quoted without the wait for its money.
        var deadline = view.Deadline.ToUnixTimeMilliseconds();
        if (view.Route.ProbabilityInTime <= 0)
        {
            return;
        }

        if (view.State is JobState.Succeeded or JobState.Expired || endedAt >= deadline)
        {
            Kept(view.Route.Lane, view.Route.Class, view.Route.ProbabilityInTime, view.State == JobState.Succeeded && endedAt <= deadline);
        }
    }

    private void Ended(RouteTaken route, JobState state, InferenceProblem? problem, double milliseconds, bool inTime)
    {
        Charged(route.Lane, route.Class, route.Charge, Money.Zero);
        if (state == JobState.Succeeded)
        {
            Answered(route.Lane, route.Class, milliseconds, inTime);
            return;
        }

        Failed(route.Lane, route.Class, problem?.Code ?? (state switch
        {
            JobState.Cancelled => ProblemCode.Cancelled,
            JobState.Expired => ProblemCode.DeadlineExceeded,
            _ => ProblemCode.UpstreamUnavailable,
        }));
    }

    private void Kept(Lane lane, TrafficClass trafficClass, double predicted, bool inTime)
    {
        calibration.Record(lane, trafficClass, predicted, inTime);
        RouterTelemetry.Kept(lane, trafficClass, predicted, inTime);
    }

    private ClassStatistics StatisticsOf(TrafficClass trafficClass)
    {
        var index = (int)trafficClass;
        var errors = new Dictionary<ProblemCode, long>();
        foreach (var code in Codes)
        {
            if (_errors.Sum((index * Codes.Length) + (int)code) is > 0 and var count)
            {
                errors[code] = count;
            }
        }

        return new(
            _classRequests.Sum(index),
            _classAnswered.Sum(index),
            _classInTime.Sum(index),
            _sketches[index].Quantile(0.5) / 1000,
            _sketches[index].Quantile(0.99) / 1000,
            errors);
    }
}
