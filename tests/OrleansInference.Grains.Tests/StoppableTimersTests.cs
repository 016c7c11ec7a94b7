using System.Reflection;
using Orleans.Timers;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

public sealed class StoppableTimersTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly GrainTimerCreationOptions Every = new(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2)) { Interleave = true };

    private readonly Registry _runtime = new();
    private readonly Lifecycle _silo = new();
    private readonly StoppableTimers _timers;

    public StoppableTimersTests()
    {
        _timers = new(_runtime);
        _timers.Participate(_silo);
    }

    [Fact]
    public async Task A_grains_rounds_rest_once_its_silo_begins_to_stop_and_the_runtimes_own_go_on()
    {
        var (grains, runtimes) = (0, 0);
        var grain = Register(new Ticking(), _ => Count(ref grains));
        var runtime = Register(new object(), _ => Count(ref runtimes));
        await grain(CancellationToken.None);
        await runtime(CancellationToken.None);
        Assert.Equal((1, 1), (grains, runtimes));

        await _silo.StopAsync(CancellationToken.None).WaitAsync(Patience);
        await grain(CancellationToken.None);
        await runtime(CancellationToken.None);
        Assert.Equal((1, 2), (grains, runtimes));
    }

    [Fact]
    public async Task A_stop_waits_for_the_rounds_under_way_and_for_no_others()
    {
        var (first, second, runtimes) = (new TaskCompletionSource(), new TaskCompletionSource(), new TaskCompletionSource());
        var rounds = new[]
        {
            Register(new Ticking(), _ => first.Task)(CancellationToken.None),
            Register(new Ticking(), _ => second.Task)(CancellationToken.None),
        };
        var endless = Register(new object(), _ => runtimes.Task)(CancellationToken.None);
        var stop = _silo.StopAsync(CancellationToken.None);
        Assert.False(stop.IsCompleted);
        first.SetResult();
        await rounds[0].WaitAsync(Patience);
        Assert.False(stop.IsCompleted);

        second.SetException(new InvalidOperationException("a round that fails has ended too"));
        await stop.WaitAsync(Patience);
        await Assert.ThrowsAsync<InvalidOperationException>(() => rounds[1]);
        Assert.False(endless.IsCompleted);
        runtimes.SetResult();
        await endless;
    }

    [Fact]
    public async Task A_silo_that_is_killed_waits_for_no_round()
    {
        var round = new TaskCompletionSource();
        var running = Register(new Ticking(), _ => round.Task)(CancellationToken.None);
        await _silo.StopAsync(new(canceled: true)).WaitAsync(Patience);
        Assert.False(running.IsCompleted);
        round.SetResult();
        await running;
    }

    [Fact]
    public async Task A_round_gets_what_the_runtime_gives_it_and_the_runtime_what_the_grain_asked_for()
    {
        using var cancel = new CancellationTokenSource();
        CancellationToken given = default;
        var round = Register(new Ticking(), token =>
        {
            given = token;
            return Task.CompletedTask;
        });
        await round(cancel.Token);
        Assert.Equal(cancel.Token, given);
        Assert.Equal(Every, _runtime.Options);
    }

    private Func<CancellationToken, Task> Register(object instance, Func<CancellationToken, Task> round)
    {
        var context = DispatchProxy.Create<IGrainContext, Context>();
        ((Context)(object)context).Instance = instance;
        _timers.RegisterGrainTimer(context, static (of, token) => of(token), round, Every);
        return _runtime.Round!;
    }

    private static Task Count(ref int rounds)
    {
        rounds++;
        return Task.CompletedTask;
    }

    private sealed class Ticking : Grain;

    /// <summary>A grain's context of which only the instance is asked for.</summary>
    public class Context : DispatchProxy
    {
        internal object? Instance { get; set; }

        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) =>
            targetMethod?.Name == $"get_{nameof(IGrainContext.GrainInstance)}" ? Instance : throw new NotSupportedException(targetMethod?.Name);
    }

    private sealed class Registry : ITimerRegistry
    {
        public Func<CancellationToken, Task>? Round { get; private set; }

        public GrainTimerCreationOptions Options { get; private set; }

        public IGrainTimer RegisterGrainTimer<TState>(IGrainContext grainContext, Func<TState, CancellationToken, Task> callback, TState state, GrainTimerCreationOptions options)
        {
            (Round, Options) = (token => callback(state, token), options);
            return null!;
        }

        public IDisposable RegisterTimer(IGrainContext grainContext, Func<object?, Task> asyncCallback, object? state, TimeSpan dueTime, TimeSpan period) => throw new NotSupportedException();
    }

    private sealed class Lifecycle : ISiloLifecycle
    {
        private ILifecycleObserver? _observer;

        public int HighestCompletedStage => 0;

        public int LowestStoppedStage => 0;

        public IDisposable Subscribe(string observerName, int stage, ILifecycleObserver observer)
        {
            _observer = observer;
            return null!;
        }

        public Task StopAsync(CancellationToken cancellationToken) => _observer!.OnStop(cancellationToken);
    }
}
