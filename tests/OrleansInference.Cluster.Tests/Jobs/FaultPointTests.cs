using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Audit;
using OrleansInference.Batch;
using OrleansInference.Jobs;
using OrleansInference.Payloads;
using OrleansInference.Webhooks;

namespace OrleansInference.Tests.Jobs;

/// <summary>
/// The points that a job, a window or a batch passes without a fault are recorded; then there is one of each kind for every point, which crashes
/// there. Each must end once, as the one without a fault did and for the same charge, and leave nothing behind.
/// </summary>
public sealed class FaultPointTests
{
    private const int MostWindows = 120;
    private const string Good = """{"inputs":"hello","input_tokens":30,"output_tokens":5}""";
    private const string Bad = """{"question":1}""";

    // A job that crashed while its end was being told is taken up by its reminder, five minutes after its acceptance at most: a quarter of the time until its deadline.
    private static readonly TimeSpan RepliesKept = TimeSpan.FromSeconds(1_200);

    [Fact]
    public async Task An_async_job_ends_once_whatever_point_its_activation_crashes_at()
    {
        await using var world = await StartAsync();
        await RunAsync(
            world,
            mostPoints: int.MaxValue,
            key: KeyOf,
            submit: async name => Assert.NotNull((await world.SubmitAsync(Good, "chat-async", key: name)).JobId),
            requests: static name => [KeyOf(name)]);
    }

    [Fact]
    public async Task A_deferred_job_ends_once_whatever_point_its_activation_crashes_at()
    {
        // A call may take a minute of the router's clock, which a busy machine must not come near to.
        await using var world = await StartAsync(speed: 10);
        await RunAsync(
            world,
            mostPoints: int.MaxValue,
            key: KeyOf,
            submit: async name => Assert.NotNull((await world.SubmitAsync(Good, "chat-realtime", deadlineSeconds: 2_400, key: name)).JobId),
            requests: static name => [KeyOf(name)]);
    }

    [Fact]
    public async Task A_job_of_the_batch_lane_ends_once_whatever_point_its_activation_crashes_at()
    {
        await using var world = await StartAsync();
        var windows = 0;
        await RunAsync(
            world,
            mostPoints: MostWindows - 1,
            key: KeyOf,
            submit: async name => Assert.NotNull((await world.SubmitAsync(Good, Window(Interlocked.Increment(ref windows) - 1), key: name)).JobId),
            requests: static name => [KeyOf(name)]);
    }

    [Fact]
    public async Task The_jobs_of_a_window_end_once_whatever_point_its_activation_crashes_at()
    {
        await using var world = await StartAsync(windowSeconds: 600);
        await RunAsync(
            world,
            mostPoints: MostWindows - 1,
            key: static name => $"{Window(Number(name))}/1",
            submit: async name =>
            {
                foreach (var i in (int[])[0, 1, 2])
                {
                    Assert.NotNull((await world.SubmitAsync(i == 1 ? Bad : Good, Window(Number(name)), key: $"{name}-{i}")).JobId);
                }
            },
            requests: static name => [.. Enumerable.Range(0, 3).Select(i => new JobAddress(JobsWorld.Acme, JobAddress.IdOf(JobsWorld.Acme, $"{name}-{i}")).Key)]);
    }

    [Fact]
    public async Task A_job_that_is_moved_to_a_faster_lane_ends_once_whatever_point_its_activation_crashes_at()
    {
        await using var world = await StartAsync();
        world.AreTransformsDown = true;
        await RunAsync(
            world,
            mostPoints: int.MaxValue,
            key: static name => KeyOf(Alike(name)),
            submit: async name => Assert.NotNull((await world.SubmitAsync(Good, "late-batch", deadlineSeconds: 1_100, key: Alike(name))).JobId),
            requests: static name => [KeyOf(Alike(name))],
            windowsEnd: false);
        Assert.All(world.Audit.Records, static record => Assert.Equal(record.Lane == Lane.Async, record.Charge > Money.Zero));
    }

