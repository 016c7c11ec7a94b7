using System.Runtime.ExceptionServices;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Concurrency;
using Orleans.Serialization.Invocation;
using OrleansInference.Hosting;

namespace OrleansInference.Batch;

/// <summary>
/// One batch window. Members joining at the same time share a write. Each step can be repeated: objects and the transform job are named
/// after the window and its round, and members are told until they have taken it.
/// </summary>
[MayInterleave(nameof(MayInterleave))]
internal sealed partial class BatchWindowGrain(
    [PersistentState("batch-window", OrleansInferenceOptions.StorageName)] IPersistentState<WindowRecord> storage,
    WindowFiles files,
    WindowAudit audit,
    ITransformJobs transformJobs,
    RouterClock clock,
    IOptions<OrleansInferenceOptions> options,
    IOptions<ReminderOptions> reminders,
    ILogger<BatchWindowGrain> logger) : RoundsGrain<WindowRecord>(storage, transformJobs, clock, options, reminders), IBatchWindowGrain, IRemindable
{
    private const string ReminderName = "window";
    private const int ToldAtOnce = 32;

    private BatchWindow? _window;
    private Task _opening = Task.CompletedTask;
    private Task? _writing;
    private Task? _nextWrite;

    public static bool MayInterleave(IInvokable request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return request.GetMethodName() is nameof(Join) or nameof(Leave) or nameof(GetView);
    }

    private string Key => this.GetPrimaryKeyString();

    private WindowRecord Record => Stored;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        RequireKnownForm();
        if (Record.Endpoint is not null)
        {
            _window = new(Record, Limits);
            Schedule();
        }

        return Task.CompletedTask;
    }

    public async Task<bool> Join(EndpointConfiguration endpoint, WindowMember member)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        ArgumentNullException.ThrowIfNull(member);
        RequireState();
        if (_window is null)
        {
            if (_opening.IsCompleted)
            {
                _opening = OpenAsync(endpoint);
            }

            await _opening;
        }

        if (!_window!.Join(member, Clock.Now))
        {
            return false;
        }

        await SaveAsync();
        Schedule();
        return true;
    }

    public async Task<bool> Leave(string jobKey)
    {
        RequireState();
        if (_window?.Leave(jobKey) is not true)
        {
            return false;
        }

        await SaveAsync();
        return true;
    }

    public Task<WindowView> GetView() => Task.FromResult(new WindowView
    {
        State = _window is null ? WindowState.Ended : Record.State,
        Members = Record.Members.Count,
        ClosesAt = _window is null ? 0 : _window.ClosesAt,
        ExpectedAt = _window is null ? 0 : _window.ExpectedAt(Clock.Now),
        TransformJob = Record.State is WindowState.Running ? _window?.TransformJob(Options.TransformJobPrefix) : null,
    });

    public async Task ReceiveReminder(string reminderName, TickStatus status)
    {
        RequireState();
        if (_window is null)
        {
            await ForgetReminderAsync(ReminderName);
            return;
        }

        await AdvanceAsync();
    }

    private async Task OpenAsync(EndpointConfiguration endpoint)
    {
        await RemindAsync(ReminderName, RecoverEvery, RecoverEvery);
        var overhead = await GrainFactory.GetGrain<IBatchWindowsGrain>(endpoint.Endpoint.Name.Value).GetOverhead();
        var window = new BatchWindow(Record, Limits);
        window.Open(endpoint, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(5)), overhead, Clock.Now);
        _window = window;
    }

    protected override Task? TakeDueStep() => _window is { } window && window.Next() is var step && step.At <= Clock.Now ? PerformAsync(window, step.Action) : null;

    protected override bool StepFailed(double chance, long now) => _window?.Failed(chance, now) is true;

    private async Task PerformAsync(BatchWindow window, WindowAction action)
    {
        switch (action)
        {
            case WindowAction.Close:
                window.Close(Clock.Now);
                await SaveAsync();
                break;
            case WindowAction.Start:
                await StartAsync(window);
                break;
            case WindowAction.Look:
                await LookAsync(window);
                break;
            case WindowAction.Tell:
                await TellAsync(window);
                break;
            default:
                await PurgeAsync();
                break;
        }
    }

    private async Task StartAsync(BatchWindow window)
    {
        if (window.IsWorthless(Clock.Now))
        {
            // A crash may have come between its start and the note of it.
            await TransformJobs.StopAsync(window.TransformJob(Options.TransformJobPrefix), CancellationToken.None);
            window.Refused("Every deadline passed before the transform job could be started.");
            await SaveAsync();
            return;
        }

        await files.WriteInputsAsync(Key, Record, CancellationToken.None);
        if (await CreateAsync(Record.Endpoint!.Endpoint, window.Instances, window.TransformJob(Options.TransformJobPrefix), files.InputPrefix(Key, Record), files.OutputPrefix(Key, Record)) is { } refusal)
        {
            window.Refused(refusal);
        }
        else
        {
            window.Started(Clock.Now);
        }

        await SaveAsync();
    }

    private async Task LookAsync(BatchWindow window)
    {
        var name = window.TransformJob(Options.TransformJobPrefix);
        if (await TransformJobs.DescribeAsync(name, CancellationToken.None) is not { } job)
        {
            window.Vanished();
            await SaveAsync();
            return;
        }

        if (job.IsUnderWay)
        {
            window.StillRuns(Clock.Now);
            if (job.State == TransformJobState.InProgress && window.IsWorthless(Clock.Now))
            {
                await TransformJobs.StopAsync(name, CancellationToken.None);
            }

            return;
        }

        var outcomes = await files.CollectAsync(Key, Record, job.Why(name), job.MayPass, window.IsLastLook(Clock.Now), CancellationToken.None);
        var (began, ended) = job.Billed(Clock.Now);
        var took = Math.Max(0, ended - began);
        var members = Record.Objects.Sum(static indexes => indexes.Count);
        var overhead = window.OverheadOf(members, Math.Max(0, ended - Record.StartedAt));
        window.RoundEnded(outcomes, began, took, CostOf(Record.Endpoint!, window.Instances, took), Clock.Now);
        await SaveAsync();
        await GrainFactory.GetGrain<IBatchWindowsGrain>(Record.Endpoint!.Endpoint.Name.Value).ReportOverhead(overhead);
    }

    private async Task TellAsync(BatchWindow window)
    {
        var (charged, predictions) = (Money.Zero, 0);
        ExceptionDispatchInfo? failed = null;
        var results = window.Results();
        await audit.ShareAsync(window.TransformJob(Options.TransformJobPrefix), Record, results);
        foreach (var some in results.Chunk(ToldAtOnce))
        {
            var told = some.Select(member => GrainFactory.GetGrain<IJobGrain>(member.JobKey).WindowEnded(member.Result)).ToList();
            await ((Task)Task.WhenAll(told)).ConfigureAwait(ConfigureAwaitOptions.ContinueOnCapturedContext | ConfigureAwaitOptions.SuppressThrowing);
            foreach (var (member, (_, result)) in told.Zip(some))
            {
                try
                {
                    // An answer that costs something, and for which nothing was charged, came to a job that had ended otherwise.
                    var charge = await member;
                    charged += charge;
                    predictions += result.Failure is null && (charge > Money.Zero || result.Charge == Money.Zero) ? 1 : 0;
                }
                catch (Exception exception)
                {
                    failed ??= ExceptionDispatchInfo.Capture(exception);
                }
            }
        }

        // A member that cannot be told keeps no other from its answer; all are told again.
        failed?.Throw();

        if (Record.Members.Count > 0)
        {
            await GrainFactory.GetGrain<IEndpointGrain>(Record.Endpoint!.Endpoint.Name.Value).Book(
                window.TransformJob(Options.TransformJobPrefix),
                Money.FromNanos(Record.Cost),
                charged,
                predictions);
        }

        window.End();
        await SaveAsync();
    }

    private async Task PurgeAsync()
    {
        await files.DeleteAsync(Key, Record, CancellationToken.None);
        await ForgetAsync(ReminderName);
        _window = null;
    }

    /// <summary>Completes when everything changed so far is durable; calls during a write share the next one.</summary>
    protected override Task SaveAsync()
    {
        if (_nextWrite is { } shared)
        {
            return shared;
        }

        return _writing is { IsCompleted: false } running ? _nextWrite = AfterAsync(running) : _writing = WriteNowAsync();

        async Task AfterAsync(Task before)
        {
            await before.ConfigureAwait(ConfigureAwaitOptions.ContinueOnCapturedContext | ConfigureAwaitOptions.SuppressThrowing);
            _nextWrite = null;
            await (_writing = WriteNowAsync());
        }
    }

    private Task WriteNowAsync()
    {
        RequireState();
        return WriteAsync();
    }

    protected override void Schedule()
    {
        if (_window is { } window)
        {
            SetTimer(AdvanceAsync, TimeSpan.FromMilliseconds(Math.Max(0, window.Next().At - Clock.Now)));
        }
    }

    protected override void LogFault(Exception exception) => LogFault(exception, Key, Record.State, Record.Round);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Batch window {Window} in state {State}, round {Round}: a step failed and will be tried again.")]
    private partial void LogFault(Exception exception, string window, WindowState state, int round);
}
