using System.Collections.Concurrent;
using Microsoft.Extensions.Time.Testing;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

/// <summary>What a request does whose grains were on a silo that has just been killed and is not yet declared dead.</summary>
public sealed class LostGrainTests
{
    private const int Lost = 4;
    private static readonly Money Price = Money.FromDollars(0.001m);
    private static readonly InferenceRequest Plain = SampleCatalog.Request(SampleCatalog.Poor, deadlineSeconds: 120);
    private static readonly InferenceRequest Keyed = Plain with { IdempotencyKey = "order-7" };

    public static TheoryData<string, string, bool> Calls => new()
    {
        { nameof(ITenantGrain), nameof(ITenantGrain.GetDefinition), false },
        { nameof(ITenantGrain), nameof(ITenantGrain.Refill), false },
        { nameof(IModelGrain), nameof(IModelGrain.Subscribe), false },
        { nameof(ITenantLimitsGrain), nameof(ITenantLimitsGrain.RefillInFlight), false },
        { nameof(ITenantLimitsGrain), nameof(ITenantLimitsGrain.RefillRate), false },
        { nameof(IIdempotencyGrain), nameof(IIdempotencyGrain.Begin), true },
        { nameof(IIdempotencyGrain), nameof(IIdempotencyGrain.Reserve), true },
        { nameof(ITenantGrain), nameof(ITenantGrain.Reserve), true },
        { nameof(IIdempotencyGrain), nameof(IIdempotencyGrain.Complete), true },
    };

    [Theory]
    [MemberData(nameof(Calls))]
    public async Task A_request_asks_again_within_its_deadline_and_is_charged_once(string grain, string method, bool isKeyed)
    {
        await using var world = await StartAsync(silos: 1, Price * 100, clock: new(new FakeTimeProvider(DateTimeOffset.UtcNow)));
        var left = Lost;
        world.Loses = call => call.InterfaceName.Contains(grain, StringComparison.Ordinal) && call.MethodName == method && Interlocked.Decrement(ref left) >= 0;
        var outcome = await AskAsync(world, isKeyed ? Keyed : Plain, () => left);
        Assert.True(outcome.IsAnswer, outcome.Problem?.Message);
        Assert.True(left <= 0, $"{left} of {Lost} calls were not lost");
        Assert.Equal(1, world.Aws.Calls);
        await RequireChargedAsync(world, SampleCatalog.Poor, Price);
    }