    [Fact]
    public async Task The_end_of_a_job_with_a_webhook_is_posted_whatever_point_its_activation_crashes_at()
    {
        await using var receiver = await WebhookReceiver.StartAsync();
        await using var world = await StartAsync(RepliesKept);
        await world.Services.GetRequiredService<WebhookSecrets>().RotateAsync(JobsWorld.Acme, TimeSpan.FromHours(1));
        await RunAsync(
            world,
            mostPoints: int.MaxValue,
            key: KeyOf,
            submit: async name => Assert.NotNull((await world.SubmitAsync(Good, "chat-async", deadlineSeconds: 1_200, key: name, webhook: receiver.UrlOf("/hook"))).JobId),
            requests: static name => [KeyOf(name)]);

        // At least once each, under one id however often.
        var told = receiver.Posts.GroupBy(static post => JsonDocument.Parse(post.Text).RootElement.GetProperty("jobId").GetString()!).ToList();
        Assert.Equal(world.Audit.Records.Select(static record => record.Request).Distinct().Order(), told.Select(static posts => new JobAddress(JobsWorld.Acme, posts.Key).Key).Order());
        Assert.All(told, static posts => Assert.Single(posts.Select(static post => post.Id).Distinct()));
    }

    [Fact]
    public async Task The_end_of_a_job_is_told_to_its_reply_queue_whatever_point_its_activation_crashes_at()
    {
        await using var world = await StartAsync(RepliesKept);
        var queue = world.Services.GetRequiredService<IMessageQueue>();
        var url = (await queue.ResolveAsync("answers", create: true, CancellationToken.None))!;
        await RunAsync(
            world,
            mostPoints: int.MaxValue,
            key: KeyOf,
            submit: async name => Assert.NotNull((await world.SubmitAsync(Good, "chat-async", deadlineSeconds: 1_200, key: name, replyQueue: "answers")).JobId),
            requests: static name => [KeyOf(name)]);
        var told = new HashSet<string>();
        while (await queue.ReceiveAsync(url, 10, TimeSpan.Zero, TimeSpan.FromMinutes(5), CancellationToken.None) is { Count: > 0 } messages)
        {
            told.UnionWith(messages.Select(static message => new JobAddress(JobsWorld.Acme, JsonDocument.Parse(message.Body).RootElement.GetProperty("jobId").GetString()!).Key));
        }

        Assert.Equal(world.Audit.Records.Select(static record => record.Request).Distinct().Order(), told.Order());
    }

    [Fact]
    public async Task A_held_job_ends_once_whatever_point_its_activation_crashes_at()
    {
        await using var world = await StartAsync();
        var (before, after) = Blocking(world);
        await RunAsync(
            world,
            mostPoints: int.MaxValue,
            key: KeyOf,
            submit: async name => Assert.NotNull((await world.SubmitAsync(Good, "chat-async", key: name, mayHold: true)).HeldUntil),
            requests: static name => [KeyOf(name)],
            before: before,
            after: after);
    }

    [Fact]
    public async Task A_batch_ends_once_whatever_point_its_activation_crashes_at()
    {
        await using var world = await StartAsync();
        await JobsWorld.UntilAsync(async () => (await world.EndpointAsync("window-batch-0")) is not null, "the catalog is applied");
        await RunAsync(
            world,
            mostPoints: int.MaxValue,
            key: BatchKeyOf,
            submit: name => SubmitBatchAsync(world, name, "bulk"),
            requests: static name => [$"batches/{BatchKeyOf(name)}/"]);
    }

    [Fact]
    public async Task A_held_batch_ends_once_whatever_point_its_activation_crashes_at()
    {
        await using var world = await StartAsync();
        await JobsWorld.UntilAsync(async () => (await world.EndpointAsync("window-batch-0")) is not null, "the catalog is applied");
        var (before, after) = Blocking(world);
        await RunAsync(
            world,
            mostPoints: int.MaxValue,
            key: BatchKeyOf,
            submit: name => SubmitBatchAsync(world, name, "bulk", isHeld: true),
            requests: static name => [$"batches/{BatchKeyOf(name)}/"],
            before: before,
            after: after);
    }

    private static async Task SubmitBatchAsync(JobsWorld world, string name, string model, bool isHeld = false)
    {
        InferenceOutcome outcome = null!;
        await JobsWorld.UntilAsync(
            async () =>
            {
                using var lines = new MemoryStream(Encoding.UTF8.GetBytes($"{Good}\n{Bad}\n{Good}\n"));
                outcome = await world.Services.GetRequiredService<IBatches>().SubmitAsync(new() { Tenant = JobsWorld.Acme, Model = new(model), IdempotencyKey = name }, lines, CancellationToken.None);
                return outcome.Problem?.Code is not (ProblemCode.UnknownModel or ProblemCode.Unavailable);
            },
            "the batch is accepted");
        Assert.True(outcome.JobId is not null, outcome.Problem?.Message);
        Assert.Equal(isHeld, outcome.HeldUntil is not null);
    }

