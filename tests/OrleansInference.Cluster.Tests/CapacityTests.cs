namespace OrleansInference.Tests;

/// <summary>The instances of an endpoint, as its grain keeps them.</summary>
public sealed class CapacityTests
{
    private const string Name = "chat-rt";

    [Fact]
    public async Task A_new_endpoint_is_not_scaled_up_in_its_first_moments()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(1_000), SampleCatalog.Endpoint(Name) with
        {
            ConcurrencyPerInstance = 1,
            MaxInstances = 20,
            Prior = new() { ServiceP50Seconds = 10, ServiceP99Seconds = 20, ColdStartSeconds = 90 },
        }));
        var before = world.Aws.Instances(Name);

        // Less than the time between two looks at it.
        await Task.Delay(TimeSpan.FromSeconds(2), TestContext.Current.CancellationToken);
        Assert.Equal(2, before);
        Assert.Equal(before, world.Aws.Instances(Name));
    }
}
