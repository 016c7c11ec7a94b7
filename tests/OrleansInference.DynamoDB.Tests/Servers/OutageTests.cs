using System.Net;
using System.Text.Json;

namespace OrleansInference.DynamoDB.Tests.Servers;

/// <summary>The tables cannot be used for a while under two servers at work.</summary>
[Collection(DynaliteCollection.Name)]
public sealed class OutageTests(Dynalite dynalite) : IAsyncLifetime
{
    private const int Refusals = 100;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync()
    {
        dynalite.Proxy.Faults = null;
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task What_a_table_refuses_a_grain_of_either_server_makes_requests_come_back_later_until_it_passes()
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromMinutes(4));
        await using var cluster = await ServerCluster.StartAsync(dynalite.Service, 2);
        await ServedAsync();
        dynalite.Proxy.Faults = static _ => new("AccessDeniedException", "not now");

        // Leases are spent for a while. Then half of the grains that would have to be read or written are on the other server.
        for (var refused = 0; refused < Refusals;)
        {
            patience.Token.ThrowIfCancellationRequested();
            using var response = await cluster.InvokeAsync("chat", ("X-Inference-Lanes", "Realtime"));
            if (response.StatusCode != HttpStatusCode.OK)
            {
                var text = await response.Content.ReadAsStringAsync(patience.Token);
                Assert.True(response.StatusCode == HttpStatusCode.ServiceUnavailable && JsonDocument.Parse(text).RootElement.GetProperty("code").GetString() == nameof(ProblemCode.Unavailable), $"{(int)response.StatusCode}: {text}");
                Assert.True(response.Headers.RetryAfter is not null, text);
                refused++;
            }
        }

        dynalite.Proxy.Faults = null;
        await ServedAsync();
        await ServedAsync();

        async Task ServedAsync()
        {
            while (true)
            {
                using var response = await cluster.InvokeAsync("chat", ("X-Inference-Lanes", "Realtime"));
                if (response.StatusCode == HttpStatusCode.OK)
                {
                    return;
                }

                await Task.Delay(100, patience.Token);
            }
        }
    }
}