    /// <summary>All the money there is, taken before and given back after; back by itself long after everything was submitted.</summary>
    private static (Func<Task> Before, Func<Task> After) Blocking(JobsWorld world)
    {
        var tenant = world.Grains.GetGrain<ITenantGrain>(JobsWorld.Acme.Value);
        var blocks = 0;
        return (
            async () =>
            {
                var all = (await world.BudgetAsync()).Windows[0].Available;
                Assert.True((await tenant.Reserve($"block-{++blocks}", all, world.Clock.Now + 5_000_000)).Granted);
            },
            () => tenant.Settle($"block-{blocks}", Money.Zero));
    }

    private static async Task RunAsync(JobsWorld world, int mostPoints, Func<string, string> key, Func<string, Task> submit, Func<string, IReadOnlyList<string>> requests, bool windowsEnd = true, Func<Task>? before = null, Func<Task>? after = null)
    {
        var prefix = windowsEnd ? "" : "jobs/";
        var faults = world.Faults!;
        await (before?.Invoke() ?? Task.CompletedTask);
        await submit("0");
        await (after?.Invoke() ?? Task.CompletedTask);
        await EndedAsync(world, requests("0"));
        await ForgottenAsync(world, prefix, key("0"));
        var points = faults.Passed(key("0"));
        Assert.InRange(points.Count, 10, mostPoints);
        foreach (var (point, i) in points.Select(static (point, i) => (point, i + 1)))
        {
            faults.Plan(key(Name(i)), point);
        }

        await (before?.Invoke() ?? Task.CompletedTask);
        await Parallel.ForEachAsync(Enumerable.Range(1, points.Count), new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (i, _) => await submit(Name(i)));
        await (after?.Invoke() ?? Task.CompletedTask);
        for (var i = 1; i <= points.Count; i++)
        {
            await EndedAsync(world, requests(Name(i)));
        }

        await EmptyAsync(world, prefix);
        await JobsWorld.UntilAsync(() => Task.FromResult(Enumerable.Range(1, points.Count).All(i => faults.IsHit(key(Name(i))))), "every point was crashed at: " + string.Join(", ", Enumerable.Range(1, points.Count).Where(i => !faults.IsHit(key(Name(i)))).Select(i => points[i - 1])));

        // The same end and charge as without a fault, to the nano-dollar. An end may be told again: of one reservation the log keeps what was told first.
        var told = world.Audit.Records.GroupBy(static record => record.Reservation).Select(static group => group.First()).ToList();
        Assert.All(world.Audit.Records, record => Assert.Equal(told.Single(first => first.Reservation == record.Reservation).Charge, record.Charge));
        for (var i = 0; i < requests("0").Count; i++)
        {
            var expected = OfRequest(told, requests("0")[i]);
            for (var k = 1; k <= points.Count; k++)
            {
                var record = OfRequest(told, requests(Name(k))[i]);
                Assert.True((record.Kind, record.Charge, record.Problem) == (expected.Kind, expected.Charge, expected.Problem), $"{points[k - 1]}: {record}");
            }
        }

        await JobsWorld.UntilAsync(async () => (await world.BudgetAsync()).Reserved == Money.Zero, "no reservation is left");
        Assert.Equal(told.Aggregate(Money.Zero, static (sum, record) => sum + record.Charge), (await world.BudgetAsync()).SettledTotal);
        Assert.True((await world.BudgetAsync()).SettledTotal > Money.Zero);
    }

    private static AuditRecord OfRequest(IEnumerable<AuditRecord> records, string request) =>
        records.OrderByDescending(static record => record.Charge).First(record => request.EndsWith('/') ? record.Request.StartsWith(request, StringComparison.Ordinal) : record.Request == request);

