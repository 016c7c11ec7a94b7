using System.Collections.Concurrent;
using OrleansInference.Dispatch;
using OrleansInference.Hosting;
using OrleansInference.Idempotency;
using OrleansInference.Jobs;
using OrleansInference.Payloads;
using OrleansInference.Telemetry;

namespace OrleansInference.Ingest;

/// <summary>
/// Makes the messages of one queue into jobs, on one silo. A message is deleted only after its job is durable, or a copy with the reason
/// lies in the dead-letter queue; it may come any number of times, its idempotency key makes it one job.
/// </summary>
internal sealed partial class QueueReceiver(
    QueueSettings settings,
    MessageFormat format,
    bool createQueues,
    IMessageQueue queue,
    IDispatcher dispatcher,
    IJobs jobs,
    JobReplies replies,
    RouterClock clock,
    ILogger<QueueReceiver> logger)
{
    private static readonly TimeSpan LongPoll = TimeSpan.FromSeconds(20);
    private const long FirstPauseMs = 1_000;
    private const long LongestPauseMs = 60_000;
    private static readonly TimeSpan HandledAtMost = TimeSpan.FromMinutes(5);

    private readonly ReceiverPace _pace = new();
    private readonly ConcurrentDictionary<Task, bool> _inHand = new();
    private string _url = "";
    private string? _deadLetters;

    /// <summary>Receives until <paramref name="stopping"/>, then lets what is in hand come to its end, at most until <paramref name="giveUp"/>.</summary>
    public async Task RunAsync(CancellationToken stopping, CancellationToken giveUp)
    {
        using var slots = new SemaphoreSlim(settings.MaxInFlight);
        var faults = 0;
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (_url.Length == 0)
                {
                    await FindQueuesAsync(stopping);
                }

                await ReceiveAsync(slots, stopping, giveUp);
                faults = 0;
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                break;
            }
            catch (Exception exception)
            {
                LogQueueFailed(exception, settings.Queue);
                _pace.Refused(Random.Shared.NextDouble(), WallNow);
                var pause = TimeSpan.FromMilliseconds(Backoff.DelayMs(++faults, Random.Shared.NextDouble(), FirstPauseMs, LongestPauseMs));
                await Task.Delay(pause, clock.TimeProvider, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }

        await InHandAsync();
    }

    private long WallNow => clock.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds();

    private Task InHandAsync() => Task.WhenAll(_inHand.Keys);

    /// <summary>Nothing is received before every queue that a message may need is there.</summary>
    private async Task FindQueuesAsync(CancellationToken cancellationToken)
    {
        foreach (var reply in settings.ReplyQueues)
        {
            await ResolveAsync(reply, cancellationToken);
        }

        if (settings.ReplyQueue is { } ends)
        {
            await ResolveAsync(ends, cancellationToken);
        }

        if (settings.DeadLetterQueue is { } name)
        {
            _deadLetters = await ResolveAsync(name, cancellationToken);
        }

        _url = await ResolveAsync(settings.Queue, cancellationToken);
    }

    private async Task<string> ResolveAsync(string name, CancellationToken cancellationToken) =>
        await queue.ResolveAsync(name, createQueues, cancellationToken) ?? throw new MissingQueueException(name);

    private async Task ReceiveAsync(SemaphoreSlim slots, CancellationToken stopping, CancellationToken giveUp)
    {
        if (_pace.IsSlow)
        {
            // What is in hand tells whether the next can be kept.
            await InHandAsync().WaitAsync(stopping);
        }

        if (_pace.PauseMs(WallNow) is > 0 and var pause)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(pause), clock.TimeProvider, stopping);
        }

        await slots.WaitAsync(stopping);
        var taken = 1;
        while (taken < _pace.Most && slots.Wait(0, CancellationToken.None))
        {
            taken++;
        }

        IReadOnlyList<QueueMessage> messages = [];
        try
        {
            messages = await queue.ReceiveAsync(_url, taken, LongPoll, settings.Visibility, stopping);
        }
        finally
        {
            if (taken > messages.Count)
            {
                slots.Release(taken - messages.Count);
            }
        }

        foreach (var message in messages)
        {
            var task = HoldAsync(message, slots, giveUp);
            _inHand[task] = true;
            _ = task.ContinueWith(done => _inHand.TryRemove(done, out _), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }

    private async Task HoldAsync(QueueMessage message, SemaphoreSlim slots, CancellationToken giveUp)
    {
        await Task.Yield();
        try
        {
            await HandleAsync(message, giveUp);
        }
        finally
        {
            slots.Release();
        }
    }

    /// <summary>Takes one message to its end. Never throws: what fails leaves it in the queue.</summary>
    private async Task HandleAsync(QueueMessage message, CancellationToken giveUp)
    {
        using var handling = CancellationTokenSource.CreateLinkedTokenSource(giveUp);
        handling.CancelAfter(HandledAtMost);
        using var handled = new CancellationTokenSource();
        var hidden = KeepHiddenAsync(message, handled.Token);
        string outcome;
        try
        {
            outcome = await TakeAsync(message, handled, hidden, handling.Token);
        }
        catch (Exception exception)
        {
            LogMessageFailed(exception, settings.Queue, message.MessageId);
            _pace.Refused(Random.Shared.NextDouble(), WallNow);
            outcome = "failed";
        }

        await handled.CancelAsync();
        await hidden;
        RouterTelemetry.Received(settings.Queue, outcome);
    }

    private async Task<string> TakeAsync(QueueMessage message, CancellationTokenSource handled, Task hidden, CancellationToken cancellationToken)
    {
        var age = message.SentAt is { } sent && clock.TimeProvider.GetUtcNow() - sent is { Ticks: > 0 } waited ? clock.FromWall(waited) : TimeSpan.Zero;
        var read = format.Read(message.Body, message.MessageId, age, DateTimeOffset.FromUnixTimeMilliseconds(clock.Now));
        if (read.Problems.Count > 0)
        {
            return await RefuseAsync(message, read.Request, JobReply.Refused, new() { Code = ProblemCode.InvalidRequest, Message = string.Join(" ", read.Problems) }, cancellationToken);
        }

        if (read.IsLate)
        {
            var known = await jobs.GetAsync(read.Request.Tenant, JobAddress.IdOf(read.Request.Tenant, read.Request.IdempotencyKey!), TimeSpan.Zero, cancellationToken);
            if (known is not null && IsOf(known, read.Request))
            {
                // It was accepted in time, by a silo that did not come to delete it.
                await queue.DeleteAsync(_url, message.ReceiptHandle, cancellationToken);
                _pace.Kept();
                return "repeated";
            }

            var late = known is null
                ? new InferenceProblem { Code = ProblemCode.DeadlineExceeded, Message = "The message's deadline had passed when it was received." }
                : new() { Code = ProblemCode.IdempotencyConflict, Message = "The idempotency key was used with another request before, and the message's deadline had passed when it was received; use a new key for a new request." };
            return await RefuseAsync(message, read.Request, JobReply.Refused, late, cancellationToken);
        }

        var outcome = await dispatcher.SubmitAsync(read.Request, cancellationToken);
        if (outcome.Problem is not { } problem)
        {
            if (outcome.JobId is null)
            {
                // Its key has been answered in line before: there will be no job to tell the end.
                await ReplyAsync(read.Request, nameof(JobState.Succeeded), outcome, cancellationToken);
            }

            await queue.DeleteAsync(_url, message.ReceiptHandle, cancellationToken);
            _pace.Kept();
            return outcome.IsReplay ? "repeated" : "accepted";
        }

        if (outcome.IsReplay || !MayPass(problem, read.Request))
        {
            return await RefuseAsync(message, read.Request, outcome.IsReplay ? nameof(JobState.Failed) : JobReply.Refused, problem, cancellationToken);
        }

        // It comes again when that may help. Nothing else may hide it longer or shorter from here on.
        _pace.Refused(Random.Shared.NextDouble(), WallNow);
        await handled.CancelAsync();
        await hidden;
        var delay = DelayOf(problem, message.ReceiveCount);
        LogPutBack(settings.Queue, message.MessageId, delay.TotalSeconds, problem.Code, problem.Message);
        await queue.ChangeVisibilityAsync(_url, message.ReceiptHandle, delay, cancellationToken);
        return "put_back";
    }

    // An earlier release does not tell the hash: then the model must do.
    private static bool IsOf(JobView job, InferenceRequest request) => job.Model == request.Model && (job.BodyHash is null || job.BodyHash == KeyMachine.HashOf(request));

    /// <summary>Whether the message may be taken later. A bound tenant that is not there is a mistake of the configuration, not of the message.</summary>
    private bool MayPass(InferenceProblem problem, InferenceRequest request) => problem.Code switch
    {
        ProblemCode.BudgetExhausted or ProblemCode.Throttled or ProblemCode.RequestInProgress => true,
        ProblemCode.Unavailable or ProblemCode.UpstreamUnavailable or ProblemCode.Internal or ProblemCode.Cancelled => true,
        ProblemCode.UnknownTenant => request.Tenant == settings.Tenant,
        _ => problem.RetryAfter is not null,
    };

    private TimeSpan DelayOf(InferenceProblem problem, int receipts)
    {
        var asked = problem.RetryAfter is { } after ? clock.ToWall(after) : TimeSpan.Zero;
        var least = TimeSpan.FromMilliseconds(Backoff.DelayMs(Math.Max(1, receipts), Random.Shared.NextDouble(), firstMs: 1_000, mostMs: 300_000));
        var delay = asked > least ? asked : least;
        return delay < settings.RetryAtMost ? delay : settings.RetryAtMost;
    }

    private async Task<string> RefuseAsync(QueueMessage message, InferenceRequest request, string state, InferenceProblem problem, CancellationToken cancellationToken)
    {
        _pace.Kept();
        if (_deadLetters is not { } deadLetters)
        {
            LogLeft(settings.Queue, message.MessageId, problem.Code, problem.Message);
            return "left";
        }

        await ReplyAsync(request, state, new() { Problem = problem }, cancellationToken);
        await CopyAsync(deadLetters, message, problem, cancellationToken);
        await queue.DeleteAsync(_url, message.ReceiptHandle, cancellationToken);
        LogRefused(settings.Queue, message.MessageId, problem.Code, problem.Message);
        return "refused";
    }

    private async Task CopyAsync(string deadLetters, QueueMessage message, InferenceProblem problem, CancellationToken cancellationToken)
    {
        var attributes = DeadLetter.AttributesOf(message, settings.Queue, problem, DeadLetter.MostBytes);
        var least = DeadLetter.AttributesOf(message, settings.Queue, problem, DeadLetter.TakenBytes);
        try
        {
            await queue.SendAsync(deadLetters, message.Body, attributes, cancellationToken);
        }
        catch (MessageRefusedException exception) when (DeadLetter.SizeOf(message.Body, attributes) > DeadLetter.SizeOf(message.Body, least))
        {
            // The queue may take no more than what every queue took once.
            LogCopiedShort(exception, settings.Queue, message.MessageId);
            await queue.SendAsync(deadLetters, message.Body, least, cancellationToken);
        }
    }

    // A webhook is told the ends of jobs, which outlive one that cannot be reached; what never becomes a job goes to the queue's own reply queue.
    private Task ReplyAsync(InferenceRequest request, string state, InferenceOutcome outcome, CancellationToken cancellationToken) => (request.ReplyTo?.Queue ?? settings.ReplyQueue) is not { } to
        ? Task.CompletedTask
        : replies.SendAsync(
            new()
            {
                IdempotencyKey = request.IdempotencyKey,
                Tenant = request.Tenant.Value is { Length: > 0 } tenant ? tenant : null,
                Model = request.Model.Value is { Length: > 0 } model ? model : null,
                State = state,
                Route = outcome.Route,
                Problem = outcome.Problem,
                ContentType = outcome.ContentType,
                Result = outcome.Problem is null ? outcome.Body : (ReadOnlyMemory<byte>?)null,
            },
            to,
            request.ReplyTo?.CorrelationId,
            cancellationToken);

    private async Task KeepHiddenAsync(QueueMessage message, CancellationToken handled)
    {
        using var timer = new PeriodicTimer(settings.Visibility / 2, clock.TimeProvider);
        try
        {
            while (await timer.WaitForNextTickAsync(handled))
            {
                await queue.ChangeVisibilityAsync(_url, message.ReceiptHandle, settings.Visibility, handled);
            }
        }
        catch (OperationCanceledException) when (handled.IsCancellationRequested)
        {
            // It is no longer in hand.
        }
        catch (Exception exception)
        {
            // Another may get it meanwhile, and finds the same job.
            LogNotHidden(exception, settings.Queue, message.MessageId);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Queue {Queue} could not be read; its messages come later.")]
    private partial void LogQueueFailed(Exception exception, string queue);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Queue {Queue}: message {Message} could not be handled; it comes again.")]
    private partial void LogMessageFailed(Exception exception, string queue, string message);

    [LoggerMessage(Level = LogLevel.Information, Message = "Queue {Queue}: message {Message} comes again in {Seconds} s ({Code}: {Problem})")]
    private partial void LogPutBack(string queue, string message, double seconds, ProblemCode code, string problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Queue {Queue}: message {Message} was refused and is in the dead-letter queue ({Code}: {Problem})")]
    private partial void LogRefused(string queue, string message, ProblemCode code, string problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Queue {Queue}: message {Message} is refused; no dead-letter queue is configured, so it is left to the queue's redrive policy ({Code}: {Problem})")]
    private partial void LogLeft(string queue, string message, ProblemCode code, string problem);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Queue {Queue}: the copy of message {Message} with all its attributes was not taken; one with fewer is sent.")]
    private partial void LogCopiedShort(Exception exception, string queue, string message);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Queue {Queue}: message {Message} could not be kept hidden.")]
    private partial void LogNotHidden(Exception exception, string queue, string message);
}
