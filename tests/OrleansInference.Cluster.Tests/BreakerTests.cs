using Microsoft.Extensions.Time.Testing;
using OrleansInference.Invocation;

namespace OrleansInference.Tests;

/// <summary>An endpoint that fails is left alone, then tried with few requests.</summary>
public sealed class BreakerTests
{
    private const int Crowd = 20;
    private const int FailuresToOpen = 5;
    private const double PauseSeconds = 5;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task An_endpoint_that_failed_is_probed_by_one_request_whose_end_decides()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1, clock: new(new FakeTimeProvider(DateTimeOffset.UtcNow)));
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(1), SampleCatalog.Endpoint("chat-rt", concurrency: Crowd)));
        await RouterCluster.EventuallyAsync(() => AskAsync(world), static outcome => outcome.Problem is null);
        await OpenAsync(world);

        // A crowd comes when the pause is over, and the one that is let through takes its time.
        world.Aws.Failure = static _ => null;
        var gate = new TaskCompletionSource();
        world.Aws.Gate = gate.Task;
        var calls = world.Aws.Calls;
        var crowd = Come(world);
        await RouterCluster.EventuallyAsync(() => Task.FromResult(crowd.Count(static request => request.IsCompleted)), static ended => ended == Crowd - 1);
        Assert.Equal(calls + 1, world.Aws.Calls);
        Assert.Equal(ProblemCode.UpstreamUnavailable, (await AskAsync(world)).Problem!.Code);
        Assert.Equal(calls + 1, world.Aws.Calls);
        gate.SetResult();
        var outcomes = await Task.WhenAll(crowd).WaitAsync(Patience);
        Assert.Single(outcomes, static outcome => outcome.Problem is null);
        Assert.Equal(Crowd - 1, outcomes.Count(static outcome => outcome.Problem?.Code == ProblemCode.UpstreamUnavailable));

        // It has answered: all are let through again.
        Assert.All(await Task.WhenAll(Come(world)).WaitAsync(Patience), static outcome => Assert.Null(outcome.Problem));

        // A probe that fails keeps them off for another pause.
        await OpenAsync(world);
        calls = world.Aws.Calls;
        await Task.WhenAll(Come(world)).WaitAsync(Patience);
        Assert.Equal(calls + 1, world.Aws.Calls);
        Assert.All(await Task.WhenAll(Come(world)).WaitAsync(Patience), static outcome => Assert.Equal(ProblemCode.UpstreamUnavailable, outcome.Problem!.Code));
        Assert.Equal(calls + 1, world.Aws.Calls);

        // Nobody paid for what was refused.
        Assert.All(world.Audit.Records, static record => Assert.Equal(record.Problem is null, record.Charge > Money.Zero));
    }

    private static Task<InferenceOutcome> AskAsync(RouterCluster world) =>
        world.Dispatchers()[0].InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), TestContext.Current.CancellationToken);

    private static Task<InferenceOutcome>[] Come(RouterCluster world) => [.. Enumerable.Range(0, Crowd).Select(_ => Task.Run(() => AskAsync(world)))];

    /// <summary>Fails until the endpoint is left alone, and lets the pause pass.</summary>
    private static async Task OpenAsync(RouterCluster world)
    {
        world.Aws.Failure = static _ => new ModelCallException(ModelCallFailure.Unavailable, "out of order");
        var calls = world.Aws.Calls;
        for (var i = 0; i < FailuresToOpen; i++)
        {
            Assert.Equal(ProblemCode.UpstreamUnavailable, (await AskAsync(world)).Problem!.Code);
        }

        Assert.Equal(calls + FailuresToOpen, world.Aws.Calls);
        Assert.Equal(ProblemCode.UpstreamUnavailable, (await AskAsync(world)).Problem!.Code);
        Assert.Equal(calls + FailuresToOpen, world.Aws.Calls);
        world.Pass(PauseSeconds);
    }
}
