using System.Net;
using OrleansInference.Configuration;
using OrleansInference.Diagnosis;
using OrleansInference.Hosting;

namespace OrleansInference.DynamoDB.Tests.Servers;

[Collection(DynaliteCollection.Name)]
public sealed class MasterKeyTests(Dynalite dynalite) : IAsyncLifetime
{
    private ServerCluster? _cluster;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _cluster = await ServerCluster.StartAsync(dynalite.Service, 1);

    public async ValueTask DisposeAsync()
    {
        dynalite.Proxy.Faults = null;
        await _cluster!.DisposeAsync();
    }

    [Fact]
    public async Task A_server_with_another_master_key_does_not_join_the_cluster()
    {
        var other = _cluster!.Settings(1) with { MasterKey = Convert.ToBase64String(new byte[32]) };
        dynalite.Proxy.TakeCalls();
        var exception = await Assert.ThrowsAsync<ConfigurationException>(() => ServerHost.StartAsync(other, Cancelled));
        var problem = Assert.Single(exception.Problems);
        Assert.StartsWith("MasterKey: it is not the one that the state of service orleans-inference", problem, StringComparison.Ordinal);
        Assert.Contains("Give this server the MasterKey of the others.", problem, StringComparison.Ordinal);
        Assert.DoesNotContain(other.MasterKey, problem, StringComparison.Ordinal);

        // The one of the cluster serves on, and a server with its key joins it.
        await _cluster.AddAsync(2);
        using var response = await _cluster.InvokeAsync("chat");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Fact]
    public async Task Doctor_compares_it_with_the_one_of_the_cluster()
    {
        var settings = _cluster!.Settings(1);
        Assert.Equal((FindingState.Ok, "it is the one that the state belongs to"), await FindAsync(settings));
        var (state, detail) = await FindAsync(settings with { MasterKey = Convert.ToBase64String(new byte[32]) });
        Assert.Equal(FindingState.Wrong, state);
        Assert.StartsWith("MasterKey: it is not the one that the state of service orleans-inference", detail, StringComparison.Ordinal);
        Assert.Equal((FindingState.Ok, "the state belongs to none yet; the first server that starts makes its own the one"), await FindAsync(settings with { Cluster = settings.Cluster! with { ServiceId = "another" } }));
    }

    [Fact]
    public async Task A_server_waits_until_it_can_be_compared()
    {
        dynalite.Proxy.TakeCalls();
        dynalite.Proxy.Faults = static call => call.Operation == "GetItem" && call.Body.ToJsonString().Contains("masterkey/service", StringComparison.Ordinal) ? new("AccessDeniedException", "not yet") : null;
        var start = _cluster!.AddAsync(3);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        patience.CancelAfter(TimeSpan.FromMinutes(2));
        while (!dynalite.Proxy.TakeCalls().Any(static call => call.Body.ToJsonString().Contains("masterkey/service", StringComparison.Ordinal)))
        {
            await Task.Delay(20, patience.Token);
        }

        Assert.False(start.IsCompleted);
        dynalite.Proxy.Faults = null;
        await start.WaitAsync(patience.Token);
    }

    private static async Task<(FindingState, string)> FindAsync(ServerSettings settings)
    {
        using var doctor = new Doctor(settings);
        await foreach (var finding in doctor.ExamineAsync(Cancelled))
        {
            if (finding.Dependency == "master key")
            {
                return (finding.State, finding.Detail);
            }
        }

        throw new InvalidOperationException("Doctor did not look at the master key.");
    }
}
