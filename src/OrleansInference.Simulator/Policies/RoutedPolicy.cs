using System.Collections.Immutable;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Policies;

/// <summary>The router itself: the objects that run in production, driven in virtual time.</summary>
public sealed class RoutedPolicy(RoutedOptions options) : IFleetPolicy
{
    /// <summary>How often endpoints are looked at, in microseconds: as their grains do.</summary>
    private const long PollUs = 5_000_000;

    private const int PollTimer = 0;

    private readonly List<RoutedModel> _models = [];
    private World _world = null!;
    private RoutedEndpoint[] _byPool = [];
    private (RoutedModel Model, RoutedWindows Windows)[] _byTimer = [];

    /// <inheritdoc/>
    public string Name => options.Name;

    /// <inheritdoc/>
    public string How => "";

    /// <inheritdoc/>
    public ImmutableArray<BudgetResult> Budgets => [.. _models.SelectMany(static model => model.Budgets).OrderBy(static budget => budget.Tenant)];

    /// <inheritdoc/>
    public void Begin(World world)
    {
        ArgumentNullException.ThrowIfNull(world);
        _world = world;
        var first = FirstRequests.Of(world.Scenario);
        var timers = PollTimer + 1;
        for (var i = 0; i < world.Scenario.Models.Length; i++)
        {
            var model = new RoutedModel(world, i, options, first, timers);
            timers += model.Windows.Length;
            _models.Add(model);
        }

        _byTimer = [.. _models.SelectMany(static model => model.Windows.Select(windows => (model, windows)))];

        _byPool = new RoutedEndpoint[world.Pools.Count];
        foreach (var endpoint in _models.SelectMany(static model => model.Endpoints))
        {
            _byPool[endpoint.Pool.Index] = endpoint;
        }

        world.At(PollUs + (long)(options.FirstLookSeconds * 1e6), PollTimer);
    }

    /// <inheritdoc/>
    public void Arrived(int request) => _models[_world.ModelOf[_world.Requests[request].Tenant]].Arrived(request);

    /// <inheritdoc/>
    public void Ended(in Request request, Pool pool)
    {
        ArgumentNullException.ThrowIfNull(pool);
        _models[pool.ModelIndex].Ended(request, _byPool[pool.Index]);
    }

    /// <inheritdoc/>
    public void CameIntoService(Pool pool)
    {
        ArgumentNullException.ThrowIfNull(pool);
        _models[pool.ModelIndex].CapacityChanged(_byPool[pool.Index]);
    }

    /// <inheritdoc/>
    public void MemberEnded(in Request request, Pool job)
    {
        ArgumentNullException.ThrowIfNull(job);
        _models[job.ModelIndex].MemberEnded(request, job);
    }

    /// <inheritdoc/>
    public void JobEnded(Pool job)
    {
        ArgumentNullException.ThrowIfNull(job);
        _models[job.ModelIndex].JobEnded(job);
    }

    /// <inheritdoc/>
    public void Due(int timer)
    {
        if (timer != PollTimer)
        {
            var (model, windows) = _byTimer[timer - PollTimer - 1];
            model.Due(windows);
            return;
        }

        foreach (var model in _models)
        {
            model.Poll();
        }

        _world.At(_world.NowUs + PollUs, PollTimer);
    }

    /// <inheritdoc/>
    public void Closing()
    {
        foreach (var model in _models)
        {
            model.Close();
        }
    }

    /// <inheritdoc/>
    public int WaitingFor(Pool pool)
    {
        ArgumentNullException.ThrowIfNull(pool);
        return pool.Index < _byPool.Length && _byPool[pool.Index] is { } endpoint ? endpoint.Waiting : 0;
    }
}
