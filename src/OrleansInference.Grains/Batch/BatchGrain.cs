using System.Collections.Frozen;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Concurrency;
using Orleans.Serialization.Invocation;
using OrleansInference.Audit;
using OrleansInference.Hosting;
using OrleansInference.Jobs;
using OrleansInference.Persistence;

namespace OrleansInference.Batch;

/// <summary>What a batch's grain stores.</summary>
public sealed class StoredBatch : IStoredForm
{
    /// <summary>Most pieces that are stored one by one. The largest batch begins with fewer; one with more is stored in form 1.</summary>
    public const int MostPlainPieces = 2_500;

    /// <inheritdoc/>
    public int Form { get; set; }

    /// <inheritdoc/>
    int IStoredForm.NewestForm => 2;

    /// <summary>The batch, in form 1 without its pieces; null before it began and after it was purged. In form 2 it is held for the budget, or has ended so: a release that knows none such would take it for one that was never accepted.</summary>
    public BatchRecord? Record { get; set; }

    /// <summary>In form 1: the pieces, packed, so that a batch of which every record has a fate of its own fits one item of any store.</summary>
    public byte[]? Pieces { get; set; }

    /// <summary>A batch as it is stored.</summary>
    public static StoredBatch Of(BatchRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        return record.Pieces.Count > MostPlainPieces
            ? new() { Form = 1, Record = record with { Pieces = [] }, Pieces = PackedPieces.Pack(record.Pieces) }
            : new() { Form = record.HeldUntil > 0 ? 2 : 0, Record = record };
    }

    /// <summary>The batch; null if there is none.</summary>
    public BatchRecord? ToRecord() => Pieces is { } packed ? Record! with { Pieces = PackedPieces.Unpack(packed) } : Record;
}