    [Fact]
    public async Task What_the_budget_covers_is_asked_again_before_a_request_is_refused_for_it()
    {
        await using var world = await StartAsync(silos: 1, Money.FromDollars(0.0005m), clock: new(new FakeTimeProvider(DateTimeOffset.UtcNow)));
        var left = Lost;
        world.Loses = call => call.MethodName == nameof(ITenantGrain.GetShortages) && Interlocked.Decrement(ref left) >= 0;
        var outcome = await AskAsync(world, Plain, () => left);
        Assert.Equal(ProblemCode.BudgetExhausted, outcome.Problem?.Code);
        Assert.True(left <= 0, $"{left} of {Lost} calls were not lost");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3600)]
    public async Task One_whose_grain_does_not_come_back_is_refused_in_time_and_charged_nothing(double deadlineSeconds)
    {
        await using var world = await StartAsync(silos: 1, Price * 100);
        var tries = new ConcurrentQueue<bool>();
        world.Loses = call =>
        {
            var isLost = call.MethodName == nameof(IIdempotencyGrain.Reserve);
            if (isLost)
            {
                tries.Enqueue(true);
            }

            return isLost;
        };
        var outcome = await world.Dispatchers()[0].InvokeAsync(Keyed with { Deadline = TimeSpan.FromSeconds(deadlineSeconds) }, TestContext.Current.CancellationToken);
        Assert.True(outcome.Problem?.Code is ProblemCode.Unavailable or ProblemCode.DeadlineUnreachable, outcome.Problem?.Message);
        Assert.InRange(tries.Count, 0, 20);
        Assert.Equal(0, world.Aws.Calls);
        await RequireChargedAsync(world, SampleCatalog.Poor, Money.Zero);
    }

    [Fact]
    public async Task When_the_silo_with_the_ledger_is_killed_every_request_of_the_others_is_answered()
    {
        const int OfEach = 300;
        await using var world = await StartAsync(silos: 3, Price * 2_000, tenants: 8);
        var management = world.Grains.GetGrain<IManagementGrain>(0);
        var killed = world.Cluster.SecondarySilos[0];
        var survivors = world.Cluster.Silos.Where(silo => silo != killed).Select(world.Dispatcher).ToArray();
        List<TenantId> tenants = [];
        foreach (var tenant in Enumerable.Range(0, 8).Select(Tenant))
        {
            foreach (var dispatcher in survivors)
            {
                Assert.True((await dispatcher.InvokeAsync(Plain with { Tenant = tenant }, TestContext.Current.CancellationToken)).IsAnswer);
            }

            if ((await management.GetActivationAddress(world.Grains.GetGrain<ITenantGrain>(tenant.Value)))!.Equals(killed.SiloAddress))
            {
                tenants.Add(tenant);
            }
        }

        await world.Cluster.KillSiloAsync(killed);

        // More at once than their leases have money for. A machine that is slow to find a silo dead refuses some, whose callers come back.
        var outcomes = await Task.WhenAll(
            from tenant in tenants.Append(Tenant(0)).Distinct()
            from dispatcher in survivors
            from i in Enumerable.Range(0, OfEach)
            select RouterCluster.EventuallyAsync(
                () => dispatcher.InvokeAsync(Plain with { Tenant = tenant }, TestContext.Current.CancellationToken),
                static outcome => outcome.Problem is not { Code: ProblemCode.Unavailable }));
        Assert.All(outcomes, static outcome => Assert.True(outcome.IsAnswer, $"{outcome.Problem?.Code}: {outcome.Problem?.Message}"));
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Warnings.ToArray()), warnings => warnings.Any(warning => warning.Contains($"Silo {killed.SiloAddress} is dead, declared by ", StringComparison.Ordinal)));
    }

    private static TenantId Tenant(int number) => new($"tenant-{number}");

    /// <summary>Time passes only after a call was lost, and in all less than what nobody gives up within.</summary>
    private static async Task<InferenceOutcome> AskAsync(RouterCluster world, InferenceRequest request, Func<int> left)
    {
        var asked = world.Dispatchers()[0].InvokeAsync(request, TestContext.Current.CancellationToken);
        for (var lost = 1; lost <= Lost; lost++)
        {
            var before = Lost - lost;
            await RouterCluster.EventuallyAsync(() => Task.FromResult(asked.IsCompleted || left() <= before), static isLost => isLost);
            await world.PassAsync(seconds: 2, () => asked.IsCompleted || left() < before);
        }

        return await asked;
    }

    private static async Task<RouterCluster> StartAsync(short silos, Money limit, int tenants = 0, RouterClock? clock = null)
    {
        var world = await RouterCluster.StartAsync(silos, clock: clock);
        var catalog = SampleCatalog.Create(limit);
        var poor = catalog.Tenants[1];
        await world.ApplyAsync(catalog with
        {
            Tenants =
            [
                poor with { Limits = [new() { MaxInFlight = 1_000, RequestsPerSecond = 1_000, Burst = 1_000 }] },
                .. Enumerable.Range(0, tenants).Select(number => poor with { Id = Tenant(number) }),
            ],
        });
        return world;
    }

    private static Task<BudgetView> RequireChargedAsync(RouterCluster world, TenantId tenant, Money charge) => RouterCluster.EventuallyAsync(
        async () =>
        {
            if (world.Clock.TimeProvider is FakeTimeProvider)
            {
                world.Pass(seconds: 1);
            }

            await world.BeatAsync();
            return await world.Grains.GetGrain<ITenantGrain>(tenant.Value).GetBudget();
        },
        budget => budget.SettledTotal == charge && budget.Reserved == Money.Zero);
}
