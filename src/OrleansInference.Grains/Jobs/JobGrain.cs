using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Concurrency;
using Orleans.Serialization.Invocation;
using OrleansInference.Hosting;
using OrleansInference.Persistence;

namespace OrleansInference.Jobs;

/// <summary>
/// One job. A job whose next step is far away is not in memory: its reminder is set to that step, and what happens to it meanwhile brings it back.
/// </summary>
[MayInterleave(nameof(MayInterleave))]
[CollectionAgeLimit(Minutes = 2)]
internal sealed partial class JobGrain(
    [PersistentState("job", OrleansInferenceOptions.StorageName)] IPersistentState<StoredJob> storage,
    JobWorld world,
    Funding funding,
    RouterClock clock,
    IOptions<OrleansInferenceOptions> options,
    IOptions<ReminderOptions> reminders,
    ILogger<JobGrain> logger) : RemindedGrain<StoredJob>(storage, clock, reminders), IJobGrain, IRemindable
{
    private const int MaxStepsInARow = 16;

    // With notifications, looking is for those that were lost.
    private const int NotifiedPollFactor = 12;

    private static readonly TimeSpan PurgeEvery = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan RetryAfterFault = TimeSpan.FromSeconds(5);

    // A timer that is to come does not keep a grain in memory; until it has come, this does.
    private static readonly TimeSpan StaysAtLeast = TimeSpan.FromMinutes(1);

    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly JobTimes _times = new()
    {
        RetentionMs = (long)options.Value.JobRetention.TotalMilliseconds,
        Notified = options.Value.NotificationQueue is not null,
        CheckEveryMs = (long)options.Value.MinPollInterval.TotalMilliseconds,
        CheckAtMostEveryMs = (long)options.Value.MaxPollInterval.TotalMilliseconds * (options.Value.NotificationQueue is null ? 1 : NotifiedPollFactor),
        WindowCheckEveryMs = (long)options.Value.WindowPollInterval.TotalMilliseconds,
        WebhookRetryForMs = (long)options.Value.WebhookRetryFor.TotalMilliseconds,
        RecoverAtLeastEveryMs = (long)clock.FromWall(reminders.Value.MinimumReminderPeriod).TotalMilliseconds,
    };

    private JobAddress _address;
    private JobMachine? _machine;
    private JobView? _view;
    private int _waiting;
    private bool _isAsked;

    // When the reminder of acceptance comes, as long as this is the activation that set it; 0: not known.
    private long _remindedAt;

    // Whether a reminder has come to this activation that was not set anew.
    private bool _isReminded;

    // Reading what is durable needs no turn of its own: a wait must not keep the job from ending.
    public static bool MayInterleave(IInvokable request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return request.GetMethodName() is nameof(Get) or nameof(WaitForEnd);
    }

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        RequireKnownForm();
        if (JobAddress.TryParse(this.GetPrimaryKeyString(), out _address) && Stored.Record is { } record)
        {
            _machine = new(record, _times);
            _machine.TakenUp(Random.Shared.NextDouble(), Clock.Now);
            Publish();
            Schedule();
        }

        return Task.CompletedTask;
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        await LeaveServingAsync(cancellationToken);
        _ended.TrySetResult();
    }

    public Task<JobView?> Get()
    {
        _isAsked = true;
        return Task.FromResult(_view);
    }

    public async Task<JobView?> WaitForEnd(TimeSpan wait)
    {
        if (_view is not null && !_ended.Task.IsCompleted && wait > TimeSpan.Zero)
        {
            (_isAsked, _waiting) = (true, _waiting + 1);

            // Running out is the usual end of a wait, so it is no exception.
            await Task.WhenAny(_ended.Task, Task.Delay(Clock.ToWall(wait), Clock.TimeProvider));
            _waiting--;
        }

        return _view;
    }

    public async Task<JobView?> Cancel()
    {
        RequireState();
        if (_machine is { Record.Ending: null } machine)
        {
            machine.Cancel(Clock.Now);
            _cancelCall?.Invoke();
            await SaveAsync();
            await AbandonAsync(machine.Record);
        }

        await AdvanceAsync();
        return _view;
    }

    public async Task Check()
    {
        RequireState();
        if (_machine is { Record: { Ending: null, State: JobState.Dispatched or JobState.Running } })
        {
            await PerformAsync(JobAction.Check);
            await AdvanceAsync();
        }
    }

    public async Task Funded(string reservationId, long admittedAt)
    {
        RequireState();
        if (_machine is { IsHeld: true, Record.Ending: null } machine && machine.Record.ReservationId == reservationId)
        {
            await TakeFundsAsync(machine, admittedAt);
            await AdvanceAsync();
        }
    }

    public async Task<Money> WindowEnded(WindowResult result)
    {
        ArgumentNullException.ThrowIfNull(result);
        RequireState();
        if (_machine is not { } machine)
        {
            await world.DeleteAsync(new S3Address(options.Value.PayloadBucket, result.OutputKey ?? ""));
            return Money.Zero;
        }

        var before = machine.Record;
        var location = result.OutputKey is { } key ? new S3Address(options.Value.PayloadBucket, key).ToString() : null;
        if (!machine.WindowEnded(result, location, "application/json", Clock.Now) && result.OutputKey is { } orphan)
        {
            await world.DeleteAsync(new S3Address(options.Value.PayloadBucket, orphan));
        }

        if (!ReferenceEquals(before, machine.Record))
        {
            await SaveAsync();
            Schedule();
        }

        // One that was cancelled before, or moved to the async lane, is counted where it ended.
        return machine.Record is { Specification.Route.Lane: Lane.Batch, Ending: { State: JobState.Succeeded } ending } && location is not null ? ending.Charge : Money.Zero;
    }

    public async Task ReceiveReminder(string reminderName, TickStatus status)
    {
        RequireState();
        var reminder = JobReminder.Parse(reminderName);
        if (_machine is { } machine && (reminder is null || reminder.AcceptedAt == machine.Record.Specification.AcceptedAt))
        {
            _isReminded = true;
            await AdvanceAsync();
            return;
        }

        await ReclaimAsync(reminder, reminderName);
    }

    private ITenantGrain Tenant => world.TenantOf(_address);

    /// <summary>Does everything that is due, then sets the timer for what comes next.</summary>
    private async Task AdvanceAsync()
    {
        try
        {
            await TakeServedAsync();
            for (var steps = 0; steps < MaxStepsInARow && !IsServing && _machine is { } machine && machine.Next() is var step && step.At <= Clock.Now; steps++)
            {
                await PerformAsync(step.Action);
            }

            if (IsServing)
            {
                // What comes of the call is what comes next.
                return;
            }

            await RestAsync();
        }
        catch (Exception exception)
        {
            LogFault(exception, _address.Key, _machine?.Record.State);
            SetTimer(AdvanceAsync, RetryAfterFault);
            return;
        }

        Schedule();
    }

    /// <summary>
    /// Leaves memory until the next step if that is far away, once the reminder is set to it. That of acceptance will do if it comes before the step: most jobs
    /// have ended by then. That of the deletion was set when the end was settled; should a crash have come between, the one before it comes, and it is set then.
    /// Not while somebody waits here for the end, nor when somebody has asked since the last step and may do so again.
    /// </summary>
    private async Task RestAsync()
    {
        if (_waiting == 0 && !_isAsked && _machine is { } machine && machine.RestsUntil(Clock.Now) is { } until)
        {
            var isEnded = machine.Next().Action == JobAction.Purge;
            if (isEnded ? _isReminded : _remindedAt < Clock.Now || _remindedAt > until)
            {
                _remindedAt = 0;
                await (isEnded
                    ? RemindToPurgeAsync(machine)
                    : RemindAsync(ReminderOf(machine.Record), TimeSpan.FromMilliseconds(until - Clock.Now), TimeSpan.FromMilliseconds(machine.RecoverEveryMs(until))));
            }

            if (_waiting == 0)
            {
                DeactivateOnIdle();
            }
        }

        _isAsked = false;
    }

    private async Task PerformAsync(JobAction action)
    {
        var machine = _machine!;
        var before = machine.Record;
        switch (action)
        {
            case JobAction.Dispatch:
                await world.LaneOf(before).DispatchAsync(_address, machine, CancellationToken.None);
                break;
            case JobAction.Check:
                await CheckAsync(machine);
                break;
            case JobAction.Reserve:
                await ReserveAsync(machine);
                return;
            case JobAction.Expire:
                machine.Expire(Clock.Now);
                break;
            case JobAction.Settle:
                await SettleAsync(machine);
                return;
            case JobAction.Hasten:
                await HastenAsync(machine);
                return;
            case JobAction.Serve:
                Serve(machine, isLate: true);
                return;
            case JobAction.Reply:
                await ReplyAsync(machine);
                return;
            default:
                await PurgeAsync(before);
                return;
        }

        var after = machine.Record;
        if (after.State != before.State || after.Ending is not null || after.Failures != before.Failures || after.HastenAt != before.HastenAt)
        {
            await SaveAsync();
        }

        if (action == JobAction.Expire && after.Ending is not null)
        {
            await AbandonAsync(after);
        }
    }

    private async Task CheckAsync(JobMachine machine)
    {
        try
        {
            await world.LaneOf(machine.Record).CheckAsync(_address, machine, CancellationToken.None);
        }
        catch (Exception exception)
        {
            // Looked at again later; the deadline ends it in any case.
            LogFault(exception, _address.Key, machine.Record.State);
            machine.NotYet(running: false, Clock.Now);
        }
    }

    private async Task AbandonAsync(JobRecord record)
    {
        try
        {
            await world.LaneOf(record).AbandonAsync(_address, record, CancellationToken.None);
        }
        catch (Exception exception)
        {
            // A member that could not leave costs its line in the transform job, nothing else.
            LogFault(exception, _address.Key, record.State);
        }
    }

    private async Task SaveAsync()
    {
        Stored = StoredJob.Of(_machine!.Record);
        await WriteAsync();
        Publish();
    }

    private void Publish()
    {
        _view = _machine!.ToView();
        if (_machine.Record.Settled)
        {
            _ended.TrySetResult();
        }
    }

    private void Schedule()
    {
        if (_machine is not { } machine)
        {
            return;
        }

        // One that may rest looks in a while whether anybody still asks for it. Deleted it is by its reminder.
        var isNear = machine.RestsUntil(Clock.Now) is null;
        var step = machine.Next();
        if (!isNear || step.Action != JobAction.Purge)
        {
            var wait = TimeSpan.FromMilliseconds(isNear ? Math.Max(0, step.At - Clock.Now) : _times.RestFromMs);
            SetTimer(AdvanceAsync, wait);
            DelayDeactivation(Clock.ToWall(wait) + StaysAtLeast);
        }
    }

    // A job that was moved keeps the reminder that it was accepted with.
    private static string ReminderOf(JobRecord record) =>
        JobReminder.Of(record.Before is { } before ? record.Specification with { Route = before.Route } : record.Specification).Name;

    private string ReservationId(long acceptedAt) => $"{_address.Key}/{acceptedAt}";

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job} in state {State}: a step failed and will be tried again.")]
    private partial void LogFault(Exception exception, string job, JobState? state);
}
