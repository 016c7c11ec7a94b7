using System.Collections.Immutable;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Dispatch;

namespace OrleansInference.Tests.Jobs;

public sealed class PacedTenantTests
{
    // A call may take 60 s of the router's time, which is three of life.
    private const double Speed = 20;
    private const int WindowSeconds = 1_200;

    private static readonly TenantId Hasty = new("hasty");
    private static readonly TenantId Steady = new("steady");
    private static readonly Money Price = Money.FromDollars(0.2m);
    private static readonly Money Limit = Money.FromDollars(20);

    [Fact]
    public async Task A_tenant_ahead_of_its_pace_takes_a_cheaper_lane_before_its_money_is_gone_and_one_behind_does_not()
    {
        await using var world = await JobsWorld.StartAsync(catalog: Catalog(), speed: Speed);
        var first = await SendAsync(world, Hasty);
        Assert.True(first.Problem is null, first.Problem?.Message);
        Assert.Equal(Lane.Realtime, first.Route?.Lane);
        var isCheaper = false;
        var pacing = 0.0;
        var (began, sent) = (world.Clock.Now, 0);
        await JobsWorld.UntilAsync(
            async () =>
            {
                // Three times its pace: all the money would be gone after a third of the window.
                var due = (int)(3 * Limit.Nanos / Price.Nanos * (world.Clock.Now - began) / (1_000 * WindowSeconds));
                var outcomes = await Task.WhenAll(Enumerable.Range(0, Math.Clamp(due - sent, 0, 8)).Select(_ => SendAsync(world, Hasty)));
                Assert.All(outcomes, outcome => Assert.True(outcome.Problem is null, outcome.Problem?.Message));
                sent += outcomes.Length;
                pacing = Math.Max(pacing, (await BudgetAsync(world, Hasty)).Pacing);
                isCheaper |= outcomes.Any(outcome => outcome.Route?.Lane == Lane.Async);
                return isCheaper;
            },
            "the hasty tenant takes the cheaper lane");

        var budget = await BudgetAsync(world, Hasty);
        Assert.True(pacing > 0);
        Assert.True(budget.SettledTotal < Limit, $"{budget.SettledTotal} of {Limit} were spent");
        Assert.Equal(Lane.Realtime, (await SendAsync(world, Steady)).Route?.Lane);
        Assert.Equal(0, (await BudgetAsync(world, Steady)).Pacing);
    }

    private static Task<BudgetView> BudgetAsync(JobsWorld world, TenantId tenant) => world.Grains.GetGrain<ITenantGrain>(tenant.Value).GetBudget();

    private static Task<InferenceOutcome> SendAsync(JobsWorld world, TenantId tenant) =>
        world.Services.GetRequiredService<IDispatcher>().InvokeAsync(
            new()
            {
                Tenant = tenant,
                Model = JobsWorld.Chat,
                Body = """{"inputs":"hello","input_tokens":30,"output_tokens":5}"""u8.ToArray(),
                Deadline = TimeSpan.FromHours(2),
                Delivery = Delivery.Either,
            },
            TestContext.Current.CancellationToken);

    private static CatalogDefinition Catalog()
    {
        var model = JobsWorld.Catalog.Models[0];
        var variant = model.Variants[0];
        var lane = variant.Endpoints[0];

        // Real-time runs anyway and costs the operator nothing more; the async lane must be started, and charges next to nothing.
        ImmutableArray<EndpointDefinition> endpoints =
        [
            lane with { Name = new("chat-dear"), Lane = Lane.Realtime, MinInstances = 1, MaxInstances = 1, ConcurrencyPerInstance = 16, Tariff = new() { PerRequest = Price } },
            lane with { Name = new("chat-cheap"), MinInstances = 0, Tariff = new() { PerRequest = Money.FromNanos(1_000) } },
        ];
        return JobsWorld.Catalog with
        {
            Models = [model with { Variants = [variant with { Endpoints = endpoints }] }],
            Tenants = [.. new[] { Hasty, Steady }.Select(id => new TenantDefinition { Id = id, Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = WindowSeconds, Limit = Limit }] })],
        };
    }
}
