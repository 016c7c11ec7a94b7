using System.Globalization;
using OrleansInference.Batch;
using OrleansInference.Latency;
using OrleansInference.Routing;
using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies;

/// <summary>A batch endpoint of the router in the simulated world: its open window, which closes when the window itself says so.</summary>
/// <param name="world">The world.</param>
/// <param name="configuration">The endpoint.</param>
/// <param name="variant">Index of its variant.</param>
/// <param name="jobs">The jobs of its model.</param>
/// <param name="recorder">Takes what members took.</param>
internal sealed class RoutedWindows(World world, EndpointConfiguration configuration, int variant, RoutedJobs jobs, LatencyRecorder recorder)
{
    private static readonly WindowLimits Limits = new();
    private readonly LatencySeries _latency = recorder.SeriesOf(configuration.Endpoint.Name);
    private RoutedWindow? _open;
    private double? _overheadMs;
    private long _opened;
    private long _timerUs = long.MaxValue;

    /// <summary>Index of its candidate.</summary>
    public required int Candidate { get; init; }

    /// <summary>The world's number of its timer.</summary>
    public required int Timer { get; init; }

    /// <summary>The endpoint.</summary>
    public EndpointDefinition Definition => configuration.Endpoint;

    /// <summary>Index of the variant.</summary>
    public int Variant => variant;

    /// <summary>What the router should know of the open window; nothing if there is none.</summary>
    public CandidateLoad Load => _open is { } open ? new() { WindowMembers = open.Members.Count, WindowClosesAt = open.Policy.ClosesAt } : default;

    /// <summary>A request joins the open window, or opens the next one.</summary>
    public void Join(int request, int bytes)
    {
        ref readonly var joining = ref world.Requests[request];
        var member = new WindowMember
        {
            JobKey = request.ToString(CultureInfo.InvariantCulture),
            InputKey = "",
            Bytes = bytes,
            Deadline = World.ToMs(joining.DeadlineUs),
            ChargeCap = Money.Zero,
            ContentType = "",
            InputTokens = joining.InputTokens,
        };
        if (_open?.Policy.Join(member, world.NowMs) is false)
        {
            Close();
        }

        if (_open is null)
        {
            _open = new(this, new(new(), Limits));
            _open.Policy.Open(configuration, (++_opened).ToString(CultureInfo.InvariantCulture), _overheadMs, world.NowMs);
            _open.Policy.Join(member, world.NowMs);
        }

        _open.Members.Add(request);
        Advance();
    }

    /// <summary>Its timer has come.</summary>
    public void Due()
    {
        if (world.NowUs >= _timerUs)
        {
            _timerUs = long.MaxValue;
            Advance();
        }
    }

    /// <summary>A transform job has ended: how long it took beyond its requests, and what those took.</summary>
    public void Told(double overheadMs, IReadOnlyList<(int SizeClass, double Milliseconds)> services)
    {
        _overheadMs = TransformOverhead.After(_overheadMs, overheadMs);
        foreach (var (sizeClass, milliseconds) in services)
        {
            _latency.Record(LatencyPhase.Service, sizeClass, milliseconds);
        }
    }

    private void Advance()
    {
        if (_open?.Policy.Next().At is not { } at)
        {
            return;
        }

        if (at <= world.NowMs)
        {
            Close();
        }
        else if (World.ToUs(at) is var us && us < _timerUs)
        {
            _timerUs = us;
            world.At(us, Timer);
        }
    }

    private void Close()
    {
        var closed = _open!;
        _open = null;
        closed.Policy.Close(world.NowMs);
        jobs.Add(closed);
    }
}

/// <summary>A window of a batch endpoint, with the requests that are its members.</summary>
/// <param name="endpoint">The endpoint.</param>
/// <param name="policy">The window as the router has it.</param>
internal sealed class RoutedWindow(RoutedWindows endpoint, BatchWindow policy)
{
    /// <summary>Its endpoint.</summary>
    public RoutedWindows Endpoint => endpoint;

    /// <summary>The window as the router has it.</summary>
    public BatchWindow Policy => policy;

    /// <summary>Its requests, in order of joining.</summary>
    public List<int> Members { get; } = [];

    /// <summary>What those took that have ended, by their size classes. The router is told when the job has ended.</summary>
    public List<(int SizeClass, double Milliseconds)> Services { get; } = [];

    /// <summary>Microseconds at which its job was started.</summary>
    public long StartedUs { get; set; }
}
