using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Concurrency;
using Orleans.Serialization.Invocation;
using OrleansInference.Hosting;
using OrleansInference.Persistence;

namespace OrleansInference.Jobs;

/// <summary>
/// One job. The order at acceptance is: reminder, input, reservation, state. A crash before the state is stored leaves a reminder
/// that finds no job of its name, releases the reservation and deletes the input; a crash after it leaves a reminder that goes on with the job.
/// A job whose next step is far away is not in memory: its reminder is set to that step, and what happens to it meanwhile brings it back.
/// </summary>
[MayInterleave(nameof(MayInterleave))]
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

    // With notifications, looking is for those that were lost: a job that waits for hours is not to be looked for every minute.
    private const int NotifiedPollFactor = 15;

    private static readonly TimeSpan PurgeEvery = TimeSpan.FromMinutes(5);

    // What storing an input may take, and then some.
    private static readonly TimeSpan InputKept = TimeSpan.FromHours(2);
    private static readonly TimeSpan RetryAfterFault = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ComeBackIn = TimeSpan.FromSeconds(1);

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

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        _ended.TrySetResult();
        return Task.CompletedTask;
    }

    public Task<InferenceOutcome> Accept(JobSpecification specification) => AcceptAsync(specification, null);

    public Task Expect(JobSpecification specification)
    {
        ArgumentNullException.ThrowIfNull(specification);
        RequireState();
        return RemindAsync(JobReminder.Of(specification).Name, InputKept, InputKept);
    }

    public Task<InferenceOutcome> AcceptWithInput(JobSpecification specification, JobInput input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return AcceptAsync(specification, input);
    }

    private async Task<InferenceOutcome> AcceptAsync(JobSpecification specification, JobInput? input)
    {
        ArgumentNullException.ThrowIfNull(specification);
        RequireState();
        if (_address.JobId is null || _address.Tenant != specification.Request.Tenant)
        {
            throw new ArgumentException($"'{this.GetPrimaryKeyString()}' is not a job of tenant '{specification.Request.Tenant}'.", nameof(specification));
        }

        if (_machine is { } known)
        {
            return await AnswerAgainAsync(known, specification, isStored: input is null);
        }

        var route = specification.Route;
        if (await world.FindEndpointAsync(route.Endpoint) is not { } endpoint)
        {
            return InferenceOutcome.Refused(ProblemCode.Unavailable, $"Endpoint '{route.Endpoint}' is not known any more; send the request again.", TimeSpan.FromSeconds(1), route);
        }

        var machine = new JobMachine(
            new()
            {
                JobId = _address.JobId,
                Specification = specification with { Request = specification.Request with { Body = default } },
                Endpoint = endpoint,
                ReservationId = ReservationId(specification.AcceptedAt),
            },
            _times);
        var every = TimeSpan.FromMilliseconds(machine.RecoverEveryMs(Clock.Now));
        _remindedAt = Clock.Now + (long)every.TotalMilliseconds;
        await RemindAsync(JobReminder.Of(specification).Name, every, every);
        if (input is not null && await StoreInputAsync(specification, input) is { } notStored)
        {
            await WithdrawAsync(specification, input);
            return notStored;
        }

        if (await funding.TakeAsync(Tenant, _address.Tenant, machine) is { } refusal)
        {
            await WithdrawAsync(specification, input);
            return new() { Problem = refusal, Route = route };
        }

        _machine = machine;
        await SaveAsync();
        Schedule();
        return new() { JobId = _address.JobId, Route = route, HeldUntil = _view!.HeldUntil };
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
            await AdvanceAsync();
            return;
        }

        // It was set for a job that never became durable: if its reservation was made, that ends here, and is recorded as every end is.
        if (reminder is not null && await Tenant.Settle(ReservationId(reminder.AcceptedAt), Money.Zero) is { Charge.Nanos: 0 } ended)
        {
            await world.AuditReleaseAsync(_address, ReservationId(reminder.AcceptedAt), reminder, ended);
        }

        if (reminder?.InputKeyOf(_address) is { } left && _machine?.Record.Specification.InputKey != left)
        {
            await world.DeleteAsync(new S3Address(options.Value.PayloadBucket, left));
        }

        await ForgetReminderAsync(reminderName);
    }

    private ITenantGrain Tenant => world.TenantOf(_address);

    private async Task<InferenceOutcome?> StoreInputAsync(JobSpecification specification, JobInput input)
    {
        try
        {
            await world.StoreInputAsync(specification, input);
            return null;
        }
        catch (Exception exception)
        {
            LogInputNotStored(exception, _address.Key);
            return InferenceOutcome.Refused(ProblemCode.UpstreamUnavailable, $"The input could not be stored: {exception.Message}", ComeBackIn, specification.Route);
        }
    }

    /// <summary>Takes back what was begun for a job that is not accepted. An input that cannot be deleted now is left to the reminder.</summary>
    private async Task WithdrawAsync(JobSpecification specification, JobInput? input)
    {
        DeactivateOnIdle();
        try
        {
            if (input is not null)
            {
                await world.DeleteAsync(new S3Address(options.Value.PayloadBucket, specification.InputKey));
            }
        }
        catch (Exception exception)
        {
            LogInputLeft(exception, _address.Key, specification.InputKey);
            return;
        }

        await ForgetReminderAsync(JobReminder.Of(specification).Name);
    }

    private async Task<InferenceOutcome> AnswerAgainAsync(JobMachine known, JobSpecification specification, bool isStored)
    {
        var record = known.Record;
        if (isStored && record.Specification.InputKey != specification.InputKey)
        {
            await world.DeleteAsync(new S3Address(options.Value.PayloadBucket, specification.InputKey));
        }

        return JobMachine.IsSame(record.Specification, specification)
            ? new() { JobId = record.JobId, Route = known.ToView().Route, HeldUntil = known.ToView().HeldUntil }
            : InferenceOutcome.Refused(
                ProblemCode.IdempotencyConflict,
                "The idempotency key was used with another request before; use a new key for a new request.",
                route: specification.Route);
    }

    /// <summary>Does everything that is due, then sets the timer for what comes next.</summary>
    private async Task AdvanceAsync()
    {
        try
        {
            for (var steps = 0; steps < MaxStepsInARow && _machine is { } machine && machine.Next() is var step && step.At <= Clock.Now; steps++)
            {
                await PerformAsync(step.Action);
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
    /// have ended by then. Not while somebody waits here for the end, nor when somebody has asked since the last step and may do so again.
    /// </summary>
    private async Task RestAsync()
    {
        if (_waiting == 0 && !_isAsked && _machine is { } machine && machine.RestsUntil(Clock.Now) is { } step)
        {
            if (_remindedAt < Clock.Now || _remindedAt > step.At)
            {
                _remindedAt = 0;
                await RemindAsync(ReminderOf(machine.Record), TimeSpan.FromMilliseconds(step.At - Clock.Now), TimeSpan.FromMilliseconds(machine.RecoverEveryMs(step.At)));
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
            case JobAction.Reply:
                await ReplyAsync(machine);
                return;
            default:
                await PurgeAsync(before);
                return;
        }

        var after = machine.Record;
        if (after.State != before.State || after.Ending is not null || after.Failures != before.Failures)
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
        Stored = new() { Record = _machine!.Record };
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

        // An ended job is only waited for by its reminder, so that it need not stay in memory. One that may rest looks in a while whether anybody still asks for it.
        var step = machine.Next();
        if (step.Action != JobAction.Purge)
        {
            var wait = machine.RestsUntil(Clock.Now) is null ? step.At - Clock.Now : _times.RestFromMs;
            SetTimer(AdvanceAsync, TimeSpan.FromMilliseconds(Math.Max(0, wait)));
        }
    }

    // A job that was moved keeps the reminder that it was accepted with.
    private static string ReminderOf(JobRecord record) =>
        JobReminder.Of(record.Before is { } before ? record.Specification with { Route = before.Route } : record.Specification).Name;

    private string ReservationId(long acceptedAt) => $"{_address.Key}/{acceptedAt}";

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job}: its input could not be stored.")]
    private partial void LogInputNotStored(Exception exception, string job);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job}: input object {Key} of a submission that was not accepted could not be deleted; the job's reminder tries again.")]
    private partial void LogInputLeft(Exception exception, string job, string key);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job} in state {State}: a step failed and will be tried again.")]
    private partial void LogFault(Exception exception, string job, JobState? state);
}