/// <summary>
/// One batch. The order at acceptance is: reminder, state, reservation or a place among the held, state. Before the second write nobody was told of
/// the batch, and the reminder takes all of it back.
/// </summary>
[MayInterleave(nameof(MayInterleave))]
internal sealed partial class BatchGrain(
    [PersistentState("batch", OrleansInferenceOptions.StorageName)] IPersistentState<StoredBatch> storage,
    JobWorld world,
    Funding funding,
    BatchFiles files,
    ITransformJobs transformJobs,
    RouterClock clock,
    IServiceProvider services,
    IOptions<OrleansInferenceOptions> options,
    IOptions<ReminderOptions> reminders,
    ILogger<BatchGrain> logger) : RoundsGrain<StoredBatch>(storage, transformJobs, clock, options, reminders), IBatchGrain, IRemindable
{
    private const string ReminderName = "batch";
    private const string UploadReminder = "upload/";

    /// <summary>What an upload may take, and then some: what was not made a batch by then is deleted.</summary>
    internal static readonly TimeSpan UploadsKept = TimeSpan.FromHours(2);

    private static readonly TimeSpan PurgeEvery = TimeSpan.FromMinutes(5);

    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly IAuditLog? _audit = services.GetService<IAuditLog>();

    private JobAddress _address;
    private BatchMachine? _machine;
    private BatchView? _view;
    private IReadOnlySet<int> _outputs = FrozenSet<int>.Empty;

    // Reading what is durable needs no turn of its own: a wait must not keep the batch from ending.
    public static bool MayInterleave(IInvokable request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return request.GetMethodName() is nameof(Get) or nameof(WaitForEnd) or nameof(FindRun);
    }

    private ITenantGrain Tenant => GrainFactory.GetGrain<ITenantGrain>(_address.Tenant.Value);

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        RequireKnownForm();
        if (JobAddress.TryParse(this.GetPrimaryKeyString(), out _address) && Stored.ToRecord() is { } record)
        {
            _machine = MachineOf(record);
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

    public Task Expect(string upload)
    {
        ArgumentException.ThrowIfNullOrEmpty(upload);
        RequireState();
        return RemindAsync(UploadReminder + upload, UploadsKept, UploadsKept);
    }

    public async Task<InferenceOutcome> Accept(BatchSpecification specification)
    {
        ArgumentNullException.ThrowIfNull(specification);
        RequireState();
        if (_address.JobId is null || _address.Tenant != specification.Request.Tenant)
        {
            throw new ArgumentException($"'{this.GetPrimaryKeyString()}' is not a batch of tenant '{specification.Request.Tenant}'.", nameof(specification));
        }

        if (_machine is { IsAccepted: true } known)
        {
            return AnswerAgain(known, specification);
        }

        if (_machine is not null && _machine.Record.Specification.Upload != specification.Upload)
        {
            // An earlier submission got no further than this, and its caller asks again.
            await DiscardAsync(_machine.Record);
            _machine = null;
        }

        var route = specification.Route;
        if (_machine is null)
        {
            if (await world.FindEndpointAsync(route.Endpoint) is not { } endpoint)
            {
                return InferenceOutcome.Refused(ProblemCode.Unavailable, $"Endpoint '{route.Endpoint}' is not known any more; send the batch again.", TimeSpan.FromSeconds(1), route);
            }

            if (await this.GetReminder(UploadReminder + specification.Upload) is null)
            {
                return InferenceOutcome.Refused(ProblemCode.Unavailable, $"Storing the records took longer than {UploadsKept.TotalHours:0} h; send fewer at a time.", route: route);
            }

            await RemindAsync(ReminderName, RecoverEvery, RecoverEvery);
            _machine = MachineOf(BatchMachine.Begin(_address.JobId, specification, endpoint, BatchMachine.ReservationId(_address, specification.Upload)));
            await SaveAsync();
        }

        // What comes of it is nobody's to see before it is stored: a call that fails may leave it held here and nowhere else.
        var machine = MachineOf(_machine.Record);
        if (await funding.TakeAsync(Tenant, _address.Tenant, machine) is { } refusal)
        {
            // The upload is left: its owner may ask again, by another route or to be held, or deletes it.
            await ForgetAsync(ReminderName);
            _machine = null;
            return new() { Problem = refusal, Route = route };
        }

        _machine = machine;
        await SaveAsync();
        Schedule();
        return new() { JobId = _address.JobId, Route = route, HeldUntil = _view!.HeldUntil };
    }

    public async Task<BatchView?> Get()
    {
        await CountOutputsAsync();
        return _view;
    }

    public async Task<BatchView?> WaitForEnd(TimeSpan wait)
    {
        if (_view is not null && !_ended.Task.IsCompleted && wait > TimeSpan.Zero)
        {
            // Running out is the usual end of a wait, so it is no exception.
            await Task.WhenAny(_ended.Task, Task.Delay(Clock.ToWall(wait), Clock.TimeProvider));
        }

        return _view;
    }

    public async Task<BatchView?> Cancel()
    {
        RequireState();
        if (_machine is { IsAccepted: true, Record: { Ending: null, CancelledAt: 0 } } machine)
        {
            machine.Cancel(Clock.Now);
            await SaveAsync();
        }

        await AdvanceAsync();
        return _view;
    }

    public async Task Funded(string reservationId, long admittedAt)
    {
        RequireState();
        if (_machine is { IsHeld: true, Record.Ending: null } machine && machine.Record.ReservationId == reservationId)
        {
            machine.Funded(admittedAt, Clock.Now);
            await SaveAsync();
            await AdvanceAsync();
        }
    }

    public Task<BatchRun?> FindRun(long from)
    {
        if (_machine is not { IsAccepted: true } machine)
        {
            return Task.FromResult<BatchRun?>(null);
        }

        var record = machine.Record;
        var first = 1L;
        var open = 0;
        foreach (var piece in record.Pieces)
        {
            var next = first + piece.Count;
            if (next > from && (!piece.IsOpen || record.MayRun))
            {
                // Pieces with answers never grow, so a page ends where one of them does. Failed ones may have become one meanwhile.
                first = Math.Max(first, from);
                return Task.FromResult<BatchRun?>(new()
                {
                    First = first,
                    Count = (int)(next - first),
                    OutputKey = piece.IsDone ? BatchFiles.OutputKey(_address, record, piece.Round, piece.Index)
                        : piece.IsOpen ? BatchFiles.OutputKey(_address, record, record.Round, open)
                        : null,
                    Failure = piece.Failure,
                });
            }

            first = next;
            open += piece.IsOpen ? 1 : 0;
        }

        return Task.FromResult<BatchRun?>(null);
    }

    public async Task ReceiveReminder(string reminderName, TickStatus status)
    {
        RequireState();
        if (reminderName.StartsWith(UploadReminder, StringComparison.Ordinal))
        {
            var upload = reminderName[UploadReminder.Length..];
            if (_machine?.Record.Specification.Upload != upload)
            {
                await files.DeleteAsync(_address, upload, CancellationToken.None);
            }

            await ForgetReminderAsync(reminderName);
            return;
        }

        if (_machine is null)
        {
            await ForgetReminderAsync(ReminderName);
            return;
        }

        await AdvanceAsync();
    }

    private BatchMachine MachineOf(BatchRecord record) => new(record, Limits, (long)Options.JobRetention.TotalMilliseconds);

    private static InferenceOutcome AnswerAgain(BatchMachine known, BatchSpecification specification) =>
        BatchMachine.IsSame(known.Record.Specification, specification)
            ? new() { JobId = known.Record.BatchId, Route = known.ToView()!.Route, HeldUntil = known.ToView()!.HeldUntil, IsReplay = known.Record.Specification.Upload != specification.Upload }
            : InferenceOutcome.Refused(
                ProblemCode.IdempotencyConflict,
                "The idempotency key was used with another batch before; use a new key for a new batch.",
                route: specification.Route);

    protected override Task? TakeDueStep() => _machine is { } machine && machine.Next() is var step && step.At <= Clock.Now ? PerformAsync(machine, step.Action) : null;

    protected override bool StepFailed(double chance, long now) => _machine?.Failed(chance, now) is true;

    private async Task PerformAsync(BatchMachine machine, BatchAction action)
    {
        switch (action)
        {
            case BatchAction.Start:
                await StartAsync(machine);
                break;
            case BatchAction.Reserve:
                await funding.AskAsync(Tenant, machine);
                await SaveAsync();
                break;
            case BatchAction.Look:
                await LookAsync(machine);
                break;
            case BatchAction.End:
                machine.End(Clock.Now);
                await SaveAsync();
                break;
            case BatchAction.Settle:
                await SettleAsync(machine);
                break;
            case BatchAction.Discard:
                await DiscardAsync(machine.Record);
                await ForgetAsync(ReminderName);
                _machine = null;
                break;
            default:
                await files.DeleteAsync(_address, machine.Record.Specification.Upload, CancellationToken.None);
                await ForgetReminderAsync(UploadReminder + machine.Record.Specification.Upload);
                await ForgetAsync(ReminderName);
                (_machine, _view) = (null, null);
                break;
        }
    }

    protected override async Task SaveAsync()
    {
        Stored = StoredBatch.Of(_machine!.Record);
        await WriteAsync();
        Publish();
    }

    private void Publish()
    {
        _view = _machine?.ToView(_outputs);
        if (_machine is { Record.Settled: true })
        {
            _ended.TrySetResult();
        }
    }

    protected override void Schedule()
    {
        // An ended batch is only waited for by its reminder, so that it need not stay in memory; but what failed is not left for so long.
        if (_machine is { } machine && machine.Next() is var step && (step.Action is not (BatchAction.Purge or BatchAction.Discard) || machine.Record.Failures > 0))
        {
            SetTimer(AdvanceAsync, TimeSpan.FromMilliseconds(Math.Max(0, step.At - Clock.Now)));
        }
    }

    protected override void LogFault(Exception exception) => LogFault(exception, _address.Key, _machine?.Record.Round ?? 0);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Batch {Batch}, round {Round}: a step failed and will be tried again.")]
    private partial void LogFault(Exception exception, string batch, int round);
}
