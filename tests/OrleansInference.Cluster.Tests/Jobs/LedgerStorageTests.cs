using Microsoft.Extensions.DependencyInjection;
using Orleans.Storage;
using OrleansInference.Batch;
using OrleansInference.Budgets;
using OrleansInference.Hosting;
using OrleansInference.Jobs;
using OrleansInference.Persistence;
using OrleansInference.Tenants;

namespace OrleansInference.Tests.Jobs;

/// <summary>What a tenant's grain has stored, when another activation or a newer release has written it.</summary>
public sealed class LedgerStorageTests
{
    private const int Reservations = 400;

    private static readonly Money Cap = Money.FromNanos(2_000_000);
    private static readonly Money Charge = Money.FromNanos(1_234_567);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_activation_that_finds_anothers_write_in_its_way_gives_up_and_nothing_that_was_answered_is_lost(bool pages)
    {
        await using var world = await JobsWorld.StartAsync();
        var grains = world.Grains;
        var tenant = grains.GetGrain<ITenantGrain>(JobsWorld.Acme.Value);
        var expires = world.Clock.Now + 50_000_000;
        var failed = 0;
        var settled = 0;
        for (var i = 0; i < Reservations; i++)
        {
            var id = $"acme/{i}/1";
            await UntilAnsweredAsync(async () => Assert.True((await tenant.Reserve(id, Cap, expires)).Granted));
            if (i % 3 == 0)
            {
                settled++;
                await UntilAnsweredAsync(async () => Assert.Equal(Charge, (await tenant.Settle(id, Charge))!.Charge));
            }

            if (i % 100 == 99)
            {
                // The other activation has written the same once more: what this one writes next is out of date.
                var written = pages ? 0 : await RewriteAsync<TenantGrainState>(world, "tenant", tenant.GetGrainId()) ? 1 : 0;
                while (pages && await RewriteAsync<ReservationPage>(world, $"reservations-{written}", tenant.GetGrainId()))
                {
                    written++;
                }

                Assert.True(written > 0, "nothing is stored");
                var before = failed;
                settled++;
                await UntilAnsweredAsync(async () => Assert.Equal(Charge, (await tenant.Settle($"acme/{(i / 100 * 3) + 1}/1", Charge))!.Charge));
                for (var k = 0; failed == before; k++)
                {
                    Assert.True(k < 1_000, "the activation has written on, whatever was in its way");
                    var more = $"acme/{i}-{k}/1";
                    await UntilAnsweredAsync(async () => Assert.True((await tenant.Reserve(more, Cap, expires)).Granted));
                    await UntilAnsweredAsync(() => tenant.Settle(more, Money.Zero));
                }
            }
        }

        Assert.True(failed >= 4);
        await RequireAsync();
        await world.RestartClusterAsync();
        grains = world.Grains;
        tenant = grains.GetGrain<ITenantGrain>(JobsWorld.Acme.Value);
        await RequireAsync();
        for (var i = 0; i < Reservations; i++)
        {
            // Repeated, each answers as before: none is charged twice, and none is forgotten.
            var ended = await tenant.Settle($"acme/{i}/1", Charge);
            Assert.Equal((Cap, Charge), (ended!.Amount, ended.Charge));
        }

        Assert.Equal(Charge * Reservations, (await world.BudgetAsync()).SettledTotal);

        async Task RequireAsync()
        {
            var budget = await world.BudgetAsync();
            Assert.Equal((Charge * settled, Cap * (Reservations - settled), Money.Zero), (budget.SettledTotal, budget.Reserved, budget.UnreportedTotal));
        }

        async Task UntilAnsweredAsync(Func<Task> call)
        {
            for (var tries = 0; ; tries++)
            {
                try
                {
                    await call();
                    return;
                }
                catch (Exception exception) when (exception is OrleansException or InconsistentStateException && tries < 20)
                {
                    failed++;
                    await Task.Delay(20, TestContext.Current.CancellationToken);
                }
            }
        }
    }

    [Fact]
    public async Task What_a_newer_release_has_stored_is_refused_with_the_reason_and_left_as_it_is()
    {
        await using var world = await JobsWorld.StartAsync();
        var grains = world.Grains;
        var key = new JobAddress(JobsWorld.Acme, JobAddress.IdOf(JobsWorld.Acme, "newer")).Key;
        await RequireRefusedAsync(grains.GetGrain<ITenantGrain>("umbrella-next"), "tenant", new TenantGrainState { Form = 1, Version = 7 }, static grain => grain.GetBudget());
        await RequireRefusedAsync(grains.GetGrain<IJobGrain>(key), "job", new StoredJob { Form = 2 }, static grain => grain.Get());
        await RequireRefusedAsync(grains.GetGrain<IBatchGrain>(key), "batch", new StoredBatch { Form = 3 }, static grain => grain.Get());
        await RequireRefusedAsync(grains.GetGrain<IBatchWindowGrain>("chat-batch/99"), "batch-window", new WindowRecord { Form = 1 }, static grain => grain.GetView());

        async Task RequireRefusedAsync<TGrain, TState>(TGrain grain, string name, TState state, Func<TGrain, Task> call)
            where TGrain : IAddressable
            where TState : IStoredForm
        {
            var storage = StorageOf(world);
            var stored = new GrainState<TState>(state);
            await storage.WriteStateAsync(name, grain.GetGrainId(), stored);
            var exception = await Assert.ThrowsAnyAsync<Exception>(() => call(grain));
            Assert.Contains($"form {state.Form} by a newer release", exception.ToString(), StringComparison.Ordinal);
            var found = new GrainState<TState>();
            await storage.ReadStateAsync(name, grain.GetGrainId(), found);
            Assert.Equal(stored.ETag, found.ETag);
        }
    }

    private static IGrainStorage StorageOf(JobsWorld world) => world.Services.GetRequiredKeyedService<IGrainStorage>(OrleansInferenceOptions.StorageName);

    private static async Task<bool> RewriteAsync<TState>(JobsWorld world, string name, GrainId grain)
    {
        var storage = StorageOf(world);
        while (true)
        {
            var state = new GrainState<TState>();
            await storage.ReadStateAsync(name, grain, state);
            if (!state.RecordExists)
            {
                return false;
            }

            try
            {
                await storage.WriteStateAsync(name, grain, state);
                return true;
            }
            catch (InconsistentStateException)
            {
                // The activation itself was in between.
            }
        }
    }
}
