using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Net;

namespace OrleansInference.Tests.FrontDoor;

public sealed class RefusalMetricTests
{
    private const string Invoke = "/v1/models/chat/invocations";
    private static readonly byte[] Body = "{\"inputs\":\"hi\"}"u8.ToArray();

    [Fact]
    public async Task Every_refusal_is_counted_by_status_and_code_whether_or_not_the_dispatcher_heard_of_the_request()
    {
        var counted = new ConcurrentQueue<string>();
        using var meter = new MeterListener();
        meter.InstrumentPublished = static (instrument, listener) =>
        {
            if (instrument.Name == "orleans_inference.refusals")
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        meter.SetMeasurementEventCallback<long>((_, _, tags, _) =>
        {
            var values = tags.ToArray().ToDictionary();
            counted.Enqueue($"{values["status"]} {values["code"]}");
        });
        meter.Start();

        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();

        // The key's grain is on a silo that has just died.
        host.Keys.Failure = new TimeoutException("There is no answer.");
        using var unavailable = await host.PostAsync(Invoke, key, Body);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, unavailable.StatusCode);
        host.Keys.Failure = null;
        using var misspelt = await host.PostAsync(Invoke, key, Body, ("X-Inference-Lanse", "Async"));
        Assert.Equal(HttpStatusCode.BadRequest, misspelt.StatusCode);
        using var nowhere = await host.Http.GetAsync(new Uri(host.Address, "/v1/nothing"));
        Assert.Equal(HttpStatusCode.NotFound, nowhere.StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await host.PostSignedAsync("/endpoints/chat/invocations", key, Body, secret: new('x', 40))).StatusCode);

        // Whether the server is ready is a question that is answered.
        using var ready = await host.Http.GetAsync(new Uri(host.Address, "/readyz"));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);

        // Other tests may be refused meanwhile, by other hosts of this process.
        Assert.Superset(new HashSet<string> { "503 Unavailable", "400 InvalidRequest", "404 NotFound", "403 InvalidSignature" }, counted.ToHashSet());
    }
}
