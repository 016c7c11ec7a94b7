using Orleans.Timers;

namespace OrleansInference.Hosting;

/// <summary>
/// Grain timers that rest once the silo begins to stop. A silo that is leaving places no activation any more: a grain that still did its
/// rounds would call others in vain, and each such call is logged as an error. What a timer leaves undone a reminder or the next activation does.
/// </summary>
internal sealed class StoppableTimers(ITimerRegistry inner) : ITimerRegistry, ILifecycleParticipant<ISiloLifecycle>
{
    // For rounds under way when the silo begins to stop; those that take longer may log what they cannot reach.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _isStopping;
    private int _running;

    public void Participate(ISiloLifecycle observer) =>
        observer.Subscribe(nameof(StoppableTimers), ServiceLifecycleStage.Active, static _ => Task.CompletedTask, StopAsync);

    [Obsolete("Of the interface.")]
    public IDisposable RegisterTimer(IGrainContext grainContext, Func<object?, Task> callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        inner.RegisterTimer(grainContext, callback, state, dueTime, period);

    public IGrainTimer RegisterGrainTimer<TState>(IGrainContext grainContext, Func<TState, CancellationToken, Task> callback, TState state, GrainTimerCreationOptions options) =>
        inner.RegisterGrainTimer(grainContext, (of, cancellationToken) => TickAsync(grainContext, callback, of, cancellationToken), state, options);

    // The runtime's own parts, which are no grains, do their rounds until the end.
    private Task TickAsync<TState>(IGrainContext context, Func<TState, CancellationToken, Task> callback, TState state, CancellationToken cancellationToken) =>
        context.GrainInstance is Grain ? RoundAsync(callback, state, cancellationToken) : callback(state, cancellationToken);

    private async Task RoundAsync<TState>(Func<TState, CancellationToken, Task> callback, TState state, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _running);
        try
        {
            if (!_isStopping)
            {
                await callback(state, cancellationToken);
            }
        }
        finally
        {
            if (Interlocked.Decrement(ref _running) == 0 && _isStopping)
            {
                _idle.TrySetResult();
            }
        }
    }

    private async Task StopAsync(CancellationToken cancellationToken)
    {
        _isStopping = true;
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _running) > 0)
        {
            await _idle.Task.WaitAsync(Patience, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}
