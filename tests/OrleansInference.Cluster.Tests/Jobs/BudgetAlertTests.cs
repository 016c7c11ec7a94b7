using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace OrleansInference.Tests.Jobs;

public sealed class BudgetAlertTests
{
    [Fact]
    public async Task Each_threshold_is_told_once_to_listeners_and_by_the_counter_over_a_restart_of_every_silo_too()
    {
        var counted = new ConcurrentQueue<object?>();
        using var meter = new MeterListener();
        meter.InstrumentPublished = static (instrument, listener) =>
        {
            if (instrument.Name == "orleans_inference.budget_alerts")
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };

        // Meters are the process's: other tests may run beside this one, so the tenant tells whose it is.
        var tenant = new TenantId("alerted");
        meter.SetMeasurementEventCallback<long>((_, measurement, tags, _) =>
        {
            var values = tags.ToArray().ToDictionary();
            if (values["tenant"] as string == tenant.Value)
            {
                counted.Enqueue(measurement == 1 ? values["percent"] : null);
            }
        });
        meter.Start();

        var catalog = HeldJobTests.Catalog([LowBudgetStep.Refuse], windowSeconds: 86_400);
        await using var world = await JobsWorld.StartAsync(catalog: catalog with { Tenants = [.. catalog.Tenants, catalog.Tenants[0] with { Id = tenant }] });
        await SpendAsync("first", Money.FromDollars(0.01m));
        await ToldAsync(50);
        await SpendAsync("second", Money.FromDollars(0.01m));
        await ToldAsync(50, 80, 100);

        await world.RestartClusterAsync();
        Assert.False((await Tenant().Reserve("third", Money.FromNanos(1), world.Clock.Now + 3_600_000)).Granted);
        Assert.Equal([50, 80, 100], (await Tenant().GetBudget()).Windows[0].Alerts);
        await ToldAsync(50, 80, 100);

        ITenantGrain Tenant() => world.Grains.GetGrain<ITenantGrain>(tenant.Value);

        async Task SpendAsync(string id, Money amount)
        {
            Assert.True((await Tenant().Reserve(id, amount, world.Clock.Now + 3_600_000)).Granted);
            await Tenant().Settle(id, amount);
        }

        // Told within the grain's turn, so before the answer.
        Task ToldAsync(params int[] percents)
        {
            Assert.Equal(percents, world.Alerts.All.Where(alert => alert.Tenant == tenant).Select(alert => alert.Percent));
            Assert.Equal(percents, counted.Cast<int>());
            return Task.CompletedTask;
        }
    }
}
