using Microsoft.Extensions.Logging;
using OrleansInference.Hosting;

namespace OrleansInference.Capacity;

/// <summary>
/// Keeps an endpoint's instances at what <see cref="CapacityPlan"/> wants: reads what SageMaker reports, decides, and has it changed. What SageMaker was
/// told last is stored before it is told, with what it was before, so that also after a restart or a lost answer a change of ours is told from one that
/// somebody else made; that one is taken as it is for a while. While the endpoint is being changed, or has failed, nothing is asked of it. Not thread-safe.
/// </summary>
internal sealed partial class CapacityKeeper(IEndpointControl control, RouterClock clock, ILogger logger, CapacityKeeperState? state = null)
{
    private const string Serves = "InService";
    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(30);

    private readonly CapacityPlan _plan = new(state?.Plan);

    // Until SageMaker answers, what it answered last before a restart: the instances serve on though the control plane does not.
    private EndpointDescription? _described = state?.Described;
    private int? _told = state?.Told;
    private int? _before = state?.Before;
    private string _lastChange = state?.LastChange ?? "";
    private bool _isMissing;
    private string? _saidOf;

    /// <summary>Instances in service.</summary>
    public int InService => _described?.CurrentInstanceCount ?? 0;

    /// <summary>Instances that SageMaker was told to have.</summary>
    public int Reported => _described?.DesiredInstanceCount ?? 0;

    /// <summary>Whether SageMaker has no such endpoint.</summary>
    public bool IsMissing => _isMissing;

    /// <summary>Whether it can serve.</summary>
    public bool IsHealthy => !_isMissing && _described?.Status is not ("Failed" or "Deleting" or "OutOfService" or "UpdateRollbackFailed");

    /// <summary>Unix ms when instances that were asked for are expected; 0 if none are.</summary>
    public long MoreAt { get; private set; }

    /// <summary>Why the wanted instance count last changed.</summary>
    public string LastChange => _lastChange;

    /// <summary>The keeper as it is to be stored.</summary>
    public CapacityKeeperState ToState() => new() { Plan = _plan.ToState(), Told = _told, Before = _before, Described = _described, LastChange = _lastChange };

    /// <summary>Asks SageMaker how the endpoint stands.</summary>
    public async Task DescribeAsync(EndpointDefinition endpoint)
    {
        using var timeout = new CancellationTokenSource(CallTimeout);
        var described = await control.DescribeAsync(endpoint.TargetName, timeout.Token);
        if (described is null && !_isMissing)
        {
            LogMissing(endpoint.Name, endpoint.TargetName);
        }

        _isMissing = described is null;
        _described = described;
        if (described is null)
        {
            return;
        }

        if (!IsHealthy && _saidOf != described.Status)
        {
            LogFailed(endpoint.Name, described.Status, described.FailureReason ?? "SageMaker gives no reason");
        }

        _saidOf = described.Status;
        if (MoreAt != 0 && described.CurrentInstanceCount >= described.DesiredInstanceCount)
        {
            MoreAt = 0;
        }

        if (IsManaged(endpoint))
        {
            Reconcile(endpoint, described.DesiredInstanceCount);
        }
    }

    /// <summary>Decides anew and has SageMaker change what is to change. True if its answer makes a difference to what is known.</summary>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="observed">What its requests do; what is known of its instances is filled in.</param>
    /// <param name="persist">Makes the keeper's state durable.</param>
    public async Task<bool> DecideAsync(EndpointDefinition endpoint, CapacityObservation observed, Func<Task> persist)
    {
        if (!IsManaged(endpoint) || _described is not { } described || endpoint.Draining)
        {
            return false;
        }

        var hold = HoldOf(endpoint);
        var recommends = endpoint.Scaling == ScalingMode.Recommend;
        var decision = _plan.Observe(Planned(endpoint), observed with
        {
            InService = described.CurrentInstanceCount,
            Reported = described.DesiredInstanceCount,
            OneChangeAtATime = true,
            Hold = recommends ? null : hold,
        });
        if (decision.HasChanged)
        {
            _lastChange = decision.Reason;
            LogDesired(endpoint.Name, decision.Desired, recommends ? $"{decision.Reason} (a recommendation: nothing is changed)" : decision.Reason);
            await persist();
        }

        if (recommends || hold is not null || decision.Desired == described.DesiredInstanceCount)
        {
            return false;
        }

        // Stored first: whatever becomes of the call, a later report of this number is an echo of ours.
        var now = clock.Now;
        if (_told != decision.Desired || _before != described.DesiredInstanceCount)
        {
            (_told, _before) = (decision.Desired, described.DesiredInstanceCount);
            await persist();
        }

        using var timeout = new CancellationTokenSource(CallTimeout);
        var setting = endpoint.Lane == Lane.Serverless
            ? control.SetProvisionedConcurrencyAsync(endpoint.TargetName, described.VariantName, decision.Desired, timeout.Token)
            : control.SetDesiredInstancesAsync(endpoint.TargetName, described.VariantName, decision.Desired, timeout.Token);
        if (!await setting)
        {
            return false;
        }

        MoreAt = decision.Desired > described.CurrentInstanceCount ? now + (long)(endpoint.Prior.ColdStartSeconds * 1000) : 0;
        _described = described with { DesiredInstanceCount = decision.Desired };
        return true;
    }

