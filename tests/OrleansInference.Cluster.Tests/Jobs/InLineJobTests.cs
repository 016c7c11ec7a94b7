using System.Text;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Dispatch;

namespace OrleansInference.Tests.Jobs;

/// <summary>A caller waits in line for a job that it does not know of: what it is told is what the ledger took.</summary>
public sealed class InLineJobTests
{
    private static readonly TimeSpan InLine = TimeSpan.FromSeconds(900);

    [Fact]
    public async Task An_end_that_was_decided_before_the_deadline_and_settled_after_it_is_the_callers_answer()
    {
        await using var world = await JobsWorld.StartAsync();
        world.Audit.IsDown = true;
        var before = world.Clock.Now;
        var call = InvokeAsync(world, CancellationToken.None);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Refused > 0), "the end is decided");
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Clock.Now > before + (long)InLine.TotalMilliseconds), "the caller's wait is over");
        world.Audit.IsDown = false;
        await RequireTruthAsync(world, await call, null);
    }

    [Fact]
    public async Task A_caller_who_gives_up_when_the_end_was_decided_is_told_its_charge()
    {
        await using var world = await JobsWorld.StartAsync();
        world.Audit.IsDown = true;
        using var caller = new CancellationTokenSource();
        var call = InvokeAsync(world, caller.Token);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Refused > 0), "the end is decided");
        await caller.CancelAsync();
        world.Audit.IsDown = false;
        await RequireTruthAsync(world, await call, ProblemCode.Cancelled);
    }

    [Fact]
    public async Task A_caller_who_gives_up_before_the_end_cancels_the_job_and_is_charged_nothing()
    {
        await using var world = await JobsWorld.StartAsync();
        world.IsRuntimeDown = true;
        using var caller = new CancellationTokenSource();
        var call = InvokeAsync(world, caller.Token);
        await JobsWorld.UntilAsync(async () => (await world.BudgetAsync()).Reserved > Money.Zero, "the job is accepted");
        await caller.CancelAsync();
        var outcome = await call;
        Assert.Equal((ProblemCode.Cancelled, Money.Zero), (outcome.Problem!.Code, outcome.Route!.Charge));
        world.IsRuntimeDown = false;
        Assert.Equal(Money.Zero, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
        Assert.Equal(ProblemCode.Cancelled, Assert.Single(world.Audit.Records).Problem);
    }

    private static Task<InferenceOutcome> InvokeAsync(JobsWorld world, CancellationToken cancellationToken) => world.Services.GetRequiredService<IDispatcher>().InvokeAsync(
        new()
        {
            Tenant = JobsWorld.Acme,
            Model = JobsWorld.Chat,
            Body = Encoding.UTF8.GetBytes("""{"inputs":"hello","input_tokens":30,"output_tokens":5}"""),
            Class = TrafficClass.High,
            Deadline = InLine,
            LaneMask = 1 << (int)Lane.Async,
        },
        cancellationToken);

    private static async Task RequireTruthAsync(JobsWorld world, InferenceOutcome outcome, ProblemCode? problem)
    {
        Assert.Equal(problem, outcome.Problem?.Code);
        var charged = await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
        Assert.True(charged > Money.Zero);
        Assert.Equal(charged, outcome.Route!.Charge);
        Assert.Equal(problem is null, !outcome.Body.IsEmpty);
    }
}
