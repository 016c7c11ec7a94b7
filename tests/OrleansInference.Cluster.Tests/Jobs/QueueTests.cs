using System.Globalization;
using System.Text.Json;
using Amazon.Runtime;
using Amazon.SQS;
using Amazon.SQS.Model;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Ingest;
using OrleansInference.Jobs;

namespace OrleansInference.Tests.Jobs;

/// <summary>Three silos that take requests from a queue of the embedded AWS.</summary>
public sealed class QueueTests
{
    private const string Requests = "requests";
    private const string Refused = "refused";
    private const string Answers = "answers";
    private const string Good = """{"model":"chat","lanes":["Async"],"deadline":"2h","body":{"inputs":"hello"},"correlationId":"c-1"}""";

    private static readonly QueueSettings Settings = new()
    {
        Queue = Requests,
        Tenant = JobsWorld.Acme,
        DeadLetterQueue = Refused,
        ReplyQueue = Answers,
        RetryAtMost = TimeSpan.FromSeconds(2),
    };

    [Fact]
    public async Task A_message_becomes_one_job_and_its_result_comes_back()
    {
        await using var world = await StartAsync();
        using var sqs = new Sqs(world);
        await sqs.SendAsync(Good);
        var reply = await sqs.ReplyAsync();
        Assert.Equal("c-1", reply.GetProperty("correlationId").GetString());
        Assert.Equal(nameof(JobState.Succeeded), reply.GetProperty("state").GetString());
        Assert.Equal(JsonValueKind.Object, reply.GetProperty("body").ValueKind);
        var job = await world.EndOfAsync(reply.GetProperty("jobId").GetString()!);
        Assert.Equal(job.Route.Charge.ToString(), reply.GetProperty("charge").GetString());
        await sqs.UntilEmptyAsync(Requests);
        Assert.True(await world.RequireLedgerAndAuditAgreeAsync(jobs: 1) > Money.Zero);
        RequireOneRun(world);
        await sqs.UntilEmptyAsync(Answers);
    }

