using OrleansInference.Hosting;

namespace OrleansInference.Tests;

public sealed class RouterClockTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(100)]
    public async Task A_delay_lasts_its_whole_span_though_timers_come_early(double speed)
    {
        var clock = new RouterClock(new EarlyTimers(), speed);
        var span = TimeSpan.FromMilliseconds(40) * speed;
        var began = clock.Now;

        await clock.DelayAsync(span, TestContext.Current.CancellationToken);

        Assert.InRange(clock.Now - began, (long)span.TotalMilliseconds, long.MaxValue);
    }

    [Fact]
    public async Task A_delay_ends_when_it_is_cancelled()
    {
        var clock = new RouterClock(TimeProvider.System);
        using var cancel = new CancellationTokenSource();
        var delay = clock.DelayAsync(TimeSpan.FromDays(100), cancel.Token);

        Assert.False(delay.IsCompleted);
        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => delay);
    }

    /// <summary>Timers that come after three quarters of their time.</summary>
    private sealed class EarlyTimers : TimeProvider
    {
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            base.CreateTimer(callback, state, dueTime > TimeSpan.Zero ? dueTime * 0.75 : dueTime, period);
    }
}
