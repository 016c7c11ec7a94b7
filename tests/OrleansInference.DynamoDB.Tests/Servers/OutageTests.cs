using System.Net;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Serialization;
using OrleansInference.Diagnosis;

namespace OrleansInference.DynamoDB.Tests.Servers;

/// <summary>The tables cannot be used for a while under two servers at work.</summary>
[Collection(DynaliteCollection.Name)]
public sealed class OutageTests(Dynalite dynalite) : IAsyncLifetime
{
    private const int Refusals = 100;

    // What is refused is tried again as often as in production; what is only slow is waited for.
    private static readonly TablePatience Patient = TablePatience.OnRequests with { Attempt = TimeSpan.FromHours(1), Call = TimeSpan.FromMinutes(10) };

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
        patience.CancelAfter(TimeSpan.FromMinutes(10));
        await using var cluster = await ServerCluster.StartAsync(dynalite.Service, 2, Patient);
        await ServedAsync(cluster, patience.Token);
        dynalite.Proxy.Faults = static _ => new("AccessDeniedException", "not now");

        // Leases are spent for a while. Then half of the grains that would have to be read or written are on the other server.
        for (var refused = 0; refused < Refusals;)
        {
            patience.Token.ThrowIfCancellationRequested();
            using var response = await cluster.InvokeAsync("chat", ("X-Inference-Lanes", "Realtime"));
            if (response.StatusCode != HttpStatusCode.OK)
            {
                await AssertComesBackAsync(response, patience.Token);
                refused++;
            }
        }

        // No server is taken out for what would befall every other, and whoever tried a table says what is wrong.
        var named = $"DynamoDB table {cluster.Settings(0).Cluster!.GrainTable} since ";
        for (var ready = ""; !ready.Contains(named, StringComparison.Ordinal);)
        {
            patience.Token.ThrowIfCancellationRequested();
            using var response = await cluster.GetAsync("/readyz");
            if (response.StatusCode != HttpStatusCode.OK)
            {
                // The catalog was not answered in time: a slow machine's, not the tables'.
                await Task.Delay(100, patience.Token);
                continue;
            }

            ready = await response.Content.ReadAsStringAsync(patience.Token);
            Assert.DoesNotContain("not now", ready, StringComparison.Ordinal);
            Assert.True(ready == "ready" || (ready.StartsWith("ready, but ", StringComparison.Ordinal) && ready.EndsWith(": it is not permitted", StringComparison.Ordinal)), ready);
        }

        dynalite.Proxy.Faults = null;
        await ServedAsync(cluster, patience.Token);
        await ServedAsync(cluster, patience.Token);
    }

    [Theory]
    [InlineData(null, "")]
    [InlineData("a key", "reminders")]
    [InlineData("a job", "")]
    [InlineData("a job", "reminders")]
    public async Task What_a_throttled_table_keeps_from_being_done_makes_requests_come_back_later(string? kind, string only)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromMinutes(10));

        // Its own, for the SDK bounds the retries at one address.
        await using var proxy = await DynamoProxy.StartAsync(new(dynalite.Service));
        await using var cluster = await ServerCluster.StartAsync(proxy.Address, 2, Patient);
        await ServedAsync(cluster, patience.Token);
        var tables = cluster.Settings(0).Cluster!;
        proxy.Faults = call => IsOf(call, only.Length == 0 ? tables.GrainTable : tables.ReminderTable) ? new("ProvisionedThroughputExceededException", "too fast") : null;
        for (var (refused, sent) = (0, 0); refused < 4; sent++)
        {
            patience.Token.ThrowIfCancellationRequested();
            using var response = await cluster.InvokeAsync("chat", kind switch
            {
                "a key" => [("X-Inference-Lanes", "Realtime"), ("Idempotency-Key", $"key-{sent}")],
                "a job" => [("X-Inference-Lanes", "Async"), ("Prefer", "respond-async")],
                _ => [("X-Inference-Lanes", "Realtime")],
            });
            if (!response.IsSuccessStatusCode)
            {
                await AssertComesBackAsync(response, patience.Token);
                refused++;
            }
        }

        proxy.Faults = null;
        await ServedAsync(cluster, patience.Token);

        static bool IsOf(DynamoCall call, string table) => call.Body["TableName"]?.GetValue<string>() == table;
    }

    [Theory]
    [InlineData("AccessDeniedException", "User: silo is not authorized to perform: dynamodb:PutItem", "it is not permitted")]
    [InlineData("ExpiredTokenException", "The security token included in the request is expired", "the credentials have expired")]
    [InlineData("UnrecognizedClientException", "The security token included in the request is invalid.", "AWS does not take the credentials")]
    [InlineData("ThrottlingException", "Rate exceeded", "it is throttled")]
    [InlineData("ValidationException", "Something else", "ValidationException")]
    public async Task What_a_table_refuses_is_told_on_another_silo_with_its_remedy(string error, string message, string detail)
    {
        await using var proxy = await DynamoProxy.StartAsync(new(dynalite.Service));
        proxy.Faults = _ => new(error, message);
        var options = dynalite.Options(new DynamoDBStorageOptions());
        options.Service = proxy.Address;
        using var table = new TableClient(options, Patient with { Retries = 0 }, TimeProvider.System);
        var refused = await Assert.ThrowsAsync<OrleansException>(() => table.GetAsync(new() { ["GrainReference"] = Items.S("g"), ["GrainType"] = Items.S("t") }, TestContext.Current.CancellationToken));
        var here = AwsProblem.Of(refused, isOfAws: false);
        Assert.StartsWith($"{detail}: {message}", here!.Value.Detail, StringComparison.Ordinal);

        // As a silo is set up by the storage.
        var builder = Host.CreateApplicationBuilder();
        builder.UseOrleans(silo => silo.UseLocalhostClustering().AddDynamoDBGrainStorage("s", _ => { }));
        using var host = builder.Build();
        var serializer = host.Services.GetRequiredService<Serializer>();
        var arrived = serializer.Deserialize<Exception>(serializer.SerializeToArray<Exception>(refused))!;
        Assert.NotSame(refused, arrived);
        Assert.Equal(here, AwsProblem.Of(arrived, isOfAws: false));
    }

    private static async Task AssertComesBackAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var text = await response.Content.ReadAsStringAsync(cancellationToken);
        Assert.True(response.StatusCode == HttpStatusCode.ServiceUnavailable && JsonDocument.Parse(text).RootElement.GetProperty("code").GetString() == nameof(ProblemCode.Unavailable), $"{(int)response.StatusCode}: {text}");
        Assert.True(response.Headers.RetryAfter is not null, text);
    }

    private static async Task ServedAsync(ServerCluster cluster, CancellationToken cancellationToken)
    {
        while (true)
        {
            using var response = await cluster.InvokeAsync("chat", ("X-Inference-Lanes", "Realtime"));
            if (response.StatusCode == HttpStatusCode.OK)
            {
                return;
            }

            await Task.Delay(100, cancellationToken);
        }
    }
}
