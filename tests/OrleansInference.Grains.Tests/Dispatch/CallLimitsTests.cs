using System.Diagnostics;
using OrleansInference.Dispatch;
using OrleansInference.Hosting;

namespace OrleansInference.Tests.Dispatch;

public sealed class CallLimitsTests
{
    private static readonly CallLimits Limits = new(new RouterClock(TimeProvider.System));

    [Fact]
    public async Task A_call_ends_at_its_limit()
    {
        using var limit = Limits.Begin(20);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Task.Delay(TimeSpan.FromMinutes(1), limit.Token));
    }

    [Fact]
    public async Task What_ends_one_call_does_not_end_the_next()
    {
        var limits = new CallLimits(new RouterClock(TimeProvider.System));
        var (longest, half) = (TimeSpan.FromMilliseconds(200), TimeSpan.FromMilliseconds(100));
        CancellationToken first;
        long began;
        do
        {
            // One that a machine that stood still has ended itself is not the one that is meant.
            began = Stopwatch.GetTimestamp();
            using var limit = limits.Begin((long)longest.TotalMilliseconds);
            first = limit.Token;
        }
        while (Stopwatch.GetElapsedTime(began) > half);

        // The same source again: the first call's time does not concern the second call.
        using var second = limits.Begin(60_000);
        Assert.Equal(first, second.Token);
        await Assert.ThrowsAsync<TimeoutException>(() => Task.Delay(-1, second.Token).WaitAsync(2 * longest));
        Assert.False(second.Token.IsCancellationRequested);
    }

    [Fact]
    public async Task A_source_that_ended_a_call_is_not_used_again()
    {
        var limits = new CallLimits(new RouterClock(TimeProvider.System));
        using (var limit = limits.Begin(10))
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Task.Delay(TimeSpan.FromMinutes(1), limit.Token));
        }

        using var second = limits.Begin(60_000);
        Assert.False(second.Token.IsCancellationRequested);
    }
}
