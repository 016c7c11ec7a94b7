using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OrleansInference.Hosting;
using OrleansInference.Payloads;

namespace OrleansInference.Jobs;

/// <summary>
/// Takes the notifications of async endpoints from their queue while the silo is active, and has the jobs look for their results. A message
/// is deleted once its job has looked; one about no job of ours at once. Lost, late and repeated ones change nothing.
/// </summary>
internal sealed partial class NotificationListener(
    IMessageQueue queue,
    IGrainFactory grains,
    RouterClock clock,
    IOptions<OrleansInferenceOptions> options,
    ILogger<NotificationListener> logger) : ILifecycleParticipant<ISiloLifecycle>, IDisposable
{
    private const int MessagesAtOnce = 10;

    private static readonly TimeSpan LongPoll = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Visibility = TimeSpan.FromSeconds(60);
    private const long FirstPauseMs = 1_000;
    private const long LongestPauseMs = 60_000;

    private readonly CancellationTokenSource _stopping = new();
    private Task _listening = Task.CompletedTask;

    public void Participate(ISiloLifecycle observer)
    {
        ArgumentNullException.ThrowIfNull(observer);
        if (options.Value.NotificationQueue is { Length: > 0 } name)
        {
            observer.Subscribe(
                nameof(NotificationListener),
                ServiceLifecycleStage.Active,
                _ =>
                {
                    _listening = Task.Run(() => ListenAsync(name, _stopping.Token), CancellationToken.None);
                    return Task.CompletedTask;
                },
                async _ =>
                {
                    await _stopping.CancelAsync();
                    await _listening;
                });
        }
    }

    public void Dispose() => _stopping.Dispose();

    private async Task ListenAsync(string name, CancellationToken cancellationToken)
    {
        string? url = null;
        var faults = 0;
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                url ??= await queue.ResolveAsync(name, create: true, cancellationToken);
                var messages = await queue.ReceiveAsync(url!, MessagesAtOnce, LongPoll, Visibility, cancellationToken);
                await Task.WhenAll(messages.Select(message => TakeAsync(url!, message, cancellationToken)));
                faults = 0;
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception)
            {
                LogQueueFailed(exception, name);
                var pause = TimeSpan.FromMilliseconds(Backoff.DelayMs(++faults, Random.Shared.NextDouble(), FirstPauseMs, LongestPauseMs));
                await Task.Delay(pause, clock.TimeProvider, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task TakeAsync(string url, QueueMessage message, CancellationToken cancellationToken)
    {
        try
        {
            if (CompletionNotification.TryFindJob(message.Body, out var address))
            {
                await grains.GetGrain<IJobGrain>(address.Key).Check();
            }
            else
            {
                LogUnknown(message.MessageId);
            }

            await queue.DeleteAsync(url, message.ReceiptHandle, cancellationToken);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            // It comes again after its visibility timeout.
            LogMessageFailed(exception, message.MessageId);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Queue {Queue} could not be read; its messages come later, and jobs are polled meanwhile.")]
    private partial void LogQueueFailed(Exception exception, string queue);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Message {Message} is about no job of this deployment.")]
    private partial void LogUnknown(string message);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Message {Message} could not be handled; it comes again.")]
    private partial void LogMessageFailed(Exception exception, string message);
}