    /// <summary>The instances as they stand.</summary>
    public CapacityView ToView(EndpointDefinition endpoint)
    {
        var outlook = _plan.Outlook;
        return new()
        {
            Status = _described?.Status ?? "",
            Hold = HoldOf(endpoint),
            InService = InService,
            Reported = Reported,
            Wanted = _plan.Desired,
            ChangedAt = _plan.ChangedAt == 0 ? null : DateTimeOffset.FromUnixTimeMilliseconds(_plan.ChangedAt),
            ExpectedRate = outlook.Rate,
            HighRate = outlook.HighRate,
            Peakedness = outlook.Peakedness,
            NeededSlots = outlook.Slots,
            LeadSeconds = outlook.LeadMs / 1000.0,
            KeepSeconds = outlook.KeepMs / 1000.0,
            Flaps = _plan.Flaps,
        };
    }

    /// <summary>Whether an endpoint has instances to keep, or executions to keep warm.</summary>
    public static bool IsManaged(EndpointDefinition endpoint) => endpoint.Lane is Lane.Realtime or Lane.Async || endpoint.IsProvisioned;

    // To the plan an execution that is kept warm is an instance for one request. SageMaker keeps at least one once any are.
    private static EndpointDefinition Planned(EndpointDefinition endpoint) => endpoint.Lane != Lane.Serverless
        ? endpoint
        : endpoint with { MinInstances = Math.Max(1, endpoint.MinInstances), MaxInstances = Math.Max(endpoint.MinInstances, endpoint.MaxProvisioned) };

    private void Reconcile(EndpointDefinition endpoint, int reported)
    {
        if (_plan.IsNew)
        {
            _plan.Begin(reported);
            (_told, _before) = (reported, null);
        }
        else if (_told is null || reported == _told)
        {
            // Only when the change has been made: one that fails is rolled back to what was before.
            (_told, _before) = (reported, _described!.Status == Serves ? null : _before);
        }
        else if (reported != _before && endpoint.Scaling != ScalingMode.Recommend)
        {
            LogAdopted(endpoint.Name, reported, _plan.Desired);
            _plan.Adopt(clock.Now, reported);
            _lastChange = $"somebody else set it to {reported}";
            (_told, _before) = (reported, null);
        }
    }

    private string? HoldOf(EndpointDefinition endpoint) => _described switch
    {
        _ when _isMissing => $"SageMaker has no endpoint '{endpoint.TargetName}'",
        null => "SageMaker has not answered yet",
        { Status: Serves } => null,
        { Status: var status } when IsHealthy => $"the endpoint is being changed ({status})",
        { Status: var status, FailureReason: var reason } => $"the endpoint has failed ({status}{(reason is null ? "" : $": {reason}")}): repair it, or create it anew",
    };

    [LoggerMessage(Level = LogLevel.Information, Message = "Endpoint {Endpoint} should have {Instances} instances: {Reason}.")]
    private partial void LogDesired(EndpointName endpoint, int instances, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Endpoint {Endpoint}: SageMaker has no endpoint '{Target}'; create it, or correct its target in the catalog.")]
    private partial void LogMissing(EndpointName endpoint, string target);

    [LoggerMessage(Level = LogLevel.Error, Message = "Endpoint {Endpoint} cannot serve, SageMaker says {Status}: {Reason}. Repair it, or create it anew.")]
    private partial void LogFailed(EndpointName endpoint, string status, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Endpoint {Endpoint}: somebody else set it to {Instances} instances, the router wanted {Wanted}. It is left so for a while; set scaling to Recommend, or change the bounds, if it is to stay.")]
    private partial void LogAdopted(EndpointName endpoint, int instances, int wanted);
}

/// <summary>A <see cref="CapacityKeeper"/> as it is stored.</summary>
public sealed record CapacityKeeperState
{
    /// <summary>What is wanted.</summary>
    public CapacityPlanState? Plan { get; init; }

    /// <summary>Instances that SageMaker was told last, or that it reported and that were taken as they are; null before either.</summary>
    public int? Told { get; init; }

    /// <summary>What it reported before it was told that, until the change has been made; null then.</summary>
    public int? Before { get; init; }

    /// <summary>What it reported last.</summary>
    public EndpointDescription? Described { get; init; }

    /// <summary>Why the wanted count last changed.</summary>
    public string LastChange { get; init; } = "";
}
