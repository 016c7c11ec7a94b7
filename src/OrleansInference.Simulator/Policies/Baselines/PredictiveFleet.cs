using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>
/// A predictive, cost-aware autoscaler in the spirit of MArk (Zhang, Yu, Wang, Yan, "MArk: Exploiting Cloud Services for Cost-Effective, SLO-Aware Machine
/// Learning Inference Serving", USENIX ATC 2019): each minute it forecasts the load one provisioning delay ahead and asks for the instances that this takes at
/// a target utilisation; it gives instances up once the forecast has been lower for a while. Where there is a serverless lane, spikes go there (MArk's use of
/// Lambda), and so does what is too little to be worth an instance; elsewhere the target utilisation leaves headroom.
/// </summary>
/// <param name="model">Index of the model.</param>
/// <param name="plan">What it is set to.</param>
internal sealed class PredictiveFleet(int model, PredictivePlan plan) : ModelFleet(model)
{
    private const int CooldownMinutes = 10;
    private const double ServiceMemory = 0.9;
    private const double PriorServices = 20;
    private const double WorkOffSeconds = 300;
    private readonly int[] _planned = new int[CooldownMinutes];
    private RealtimeEndpoint _endpoint = null!;
    private ArrivalForecast _forecast = null!;
    private Pool? _serverless;
    private int _minute;
    private int _arrived;
    private double _services = PriorServices;
    private double _serviceSeconds = PriorServices * plan.MeanServiceSeconds;

    /// <inheritdoc/>
    public override void Arrived(int request)
    {
        _arrived++;
        _endpoint.Invoke(request);
    }

    /// <inheritdoc/>
    public override void Ended(in Request request, Pool pool)
    {
        if (pool != _serverless)
        {
            _services++;
            _serviceSeconds += (World.NowUs - request.StartedUs) / 1e6;
        }

        _endpoint.Serve();
    }

    /// <inheritdoc/>
    public override void CameIntoService(Pool pool) => _endpoint.Serve();

    /// <inheritdoc/>
    public override void Due(int timer)
    {
        if (timer == Retry)
        {
            _endpoint.Retry();
            return;
        }

        _forecast.Add(_arrived);
        _arrived = 0;
        if (!_endpoint.IsDone)
        {
            Scale();
        }

        (_services, _serviceSeconds) = (ServiceMemory * _services, ServiceMemory * _serviceSeconds);
        NextMinute();
    }

    /// <inheritdoc/>
    public override void Closing() => _endpoint.Close();

    /// <inheritdoc/>
    public override int WaitingFor(Pool pool) => pool == _serverless ? 0 : _endpoint.Waiting;

    /// <inheritdoc/>
    protected override void Begin()
    {
        if (Definition.LaneOf(Lane.Serverless) is { } lane)
        {
            _serverless = World.AddPool(Model, Definition.Full, lane);
        }

        _endpoint = AddEndpoint(Math.Max(Least, plan.First), _serverless);
        _forecast = new(Math.Max(1, (int)Math.Ceiling(_endpoint.Pool.LaneDefinition.ProvisionSeconds / 60)));
        Array.Fill(_planned, _endpoint.Pool.Wanted);
        NextMinute();
    }

    /// <summary>Only where serverless executions can take all that comes there may be no instance.</summary>
    private int Least => Math.Max(plan.Least, _serverless is null ? Math.Max(1, RealtimeLane(Definition).MinInstances) : RealtimeLane(Definition).MinInstances);

    private void Scale()
    {
        var mean = _serviceSeconds / _services;
        var load = (_forecast.Ahead * mean / 60) + (_endpoint.Waiting * mean / WorkOffSeconds);
        _planned[_minute++ % CooldownMinutes] = Math.Max(_endpoint.Waiting > 0 ? Math.Max(1, Least) : Least, InstancesFor(load));
        var most = 0;
        foreach (var planned in _planned)
        {
            most = Math.Max(most, planned);
        }

        World.Want(_endpoint.Pool, most);
    }

    private int InstancesFor(double load)
    {
        var perInstance = plan.Utilization * _endpoint.Pool.Concurrency;
        if (_serverless?.LaneDefinition is not { } lane)
        {
            return (int)Math.Ceiling(load / perInstance);
        }

        var whole = Math.Floor(load / perInstance);
        var serverlessPerHour = (load - (whole * perInstance)) / lane.SpeedFactor * 3600 * lane.MemoryMb / 1024.0 * lane.PricePerGbSecond.Nanos;
        return (int)whole + (serverlessPerHour > _endpoint.Pool.Variant.PricePerHour.Nanos ? 1 : 0);
    }
}

/// <summary>What a predictive fleet is set to.</summary>
/// <param name="Utilization">Share of the slots, greater than 0, that the forecast load is to use.</param>
/// <param name="Least">Fewest instances.</param>
/// <param name="First">Instances at the beginning.</param>
/// <param name="MeanServiceSeconds">What a service takes, until it has been seen.</param>
internal readonly record struct PredictivePlan(double Utilization, int Least, int First, double MeanServiceSeconds);
