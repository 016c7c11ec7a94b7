using Microsoft.Extensions.Logging;

namespace OrleansInference.Jobs;

// Its acceptance, in this order: reminder, input, reservation, state. A crash before the state is stored leaves a reminder that finds no job of its name, releases the
// reservation and deletes the input; a crash after it leaves a reminder that goes on with the job.
internal sealed partial class JobGrain
{
    // What storing an input may take, and then some.
    private static readonly TimeSpan InputKept = TimeSpan.FromHours(2);
    private static readonly TimeSpan ComeBackIn = TimeSpan.FromSeconds(1);

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

    public Task<InferenceOutcome> AcceptDeferred(JobSpecification specification, JobInput? input) => AcceptAsync(specification, input);

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
            return InferenceOutcome.Refused(ProblemCode.Unavailable, $"Endpoint '{route.Endpoint}' is not known any more; send the request again.", ComeBackIn, route);
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
        var now = Clock.Now;
        var dueMs = machine.RecoverInMs(now);
        _remindedAt = now + dueMs;
        await RemindAsync(JobReminder.Of(specification).Name, TimeSpan.FromMilliseconds(dueMs), TimeSpan.FromMilliseconds(machine.RecoverEveryMs(_remindedAt)));
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

    /// <summary>Ends what a reminder was set for that never became a durable job.</summary>
    private async Task ReclaimAsync(JobReminder? reminder, string reminderName)
    {
        // If its reservation was made, that ends here, and is recorded as every end is.
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

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job}: its input could not be stored.")]
    private partial void LogInputNotStored(Exception exception, string job);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job}: input object {Key} of a submission that was not accepted could not be deleted; the job's reminder tries again.")]
    private partial void LogInputLeft(Exception exception, string job, string key);
}
