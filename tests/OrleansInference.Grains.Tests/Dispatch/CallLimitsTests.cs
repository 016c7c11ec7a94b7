using OrleansInference.Dispatch;
using OrleansInference.Hosting;

namespace OrleansInference.Tests.Dispatch;

public sealed class CallLimitsTests
{
    private static readonly CallLimits Limits = new(new RouterClock(TimeProvider.System));

    [Fact]
    public async Task A_call_ends_at_its_limit()
    {
        using var limit = Limits.Begin(20, CancellationToken.None);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Task.Delay(TimeSpan.FromMinutes(1), limit.Token));
    }

    [Fact]
    public void A_call_ends_with_its_caller()
    {
        using var caller = new CancellationTokenSource();
        using var limit = Limits.Begin(60_000, caller.Token);
        Assert.False(limit.Token.IsCancellationRequested);
        caller.Cancel();
        Assert.True(limit.Token.IsCancellationRequested);
    }

    [Fact]
    public void A_caller_who_has_given_up_already_ends_the_call_at_once()
    {
        using var limit = Limits.Begin(60_000, new(true));
        Assert.True(limit.Token.IsCancellationRequested);
    }

    [Fact]
    public async Task What_ends_one_call_does_not_end_the_next()
    {
        var limits = new CallLimits(new RouterClock(TimeProvider.System));
        using var caller = new CancellationTokenSource();
        CancellationToken first;
        using (var limit = limits.Begin(40, caller.Token))
        {
            first = limit.Token;
        }

        // The same source again: neither the first call's caller nor its time concerns the second call.
        using var second = limits.Begin(60_000, CancellationToken.None);
        Assert.Equal(first, second.Token);
        caller.Cancel();
        await Assert.ThrowsAsync<TimeoutException>(() => Task.Delay(-1, second.Token).WaitAsync(TimeSpan.FromMilliseconds(120)));
        Assert.False(second.Token.IsCancellationRequested);
    }

    [Fact]
    public void A_source_that_ended_a_call_is_not_used_again()
    {
        var limits = new CallLimits(new RouterClock(TimeProvider.System));
        using var caller = new CancellationTokenSource();
        using (limits.Begin(60_000, caller.Token))
        {
            caller.Cancel();
        }

        using var second = limits.Begin(60_000, CancellationToken.None);
        Assert.False(second.Token.IsCancellationRequested);
    }
}