    [Fact]
    public async Task A_storm_of_repeated_messages_is_one_job_and_one_charge()
    {
        await using var world = await StartAsync();
        using var sqs = new Sqs(world);
        await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => sqs.SendAsync(Good.Replace("{\"model\"", "{\"idempotencyKey\":\"storm\",\"model\"", StringComparison.Ordinal))));
        var reply = await sqs.ReplyAsync();
        Assert.Equal(JobAddress.IdOf(JobsWorld.Acme, "storm"), reply.GetProperty("jobId").GetString());
        await sqs.UntilEmptyAsync(Requests);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
        RequireOneRun(world);
        await sqs.UntilEmptyAsync(Answers);
        Assert.Equal(0, await sqs.CountAsync(Refused));
    }

    [Fact]
    public async Task Messages_that_are_delivered_many_times_to_every_silo_at_once_are_one_job_each()
    {
        const int Messages = 10, Deliveries = 20;
        await using var world = await JobsWorld.StartAsync(queues: [Settings with { Visibility = TimeSpan.FromSeconds(2) }]);
        using var sqs = new Sqs(world);
        await sqs.CreateAsync();
        world.Deliveries = Deliveries;
        await Task.WhenAll(Enumerable.Range(0, Messages).Select(_ => sqs.SendAsync(Good)));
        world.StartIngest();
        var jobs = new HashSet<string>();
        for (var i = 0; i < Messages; i++)
        {
            Assert.True(jobs.Add((await sqs.ReplyAsync()).GetProperty("jobId").GetString()!));
        }

        await JobsWorld.UntilAsync(() => Task.FromResult(world.Received >= Messages * Deliveries), "every delivery was made");
        await sqs.UntilEmptyAsync(Requests);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: Messages);
        Assert.Equal(Messages, world.Aws.InvocationCounts.Values.Sum(static count => count.Completed));
        Assert.Equal(0, await sqs.CountAsync(Answers));
        Assert.Equal(0, await sqs.CountAsync(Refused));
    }

    [Fact]
    public async Task A_message_that_takes_long_is_kept_hidden_and_comes_to_nobody_else()
    {
        // Hidden for 40 s at a time and renewed every 20: as many are left for a machine that stands still.
        await using var world = await JobsWorld.StartAsync(queues: [Settings with { Visibility = TimeSpan.FromSeconds(40) }]);
        using var sqs = new Sqs(world);
        await sqs.CreateAsync();
        world.DeleteGate = new(TaskCreationOptions.RunContinuationsAsynchronously);
        world.StartIngest();
        await sqs.SendAsync(Good);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Extended >= 2), "it was kept hidden for longer than it is at first");
        Assert.Equal(1, world.Received);
        world.DeleteGate.SetResult();
        await sqs.UntilEmptyAsync(Requests);
        Assert.Equal(1, world.Received);
        Assert.Equal(nameof(JobState.Succeeded), (await sqs.ReplyAsync()).GetProperty("state").GetString());
    }

    [Fact]
    public async Task No_silo_has_more_messages_in_hand_than_it_may()
    {
        const int InHand = 2, Messages = 20, Silos = 3;
        await using var world = await JobsWorld.StartAsync(queues: [Settings with { MaxInFlight = InHand, Visibility = TimeSpan.FromSeconds(40) }]);
        using var sqs = new Sqs(world);
        await sqs.CreateAsync();
        world.DeleteGate = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await Task.WhenAll(Enumerable.Range(0, Messages).Select(_ => sqs.SendAsync(Good)));
        world.StartIngest();
        await JobsWorld.UntilAsync(() => Task.FromResult(world.HeldDeletes == InHand * Silos), "every silo has what it may have");

        // They are renewed in turn, and nothing else is received meanwhile.
        var extended = world.Extended;
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Extended >= extended + (InHand * Silos)), "they are kept hidden");
        Assert.Equal(InHand * Silos, world.Received);
        world.DeleteGate.SetResult();
        await sqs.UntilEmptyAsync(Requests);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Records.Count == Messages), "every job has ended");
        await world.RequireLedgerAndAuditAgreeAsync(jobs: Messages);
    }

    [Fact]
    public async Task A_silo_that_stops_brings_what_it_has_in_hand_to_its_end()
    {
        await using var world = await JobsWorld.StartAsync(queues: [Settings with { Visibility = TimeSpan.FromSeconds(60) }]);
        using var sqs = new Sqs(world);
        await sqs.CreateAsync();
        world.DeleteGate = new(TaskCreationOptions.RunContinuationsAsynchronously);
        var stopped = world.Cluster.SecondarySilos[0];
        ((Orleans.TestingHost.InProcessSiloHandle)stopped).SiloHost.Services.GetRequiredService<QueueIngest>().Start();
        await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => sqs.SendAsync(Good)));
        await JobsWorld.UntilAsync(() => Task.FromResult(world.HeldDeletes == 5), "all are in hand");
        var stopping = world.Cluster.StopSiloAsync(stopped);
        Assert.False(stopping.IsCompleted);
        world.DeleteGate.SetResult();
        await stopping;
        Assert.Equal(0, await sqs.CountAsync(Requests));
        Assert.Equal(5, world.Received);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Records.Count == 5), "every job has ended");
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 5);
    }

    [Fact]
    public async Task A_result_too_large_for_a_reply_is_left_where_it_is_stored_and_named()
    {
        await using var world = await StartAsync(JobsWorld.Catalog with { Models = [JobsWorld.Catalog.Models[0] with { MaxOutputTokens = 100_000 }] });
        using var sqs = new Sqs(world);
        await sqs.SendAsync("""{"model":"chat","lanes":["Async"],"deadline":"2h","body":{"inputs":"hello","output_tokens":60000},"correlationId":"c-2"}""");
        var reply = await sqs.ReplyAsync();
        Assert.Equal((nameof(JobState.Succeeded), "c-2"), (reply.GetProperty("state").GetString(), reply.GetProperty("correlationId").GetString()));
        Assert.All((string[])["body", "text", "base64", "problem"], name => Assert.False(reply.TryGetProperty(name, out _)));
        Assert.StartsWith("s3://", reply.GetProperty("outputLocation").GetString(), StringComparison.Ordinal);
        var result = await world.Jobs.GetResultAsync(JobsWorld.Acme, reply.GetProperty("jobId").GetString()!, CancellationToken.None);
        Assert.True(result!.Body.Length > JobReply.MaxBytes);
    }

    [Theory]
    [InlineData("no json", "InvalidRequest: The message is not JSON")]
    [InlineData("""{"model":"nobody","body":1}""", "UnknownModel")]
    [InlineData("""{"model":"chat","lanes":["Realtime"],"body":1}""", "NoCandidate")]
    [InlineData("""{"model":"chat","deadline":"2020-01-01T00:00:00Z","body":1}""", "DeadlineExceeded")]
    public async Task What_can_never_be_served_goes_to_the_dead_letter_queue_with_its_reason(string text, string reason)
    {
        await using var world = await StartAsync();
        using var sqs = new Sqs(world);
        await sqs.SendAsync(text, new() { ["Shard"] = new() { DataType = "Number.int", StringValue = "7" }, ["Reason"] = new() { DataType = "String", StringValue = "mine" } });
        var letter = await sqs.ReceiveAsync(Refused);
        Assert.Equal(("Number.int", "7"), (letter.MessageAttributes["Shard"].DataType, letter.MessageAttributes["Shard"].StringValue));
        Assert.Equal(text, letter.Body);
        Assert.StartsWith(reason, letter.MessageAttributes["Reason"].StringValue, StringComparison.Ordinal);
        Assert.Equal(Requests, letter.MessageAttributes["Queue"].StringValue);
        var reply = await sqs.ReplyAsync();
        Assert.Equal("Refused", reply.GetProperty("state").GetString());
        Assert.All((string[])["body", "text", "base64"], name => Assert.False(reply.TryGetProperty(name, out _)));
        await sqs.UntilEmptyAsync(Requests);
        Assert.Equal(Money.Zero, await world.RequireLedgerAndAuditAgreeAsync(jobs: 0));
    }

    [Theory]
    [InlineData(DeadLetter.MostBytes, "InvalidRequest: The message is not JSON")]
    [InlineData(DeadLetter.TakenBytes, null)]
    public async Task A_message_of_the_most_bytes_goes_to_the_dead_letter_queue_with_as_much_as_that_takes(int taken, string? reason)
    {
        await using var world = await StartAsync();
        using var sqs = new Sqs(world);
        await sqs.LimitAsync(Refused, taken);
        var text = new string('x', DeadLetter.TakenBytes);
        await sqs.SendAsync(text);
        var letter = await sqs.ReceiveAsync(Refused);
        Assert.Equal(text, letter.Body);
        var said = letter.MessageAttributes is { } attributes && attributes.TryGetValue("Reason", out var value) ? value.StringValue : "";
        Assert.StartsWith(reason ?? "", said, StringComparison.Ordinal);
        Assert.Equal(reason is null, said.Length == 0);
        await sqs.UntilEmptyAsync(Requests);
    }

    [Theory]
    [InlineData("{\"inputs\":\"another\"}", true)]
    [InlineData("{\"inputs\":\"hello\"}", false)]
    public async Task A_late_message_under_the_key_of_another_request_goes_to_the_dead_letter_queue_and_a_repeated_one_does_not(string body, bool isRefused)
    {
        await using var world = await StartAsync(visibilitySeconds: 20);
        using var sqs = new Sqs(world);
        await sqs.SendAsync("""{"model":"chat","lanes":["Async"],"deadline":"2h","body":{"inputs":"hello"},"idempotencyKey":"k"}""");
        var id = (await sqs.ReplyAsync()).GetProperty("jobId").GetString()!;
        var late = $$"""{"model":"chat","deadline":"2020-01-01T00:00:00Z","body":{{body}},"idempotencyKey":"k"}""";
        await sqs.SendAsync(late);
        if (isRefused)
        {
            var letter = await sqs.ReceiveAsync(Refused);
            Assert.Equal(late, letter.Body);
            Assert.StartsWith("IdempotencyConflict", letter.MessageAttributes["Reason"].StringValue, StringComparison.Ordinal);
            Assert.Equal("Refused", (await sqs.ReplyAsync()).GetProperty("state").GetString());
        }

        await sqs.UntilEmptyAsync(Requests);
        Assert.Equal(0, await sqs.CountAsync(Refused));
        Assert.Equal(0, await sqs.CountAsync(Answers));
        Assert.Equal(JobAddress.IdOf(JobsWorld.Acme, "k"), id);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task A_message_that_the_budget_does_not_allow_stays_until_there_is_money()
    {
        await using var world = await StartAsync(Limited(Money.FromNanos(1)));
        using var sqs = new Sqs(world);
        await sqs.SendAsync(Good);
        await JobsWorld.UntilAsync(async () => (await sqs.AttributesAsync(Requests)).ApproximateNumberOfMessagesNotVisible == 1, "the message was put back");
        await Task.Delay(TimeSpan.FromSeconds(3), TestContext.Current.CancellationToken);
        Assert.Equal(1, await sqs.CountAsync(Requests));
        Assert.Equal(0, await sqs.CountAsync(Refused));
        Assert.Equal(0, await sqs.CountAsync(Answers));

        var raised = await world.Grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Apply(Limited(Money.FromDollars(1)));
        Assert.Empty(raised.Problems);
        Assert.Equal(nameof(JobState.Succeeded), (await sqs.ReplyAsync()).GetProperty("state").GetString());
        await sqs.UntilEmptyAsync(Requests);
        RequireOneRun(world);
    }

    [Theory]
    [InlineData("2h", false)]
    [InlineData("10m", true)]
    public async Task A_silo_that_dies_between_acceptance_and_deletion_leaves_one_job(string deadline, bool isOver)
    {
        await using var world = await StartAsync();
        using var sqs = new Sqs(world);
        world.AreDeletesHeld = true;
        await sqs.SendAsync(Good.Replace("2h", deadline, StringComparison.Ordinal));
        await JobsWorld.UntilAsync(() => Task.FromResult(world.HeldDeletes > 0), "the message's job was accepted");
        var end = isOver ? world.Clock.Now + 600_000 : 0;
        await world.RestartClusterAsync(() => world.AreDeletesHeld = false);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Clock.Now > end), "the deadline is over");
        world.StartIngest();
        var state = (await sqs.ReplyAsync()).GetProperty("state").GetString();
        Assert.True(state is nameof(JobState.Succeeded) || (isOver && state is nameof(JobState.Expired)), state);
        await sqs.UntilEmptyAsync(Requests);
        Assert.Equal(0, await sqs.CountAsync(Refused));
        Assert.Equal(0, await sqs.CountAsync(Answers));

        // One that expired may have done so before it was sent.
        Assert.InRange(world.Aws.InvocationCounts.Values.Sum(static count => count.Completed), state is nameof(JobState.Succeeded) ? 1 : 0, 1);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task A_reply_that_could_not_be_sent_outlives_every_silo()
    {
        await using var world = await StartAsync();
        using var sqs = new Sqs(world);
        await sqs.DeleteAsync(Answers);
        await sqs.SendAsync(Good.Replace("{\"model\"", "{\"idempotencyKey\":\"late\",\"model\"", StringComparison.Ordinal));
        var id = JobAddress.IdOf(JobsWorld.Acme, "late");
        await JobsWorld.UntilAsync(async () => await world.Jobs.GetAsync(JobsWorld.Acme, id, TimeSpan.Zero, TestContext.Current.CancellationToken) is { EndedAt: not null }, "the job has ended");
        await world.RestartClusterAsync();
        await sqs.CreateAsync();
        Assert.Equal(id, (await sqs.ReplyAsync()).GetProperty("jobId").GetString());
        RequireOneRun(world);
    }

    [Fact]
    public async Task Nothing_is_deleted_while_jobs_cannot_be_stored()
    {
        await using var world = await StartAsync();
        using var sqs = new Sqs(world);
        world.Conflicts.OnNextWrite<StoredJob>("job", static _ => true, WriteFate.RefusedThenDown);
        await sqs.SendAsync(Good);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Conflicts.Conflicts > 0), "the job could not be stored");
        await Task.Delay(TimeSpan.FromSeconds(3), TestContext.Current.CancellationToken);
        Assert.Equal(1, await sqs.CountAsync(Requests));
        world.Conflicts.Recover("job");
        Assert.Equal(nameof(JobState.Succeeded), (await sqs.ReplyAsync()).GetProperty("state").GetString());
        await sqs.UntilEmptyAsync(Requests);
        RequireOneRun(world);
    }

    private static async Task<JobsWorld> StartAsync(CatalogDefinition? catalog = null, double visibilitySeconds = 2)
    {
        var world = await JobsWorld.StartAsync(catalog: catalog, queues: [Settings with { Visibility = TimeSpan.FromSeconds(visibilitySeconds) }]);
        using var sqs = new Sqs(world);
        await sqs.CreateAsync();
        world.StartIngest();
        return world;
    }

    private static CatalogDefinition Limited(Money limit) => JobsWorld.Catalog with
    {
        Tenants = [new() { Id = JobsWorld.Acme, Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = limit }], LowBudget = [LowBudgetStep.Refuse] }],
    };

    private static void RequireOneRun(JobsWorld world) => Assert.Equal(1, world.Aws.InvocationCounts.Values.Sum(static count => count.Completed));

    private sealed class Sqs(JobsWorld world) : IDisposable
    {
        private readonly AmazonSQSClient _client = new(
            new BasicAWSCredentials("AKIDEXAMPLE", "secret"),
            new AmazonSQSConfig { ServiceURL = world.Aws.Address.AbsoluteUri, AuthenticationRegion = "us-east-1" });

        public void Dispose() => _client.Dispose();

        public async Task CreateAsync()
        {
            foreach (var name in (string[])[Requests, Refused, Answers])
            {
                await _client.CreateQueueAsync(name, TestContext.Current.CancellationToken);
            }
        }

        public async Task LimitAsync(string name, int bytes) =>
            await _client.SetQueueAttributesAsync(await UrlAsync(name), new() { ["MaximumMessageSize"] = bytes.ToString(CultureInfo.InvariantCulture) }, TestContext.Current.CancellationToken);

        public async Task DeleteAsync(string name) => await _client.DeleteQueueAsync(await UrlAsync(name), TestContext.Current.CancellationToken);

        public async Task SendAsync(string text, Dictionary<string, MessageAttributeValue>? attributes = null) =>
            await _client.SendMessageAsync(new SendMessageRequest { QueueUrl = await UrlAsync(Requests), MessageBody = text, MessageAttributes = attributes }, TestContext.Current.CancellationToken);

        public async Task<JsonElement> ReplyAsync() => JsonDocument.Parse((await ReceiveAsync(Answers)).Body).RootElement;

        public async Task<Message> ReceiveAsync(string name)
        {
            for (var tries = 0; tries < 12; tries++)
            {
                var answer = await _client.ReceiveMessageAsync(
                    new ReceiveMessageRequest { QueueUrl = await UrlAsync(name), WaitTimeSeconds = 15, VisibilityTimeout = 60, MessageAttributeNames = ["All"] },
                    TestContext.Current.CancellationToken);
                if (answer.Messages is [var message, ..])
                {
                    await _client.DeleteMessageAsync(await UrlAsync(name), message.ReceiptHandle, TestContext.Current.CancellationToken);
                    return message;
                }
            }

            throw new TimeoutException($"No message came to queue {name}.");
        }

        public async Task<GetQueueAttributesResponse> AttributesAsync(string name) => await _client.GetQueueAttributesAsync(await UrlAsync(name), ["All"], TestContext.Current.CancellationToken);

        public async Task<int> CountAsync(string name)
        {
            var all = await AttributesAsync(name);
            return all.ApproximateNumberOfMessages + all.ApproximateNumberOfMessagesNotVisible;
        }

        public Task UntilEmptyAsync(string name) => JobsWorld.UntilAsync(async () => await CountAsync(name) == 0, $"queue {name} is empty");

        private async Task<string> UrlAsync(string name) => (await _client.GetQueueUrlAsync(name, TestContext.Current.CancellationToken)).QueueUrl;
    }
}
