using OrleansInference.Webhooks;

namespace OrleansInference.Tests.Webhooks;

public sealed class SendingGateTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task So_many_are_let_through_so_many_wait_and_the_rest_is_turned_away()
    {
        var gate = new SendingGate(most: 2, mostWaiting: 1);
        Assert.True(await EnterAsync(gate, "a", Long));
        Assert.True(await EnterAsync(gate, "a", Long));
        var waiting = EnterAsync(gate, "a", Long);
        Assert.False(await EnterAsync(gate, "a", Long));
        Assert.True(await EnterAsync(gate, "b", Long));
        Assert.False(waiting.IsCompleted);
        gate.Leave("a");
        Assert.True(await waiting);
        Assert.False(await EnterAsync(gate, "a", TimeSpan.FromMilliseconds(1)));
        gate.Leave("a");
        Assert.True(await EnterAsync(gate, "a", Long));
    }

    [Fact]
    public async Task One_that_gives_up_leaves_its_place_in_line()
    {
        var gate = new SendingGate(most: 1, mostWaiting: 1);
        Assert.True(await EnterAsync(gate, "a", Long));
        using var giveUp = new CancellationTokenSource();
        var waiting = gate.TryEnterAsync("a", Long, giveUp.Token);
        await giveUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        var next = EnterAsync(gate, "a", Long);
        gate.Leave("a");
        Assert.True(await next);
        gate.Leave("a");
        Assert.True(await EnterAsync(gate, "a", Long));
    }

    private static Task<bool> EnterAsync(SendingGate gate, string key, TimeSpan patience) => gate.TryEnterAsync(key, patience, TestContext.Current.CancellationToken);
}
