using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Jobs;
using OrleansInference.Payloads;

namespace OrleansInference.Tests.Jobs;

/// <summary>Notifications and polling: each ends an async job without the other, and notifications harm nothing in whatever number and order they come.</summary>
public sealed class NotificationTests
{
    private const string Body = """{"inputs":"hello","input_tokens":30,"output_tokens":5}""";

    // Far longer than a test lasts, and with the deadline still behind it.
    private const double DeadlineSeconds = 6 * 86_400;
    private static readonly TimeSpan NoPolling = TimeSpan.FromDays(5);

    [Fact]
    public async Task A_notification_alone_ends_a_job()
    {
        await using var world = await JobsWorld.StartAsync(poll: NoPolling);
        var id = await world.AcceptAsync(Body, "chat-async", DeadlineSeconds);
        var failing = await world.SubmitAsync("", "chat-async", DeadlineSeconds, location: "s3://orleans-inference/tenants/acme/nothing.json");
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(id)).State);
        Assert.Equal(JobState.Failed, (await world.EndOfAsync(failing.JobId!)).State);
        Assert.True(await world.RequireLedgerAndAuditAgreeAsync(jobs: 2) > Money.Zero);
    }

    [Fact]
    public async Task Polling_alone_ends_a_job()
    {
        await using var world = await JobsWorld.StartAsync(notify: false);
        var id = await world.AcceptAsync(Body, "chat-async");
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(id)).State);
        Assert.Equal(0, world.Deleted);
        Assert.True(await world.RequireLedgerAndAuditAgreeAsync(jobs: 1) > Money.Zero);
    }

    [Fact]
    public async Task Notifications_that_come_too_early_again_too_late_and_in_another_order_change_nothing()
    {
        // Nothing but what the test sends can end a job here.
        await using var world = await JobsWorld.StartAsync(poll: NoPolling, publish: false);
        var slow = await world.AcceptAsync(Body, "chat-async-slow", DeadlineSeconds);
        await JobsWorld.UntilAsync(async () => await StateOfAsync(world, slow) == JobState.Dispatched, "the slow one was sent");

        // However long the machine takes for what comes first, the slow one's answer is not there before.
        world.StoreFault = (operation, key) => operation is "Get" or "Head" && key.Contains($"/{slow}/", StringComparison.Ordinal) && key.EndsWith("/answer", StringComparison.Ordinal) ? new NoSuchKeyException() : null;
        string[] ids = [await world.AcceptAsync(Body, "chat-async", DeadlineSeconds), await world.AcceptAsync(Body, "chat-async", DeadlineSeconds), await world.AcceptAsync(Body, "chat-async", DeadlineSeconds)];
        foreach (var id in ids)
        {
            await AnsweredAsync(world, id);
        }

        await SendAsync(world, slow, slow);
        foreach (var id in ids.Prepend(slow))
        {
            Assert.Equal(JobState.Dispatched, await StateOfAsync(world, id));
        }

        // The last first, each twice at once, and one that says the contrary of what is in the object store.
        await SendAsync(world, ids[2], ids[2]);
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(ids[2])).State);
        Assert.Equal(JobState.Dispatched, await StateOfAsync(world, ids[0]));
        var cancelled = await world.Jobs.CancelAsync(JobsWorld.Acme, ids[1], CancellationToken.None);
        Assert.Equal(JobState.Cancelled, cancelled!.State);
        await SendMessagesAsync(world, Message(ids[0], "Failed"), Message(ids[0], "Completed"), Message(ids[1], "Completed"));
        var ended = await world.EndOfAsync(ids[0]);
        Assert.Equal(JobState.Succeeded, ended.State);

        await SendAsync(world, ids[1], ids[0], ids[2], ids[0]);
        Assert.Equal(ended, await world.EndOfAsync(ids[0]));
        Assert.Equal(cancelled, await world.EndOfAsync(ids[1]));
        Assert.Equal(JobState.Dispatched, await StateOfAsync(world, slow));

        // The one that came too early is not the last that is heard.
        world.StoreFault = null;
        await AnsweredAsync(world, slow);
        Assert.Equal(JobState.Dispatched, await StateOfAsync(world, slow));
        await SendAsync(world, slow);
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(slow)).State);
        Assert.Equal(4, world.Audit.Records.Count);
        Assert.True(await world.RequireLedgerAndAuditAgreeAsync(jobs: 4) > Money.Zero);
    }

    private static Task AnsweredAsync(JobsWorld world, string id) => JobsWorld.UntilAsync(
        async () => (await world.Jobs.GetAsync(JobsWorld.Acme, id, TimeSpan.Zero, CancellationToken.None))!.ExpectedOutputLocation is { } location
            && S3Address.TryParse(location, out var output)
            && await world.Services.GetRequiredService<IObjectStore>().GetAsync(output.Bucket, output.Key, CancellationToken.None) is not null,
        "the model's answer is in the object store");

    private static async Task<JobState> StateOfAsync(JobsWorld world, string id) =>
        (await world.Jobs.GetAsync(JobsWorld.Acme, id, TimeSpan.Zero, CancellationToken.None))!.State;

    private static Task SendAsync(JobsWorld world, params string[] ids) => SendMessagesAsync(world, [.. ids.Select(static id => Message(id, "Completed"))]);

    /// <summary>Sends, and waits until every message has been taken.</summary>
    private static async Task SendMessagesAsync(JobsWorld world, params string[] messages)
    {
        var taken = world.Deleted + messages.Length;
        await world.SendAsync(messages);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Deleted == taken), "every message was taken");
    }

    private static string Message(string id, string status) => JsonSerializer.Serialize(new { invocationStatus = status, inferenceId = new JobAddress(JobsWorld.Acme, id).InferenceId });
}
