using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Concurrency;
using Orleans.Serialization.Invocation;
using OrleansInference.Audit;
using OrleansInference.Hosting;
using OrleansInference.Jobs;
using OrleansInference.Payloads;
using OrleansInference.Persistence;

namespace OrleansInference.Idempotency;

/// <summary>
/// One idempotency key. A claim lives in memory until money is reserved or a job is begun under it: what is lost before that has not happened.
/// The outcome is stored before it is settled and before anybody sees it; a reminder finishes or forgets what was interrupted. Whoever ends a
/// reservation in the ledger also writes its audit record: here, whatever became of the silo that made the call.
/// </summary>
[MayInterleave(nameof(MayInterleave))]
[CollectionAgeLimit(Minutes = 2)]
internal sealed partial class IdempotencyGrain(
    [PersistentState("key", OrleansInferenceOptions.StorageName)] IPersistentState<StoredKey> storage,
    ISiloStatusOracle silos,
    IObjectStore objects,
    IAuditLog audit,
    RouterClock clock,
    IOptions<OrleansInferenceOptions> options,
    IOptions<ReminderOptions> reminders,
    ILogger<IdempotencyGrain> logger) : RemindedGrain<StoredKey>(storage, clock, reminders), IIdempotencyGrain, IRemindable
{
    private const string ReminderName = "key";

    private static readonly TimeSpan LookAfter = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan LookAgain = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan RetryAfterFault = TimeSpan.FromSeconds(5);

    private JobAddress _address;
    private KeyMachine? _machine;
    private TaskCompletionSource _changed = New();

    private ITenantGrain Tenant => GrainFactory.GetGrain<ITenantGrain>(_address.Tenant.Value);

    private IJobGrain Job => GrainFactory.GetGrain<IJobGrain>(_address.Key);

    // A wait must not keep the request from ending.
    public static bool MayInterleave(IInvokable request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return request.GetMethodName() is nameof(Wait);
    }

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        if (JobAddress.TryParse(this.GetPrimaryKeyString(), out _address) && Stored.Record is { } record)
        {
            _machine = new(record);
        }

        return Task.CompletedTask;
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        Changed();
        return Task.CompletedTask;
    }

    public async Task<KeyReply> Begin(KeyRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        RequireState();
        var claim = Guid.NewGuid().ToString("n");
        if (_machine is not { } machine)
        {
            _machine = KeyMachine.New(request, claim);
            return new() { State = KeyState.Begun, Claim = claim };
        }

        if (machine.Record.IsJob && !machine.IsHeld(IsGone(machine.Record.Holder), Clock.Now))
        {
            await FindJobAsync(machine);
        }

        var known = machine.Begin(request, claim, IsGone(machine.Record.Holder), Clock.Now);
        if (known == KeyState.Ended)
        {
            // A settlement that was interrupted need not wait for the reminder.
            await SettleSoonAsync();
        }

        return new()
        {
            State = known,
            Claim = machine.Record.Claim,
            MustBeJob = machine.Record.IsJob,
            Outcome = known == KeyState.Ended ? machine.Record.Outcome : null,
            AnswerKey = known == KeyState.Ended ? machine.Record.AnswerKey : null,
        };
    }

    public async Task<ReservationReply> Reserve(string claim, KeyedCall call, long expiresAt)
    {
        ArgumentNullException.ThrowIfNull(call);
        var machine = Require(claim);
        var id = $"{_address.Key}/key/{Guid.NewGuid():n}";
        machine.Reserve(new(id, call, Clock.Now));
        await RemindAsync(machine.Record.ClaimUntil - Clock.Now + (long)LookAfter.TotalMilliseconds);
        await SaveAsync();
        await ReleaseAsync(machine);
        var reply = await Tenant.Reserve(id, call.Route.ChargeCap, expiresAt);
        if (reply.Granted)
        {
            machine.Reserved(reply.AdmittedAt);
        }
        else
        {
            machine.NotReserved();
        }

        return reply;
    }

    public async Task Bind(string claim)
    {
        var machine = Require(claim);
        machine.Bind();
        await RemindAsync(machine.Record.ClaimUntil - Clock.Now + (long)LookAfter.TotalMilliseconds);
        await SaveAsync();
        await ReleaseAsync(machine);
    }

    public async Task<bool> Complete(string claim, InferenceOutcome outcome, string? answerKey, double serviceMs)
    {
        ArgumentNullException.ThrowIfNull(outcome);
        RequireState();
        if (_machine is not { } machine || machine.Record.Claim != claim)
        {
            return false;
        }

        if (!machine.HasEnded)
        {
            machine.End(outcome, answerKey, serviceMs, Clock.Now);
            await SaveAsync();
            Changed();
        }

        await SettleSoonAsync();
        return true;
    }

    public async Task Abandon(string claim, bool forget, ProblemCode? problem)
    {
        RequireState();
        if (_machine is not { } machine || !machine.IsRunning(claim))
        {
            return;
        }

        machine.LetGo();
        if (IsStored || machine.Record.ToRelease.Count > 0)
        {
            // Should the ledger be out of reach, whoever presents the key next goes on from here.
            await SaveAsync();
            await ReleaseAsync(machine, problem);
        }

        if (forget)
        {
            await PurgeAsync();
        }

        Changed();
    }

    public Task Wait(string claim, TimeSpan wait) => _machine?.IsRunning(claim) == true && wait > TimeSpan.Zero
        ? Task.WhenAny(_changed.Task, Task.Delay(Clock.ToWall(wait), Clock.TimeProvider))
        : Task.CompletedTask;

    public async Task ReceiveReminder(string reminderName, TickStatus status)
    {
        RequireState();
        if (_machine is not { } machine || !IsStored)
        {
            await ForgetReminderAsync(ReminderName);
            return;
        }

        var now = Clock.Now;
        if (machine.IsHeld(IsGone(machine.Record.Holder), now))
        {
            await RemindAsync(machine.Record.ClaimUntil - now + (long)LookAfter.TotalMilliseconds);
            return;
        }

        if (machine.Record.IsJob && !machine.HasEnded)
        {
            await FindJobAsync(machine);
        }

        if (!machine.HasEnded)
        {
            // Its runner is gone and nobody asked again. What it did is not known, so it is not charged.
            machine.LetGo();
            await ReleaseAsync(machine);
            await PurgeAsync();
            return;
        }

        if (!machine.Record.Settled)
        {
            await SettleAsync(machine);
            await SaveAsync();
        }

        var kept = await KeptUntilAsync(machine.Record);
        if (now >= kept)
        {
            await PurgeAsync();
        }
        else
        {
            await RemindAsync(kept - now);
        }
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private bool IsGone(string holder) => silos.GetApproximateSiloStatus(SiloAddress.FromParsableString(holder)) is SiloStatus.Dead or SiloStatus.None;

    private async Task<long> KeptUntilAsync(KeyRecord record)
    {
        var retention = (long)options.Value.JobRetention.TotalMilliseconds;
        if (record.Outcome!.JobId is null)
        {
            return record.EndedAt + retention;
        }

        // A job is kept from its own end.
        return await Job.Get() is { } job ? (job.EndedAt ?? job.Deadline).ToUnixTimeMilliseconds() + retention : 0;
    }

    private async Task FindJobAsync(KeyMachine machine)
    {
        if (!machine.HasEnded && await Job.Get() is { } job)
        {
            machine.End(new() { JobId = job.JobId, Route = job.Route }, null, 0, Clock.Now);
            await SaveAsync();
        }
    }

    private async Task ReleaseAsync(KeyMachine machine, ProblemCode? problem = null)
    {
        if (machine.Record.ToRelease is not { Count: > 0 } toRelease)
        {
            return;
        }

        foreach (var reservation in toRelease)
        {
            await Tenant.Settle(reservation.Id, Money.Zero);
            Append(reservation, Money.Zero, Clock.Now, 0, problem);
        }

        await audit.FlushAsync(CancellationToken.None);
        machine.Released();
    }

    // Interrupted in between, all of it is done again: the ledger and the audit log take a reservation's end once.
    private async Task SettleAsync(KeyMachine machine)
    {
        await ReleaseAsync(machine);
        if (machine.Record is { Reservation: { } reservation, Outcome: { Route: { } route } outcome })
        {
            await Tenant.Settle(reservation.Id, route.Charge);
            Append(reservation, route.Charge, machine.Record.EndedAt, machine.Record.ServiceMs, outcome.Problem?.Code);
            await audit.FlushAsync(CancellationToken.None);
        }

        machine.SettlementTaken();
    }

    private void Append(KeyReservation reservation, Money charge, long endedAt, double serviceMs, ProblemCode? problem) => audit.Append(new()
    {
        Kind = charge > Money.Zero ? AuditKind.Settle : AuditKind.Release,
        Tenant = _address.Tenant,
        Request = reservation.Call.Route.DecisionId,
        Decision = reservation.Call.Route.DecisionId,
        Model = _machine!.Record.Model,
        Class = reservation.Call.Route.Class,
        Lane = reservation.Call.Route.Lane,
        Endpoint = reservation.Call.Route.Endpoint,
        Cap = reservation.Call.Route.ChargeCap,
        Charge = charge,
        ReservedAt = reservation.At,
        EndedAt = endedAt,
        ArrivedAt = reservation.Call.ArrivedAt,
        Deadline = reservation.Call.Deadline,
        ServiceMs = serviceMs,
        InputTokens = reservation.Call.InputTokens,
        Problem = problem,
        Reservation = reservation.Id,
    });

    // The outcome is durable, so its charge can wait for the ledger: until then the whole cap stays reserved.
    private async Task SettleSoonAsync()
    {
        try
        {
            if (_machine is { HasEnded: true, Record.Settled: false } machine)
            {
                await SettleAsync(machine);
            }
        }
        catch (Exception exception)
        {
            LogFault(exception, this.GetPrimaryKeyString());
            SetTimer(SettleSoonAsync, RetryAfterFault);
        }
    }

    private async Task PurgeAsync()
    {
        if (_machine is { Record.AnswerKey: not null })
        {
            foreach (var key in await objects.ListAsync(options.Value.PayloadBucket, AnswerStore.Prefix(_address), CancellationToken.None))
            {
                await objects.DeleteAsync(options.Value.PayloadBucket, key, CancellationToken.None);
            }
        }

        _machine = null;
        if (IsStored)
        {
            await ForgetAsync(ReminderName);
        }
        else
        {
            DeactivateOnIdle();
        }
    }

    private Task SaveAsync()
    {
        Stored = new() { Record = _machine!.Record };
        return WriteAsync();
    }

    private KeyMachine Require(string claim)
    {
        RequireState();
        return _machine is { } machine && machine.IsRunning(claim)
            ? machine
            : throw new OrleansException($"Idempotency key '{this.GetPrimaryKeyString()}' was taken over by a repetition of the request.");
    }

    private void Changed()
    {
        _changed.TrySetResult();
        _changed = New();
    }

    private Task RemindAsync(long dueMs) => RemindAsync(ReminderName, TimeSpan.FromMilliseconds(Math.Max(1, dueMs)), LookAgain);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Idempotency key {Key}: its charge could not be settled yet and will be.")]
    private partial void LogFault(Exception exception, string key);
}

/// <summary>What the grain of an idempotency key stores.</summary>
public sealed class StoredKey
{
    /// <summary>The key; null before it was used and after it was forgotten.</summary>
    public KeyRecord? Record { get; set; }
}
