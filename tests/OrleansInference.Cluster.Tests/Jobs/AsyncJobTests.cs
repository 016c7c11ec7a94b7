using System.Collections.Concurrent;
using System.Text.Json;

namespace OrleansInference.Tests.Jobs;

public sealed class AsyncJobTests
{
    private const string Body = """{"inputs":"hello","input_tokens":30,"output_tokens":5}""";

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_job_succeeds_whether_its_end_is_notified_or_found(bool notify)
    {
        await using var world = await JobsWorld.StartAsync(notify);
        var ids = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => world.AcceptAsync(Body, "chat-async")));
        Assert.Equal(8, ids.Distinct().Count());
        foreach (var id in ids)
        {
            var view = await world.EndOfAsync(id);
            Assert.Equal(JobState.Succeeded, view.State);
            Assert.True(view.Route.Charge > Money.Zero && view.Route.Charge <= view.Route.ChargeCap);
            var result = await world.Jobs.GetResultAsync(JobsWorld.Acme, id, CancellationToken.None);
            using var answer = JsonDocument.Parse(result!.Body);
            Assert.Equal(30, answer.RootElement.GetProperty("usage").GetProperty("input_tokens").GetInt32());
            Assert.Equal("application/json", result.ContentType);
            Assert.Equal(view.Route.Charge, result.Route!.Charge);
        }

        Assert.True(await world.RequireLedgerAndAuditAgreeAsync(jobs: 8) > Money.Zero);
    }

    [Fact]
    public async Task A_large_input_goes_not_between_silos_and_is_gone_if_its_job_is_refused()
    {
        await using var world = await JobsWorld.StartAsync();
        var called = new ConcurrentQueue<string>();
        world.CallFault = method =>
        {
            called.Enqueue(method);
            return null;
        };
        var large = $$"""{"inputs":"{{new string('x', 2 << 20)}}","input_tokens":30,"output_tokens":5}""";
        var refused = await world.SubmitAsync(large, "chat-async", cap: Money.FromDollars(1_000_000));
        Assert.Equal(ProblemCode.BudgetExhausted, refused.Problem?.Code);
        Assert.Empty(await world.ObjectsAsync("jobs/"));
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(await world.AcceptAsync(large, "chat-async"))).State);
        Assert.DoesNotContain(nameof(IJobGrain.AcceptWithInput), called);
        Assert.Contains(nameof(IJobGrain.Accept), called);
    }

    [Fact]
    public async Task An_input_is_not_stored_beside_a_silo_that_does_not_answer_and_is_beside_one_that_does_not_know_the_call()
    {
        await using var world = await JobsWorld.StartAsync();
        foreach (var (fault, stores) in new (Exception, bool)[] { (new TimeoutException("no answer"), false), (new NotSupportedException("no such method"), true) })
        {
            var called = new ConcurrentQueue<string>();
            var failing = 2;
            world.CallFault = method =>
            {
                called.Enqueue(method);
                return method == nameof(IJobGrain.AcceptWithInput) && Interlocked.Decrement(ref failing) >= 0 ? fault : null;
            };
            Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(await world.AcceptAsync(Body, "chat-async"))).State);
            Assert.Equal(stores ? 2 : 3, called.Count(static method => method == nameof(IJobGrain.AcceptWithInput)));
            Assert.Equal(stores, called.Contains(nameof(IJobGrain.Accept)));
        }
    }

    [Fact]
    public async Task A_model_error_carries_the_models_words_and_is_charged_as_it_would_be_in_line()
    {
        await using var world = await JobsWorld.StartAsync();
        var view = await world.EndOfAsync(await world.AcceptAsync("""{"question":1}""", "chat-async"));
        Assert.Equal(JobState.Failed, view.State);
        Assert.Equal(ProblemCode.ModelError, view.Problem!.Code);
        Assert.Contains("'inputs'", view.Problem.Message, StringComparison.Ordinal);
        var result = await world.Jobs.GetResultAsync(JobsWorld.Acme, view.JobId, CancellationToken.None);
        Assert.Equal(view.Problem, result!.Problem);
        var charged = await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
        Assert.InRange(charged, Money.FromNanos(1), view.Route.ChargeCap);
        Assert.Equal(charged, view.Route.Charge);
    }

    [Fact]
    public async Task A_job_whose_input_does_not_exist_says_so_never_ran_and_is_charged_nothing()
    {
        await using var world = await JobsWorld.StartAsync();
        var accepted = await world.SubmitAsync("", "chat-async", location: "s3://orleans-inference/tenants/acme/nothing.json");
        var view = await world.EndOfAsync(accepted.JobId!);
        Assert.Equal((JobState.Failed, ProblemCode.InputNotFound), (view.State, view.Problem!.Code));
        Assert.Contains("'s3://orleans-inference/tenants/acme/nothing.json'", view.Problem.Message, StringComparison.Ordinal);
        Assert.Contains("Unable to access", view.Problem.OriginalMessage, StringComparison.Ordinal);
        Assert.Equal(Money.Zero, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
    }

    [Theory]
    [InlineData("chat-async")]
    [InlineData("chat-batch")]
    public async Task A_job_is_charged_for_the_time_that_its_model_says_it_took(string endpoint)
    {
        await using var world = await JobsWorld.StartAsync();
        await world.EndOfAsync(await world.AcceptAsync(Body, endpoint));
        Assert.Equal(2_003.75, Assert.Single(world.Audit.Records.DistinctBy(static record => record.Request)).ServiceMs);
    }

    [Fact]
    public async Task A_repeated_submission_gives_the_same_job_and_one_charge_and_another_body_a_conflict()
    {
        await using var world = await JobsWorld.StartAsync();
        var ids = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => world.AcceptAsync(Body, "chat-async", key: "order-7")));
        var id = Assert.Single(ids.Distinct());
        var conflict = await world.SubmitAsync("""{"inputs":"other"}""", "chat-async", key: "order-7");
        Assert.Equal(ProblemCode.IdempotencyConflict, conflict.Problem!.Code);
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(id)).State);
        Assert.Equal(id, await world.AcceptAsync(Body, "chat-async", key: "order-7"));
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
        Assert.Equal(1, world.Aws.InvocationCounts["chat-async"].Completed);
    }

    [Fact]
    public async Task A_job_that_the_budget_does_not_allow_is_refused_and_leaves_no_input()
    {
        await using var world = await JobsWorld.StartAsync();
        var outcome = await world.SubmitAsync(Body, "chat-async", cap: Money.FromDollars(2));
        Assert.Equal(ProblemCode.BudgetExhausted, outcome.Problem!.Code);
        Assert.Empty(await world.ObjectsAsync("jobs/"));
        Assert.Equal(Money.Zero, (await world.BudgetAsync()).Reserved);
    }

    [Fact]
    public async Task A_job_expires_at_its_deadline_and_a_late_answer_is_not_charged()
    {
        await using var world = await JobsWorld.StartAsync();
        var view = await world.EndOfAsync(await world.AcceptAsync(Body, "chat-async-slow", deadlineSeconds: 600));
        Assert.Equal(JobState.Expired, view.State);
        Assert.Equal(ProblemCode.DeadlineExceeded, view.Problem!.Code);
        Assert.Equal(Money.Zero, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
    }

    [Fact]
    public async Task A_cancelled_job_ends_at_once_and_stays_cancelled()
    {
        await using var world = await JobsWorld.StartAsync();
        var id = await world.AcceptAsync(Body, "chat-async-slow");
        var cancelled = await world.Jobs.CancelAsync(JobsWorld.Acme, id, CancellationToken.None);
        Assert.Equal(JobState.Cancelled, cancelled!.State);
        Assert.Equal(JobState.Cancelled, (await world.Jobs.CancelAsync(JobsWorld.Acme, id, CancellationToken.None))!.State);
        Assert.Equal(Money.Zero, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
    }

    [Fact]
    public async Task Throttling_and_outages_are_waited_out_within_the_deadline()
    {
        await using var world = await JobsWorld.StartAsync();
        world.IsRuntimeDown = true;
        var patient = await world.AcceptAsync(Body, "chat-async");
        var pressed = await world.AcceptAsync(Body, "chat-async", deadlineSeconds: 600);
        var failed = await world.EndOfAsync(pressed);
        Assert.Equal(JobState.Failed, failed.State);
        Assert.Contains("the gate is shut", failed.Problem!.Message, StringComparison.Ordinal);
        world.IsRuntimeDown = false;
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(patient)).State);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 2);
    }

    [Fact]
    public async Task A_tenants_jobs_are_not_there_for_another()
    {
        await using var world = await JobsWorld.StartAsync();
        var id = await world.AcceptAsync(Body, "chat-async");
        var other = new TenantId("umbrella");
        Assert.Null(await world.Jobs.GetAsync(other, id, TimeSpan.Zero, CancellationToken.None));
        Assert.Null(await world.Jobs.GetResultAsync(other, id, CancellationToken.None));
        Assert.Null(await world.Jobs.CancelAsync(other, id, CancellationToken.None));
        Assert.Null(await world.Jobs.GetAsync(JobsWorld.Acme, "../" + id, TimeSpan.Zero, CancellationToken.None));
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(id)).State);
    }

    [Fact]
    public async Task A_message_about_nothing_is_taken_off_the_queue()
    {
        await using var world = await JobsWorld.StartAsync();
        await world.SendAsync("not json", """{"Message":"{}"}""", """{"Message":"{\"inferenceId\":\"acme/aaaaaaaaaaaaaaaaaaaaaaaaaa\"}"}""", "[]");
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(await world.AcceptAsync(Body, "chat-async"))).State);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Deleted == 5), "every message is off the queue");
    }
}