    private static async Task EndedAsync(JobsWorld world, IReadOnlyList<string> requests)
    {
        foreach (var request in requests)
        {
            await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Records.Any(record => request.EndsWith('/') ? record.Request.StartsWith(request, StringComparison.Ordinal) : record.Request == request)), $"{request} has ended");
        }
    }

    /// <summary>
    /// What has ended is purged when its own reminder comes. It is given no push: one that finds it purged already is answered by a new activation,
    /// which does what no run without a fault does.
    /// </summary>
    private static Task ForgottenAsync(JobsWorld world, string prefix, string key) =>
        JobsWorld.UntilAsync(
            async () =>
            {
                var reminders = await world.Services.GetRequiredService<IReminderTable>().ReadRows(0, 0);
                return reminders.Reminders.All(reminder => reminder.GrainId.Key.ToString() != key)
                    && world.Faults!.Passed(key).Any(static point => point.EndsWith("storage.Clear#1@after", StringComparison.Ordinal))
                    && (await world.ObjectsAsync(prefix)).Count == 0;
            },
            "it is purged");

    /// <summary>What has ended is purged by its reminder, which after a crash comes again in minutes: it is given a push.</summary>
    private static async Task EmptyAsync(JobsWorld world, string prefix)
    {
        await JobsWorld.UntilAsync(
            async () =>
            {
                var reminders = await world.Services.GetRequiredService<IReminderTable>().ReadRows(0, 0);
                foreach (var reminder in reminders.Reminders)
                {
                    try
                    {
                        await world.Grains.GetGrain<IRemindable>(reminder.GrainId).ReceiveReminder(reminder.ReminderName, default);
                    }
                    catch (Exception exception) when (exception is not OutOfMemoryException)
                    {
                        // The grain crashed, as it was to.
                    }
                }

                await Task.Delay(500, TestContext.Current.CancellationToken);
                return (await world.ObjectsAsync(prefix)).Count == 0;
            },
            "no object is left");
    }

    private static string Name(int i) => i.ToString(CultureInfo.InvariantCulture);

    /// <summary>A name of a job that is taken up again at the same time as others of these names, and so passes the same points while it waits.</summary>
    private static string Alike(string name) =>
        Enumerable.Range(0, int.MaxValue).Select(i => $"{name}-{i}").First(static candidate => JobMachine.SpreadOf(JobAddress.IdOf(JobsWorld.Acme, candidate)) is > 0.74 and < 0.76);

    private static int Number(string name) => int.Parse(name, CultureInfo.InvariantCulture);

    private static string Window(int i) => $"window-batch-{i}";

    private static string BatchKeyOf(string name) => new JobAddress(JobsWorld.Acme, JobAddress.IdOf(JobsWorld.Acme, "batch\n" + name)).Key;

    private static string KeyOf(string name) => new JobAddress(JobsWorld.Acme, JobAddress.IdOf(JobsWorld.Acme, name)).Key;

    // What a call takes differs from call to call, and so would the charge.
    private static EndpointDefinition Deferring(EndpointDefinition like) => like with
    {
        Name = new("chat-realtime"),
        Lane = Lane.Realtime,
        MinInstances = 1,
        ServesDeferred = true,
        Tariff = new() { PerRequest = Money.FromDollars(0.001m) },
    };

    /// <param name="retention">How long jobs are kept.</param>
    /// <param name="windowSeconds">Age at which windows close; those that are to close by their size need it to be longer than their members take to join.</param>
    /// <param name="speed">Seconds of the router's clock in one of the machine's.</param>
    private static Task<JobsWorld> StartAsync(TimeSpan? retention = null, int windowSeconds = 60, double speed = JobsWorld.Speed)
    {
        var variant = JobsWorld.Catalog.Models[0].Variants[0];
        var batch = variant.Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-batch") with { WindowMaxRequests = 3, WindowMaxSeconds = windowSeconds, MaxInstances = 1 };
        return JobsWorld.StartAsync(retention: retention ?? TimeSpan.FromSeconds(120), poll: TimeSpan.FromSeconds(1), faults: new(), speed: speed, catalog: JobsWorld.Catalog with
        {
            Tenants = [new() { Id = JobsWorld.Acme, Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = Money.FromDollars(1_000) }], LowBudget = [LowBudgetStep.Hold] }],
            Models =
            [
                JobsWorld.Catalog.Models[0] with
                {
                    Variants =
                    [
                        variant with
                        {
                            Endpoints =
                            [
                                variant.Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-async"),
                                Deferring(variant.Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-async")),
                                batch with { Name = new("late-batch"), WindowMaxRequests = 1_000, Prior = batch.Prior with { ColdStartSeconds = 800 } },
                            ],
                        },
                    ],
                },
                .. Enumerable.Range(0, MostWindows).Chunk(MostWindows / 4).Select(some => new ModelDefinition
                {
                    Name = new($"windows-{some[0]}"),
                    Variants = [new() { Name = new("full"), Endpoints = [.. some.Select(i => batch with { Name = new(Window(i)) })] }],
                }),
                new() { Name = new("bulk"), MaxOutputTokens = 10, Variants = [new() { Name = new("full"), Endpoints = [batch with { Name = new("bulk-batch") }] }] },
            ],
        });
    }
}
