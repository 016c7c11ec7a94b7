using System.Collections.Concurrent;
using System.Net;

namespace OrleansInference.DynamoDB.Tests.Servers;

[Collection(DynaliteCollection.Name)]
public sealed class RollingUpgradeTests(Dynalite dynalite)
{
    private const int Workers = 6;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Three_servers_are_replaced_one_by_one_under_load_and_no_request_fails()
    {
        await using var cluster = await ServerCluster.StartAsync(dynalite.Service, 3);
        ConcurrentQueue<string> failures = new();
        ConcurrentQueue<string> jobs = new();
        var answered = 0;
        using var done = new CancellationTokenSource();
        var load = Enumerable.Range(0, Workers).Select(worker => Task.Run(
            async () =>
            {
                for (var i = 0; !done.IsCancellationRequested; i++)
                {
                    try
                    {
                        var isJob = worker == 0 && i % 4 == 0;
                        using var response = isJob
                            ? await cluster.InvokeAsync("chat", ("X-Inference-Lanes", "Async"), ("Prefer", "respond-async"), ("X-Inference-Deadline", "10m"))
                            : await cluster.InvokeAsync("chat", ("X-Inference-Class", "High"));
                        if (response.StatusCode != (isJob ? HttpStatusCode.Accepted : HttpStatusCode.OK))
                        {
                            failures.Enqueue($"{(isJob ? "job" : "call")} {(int)response.StatusCode}: {await response.Content.ReadAsStringAsync()}");
                        }
                        else if (isJob)
                        {
                            jobs.Enqueue(response.Headers.Location!.OriginalString);
                        }
                        else
                        {
                            Interlocked.Increment(ref answered);
                        }
                    }
                    catch (HttpRequestException exception)
                    {
                        failures.Enqueue(exception.Message);
                    }

                    await Task.Delay(10);
                }
            },
            Cancelled)).ToArray();

        for (var i = 0; i < 3; i++)
        {
            // Slow calls are under way at each server when it is told to stop.
            var slow = Enumerable.Range(0, 6).Select(_ => cluster.InvokeAsync("slow", ("X-Inference-Class", "High"))).ToArray();
            await Task.Delay(500, Cancelled);
            await cluster.AddAsync(10 + i);
            await cluster.RemoveAsync(i);
            foreach (var call in slow)
            {
                using var response = await call;
                Assert.True(response.IsSuccessStatusCode, $"{(int)response.StatusCode}: {await response.Content.ReadAsStringAsync()}");
            }
        }

        await Task.Delay(1_000, Cancelled);
        await done.CancelAsync();
        await Task.WhenAll(load);
        Assert.True(failures.IsEmpty, $"{failures.Count} of {failures.Count + answered + jobs.Count} requests failed, such as: {failures.FirstOrDefault()}");
        Assert.True(answered > 100 && !jobs.IsEmpty, $"{answered} answers, {jobs.Count} jobs");
        foreach (var job in jobs)
        {
            using var result = await cluster.GetAsync($"{job}/result", ("Prefer", "wait=60"));
            Assert.True(result.StatusCode == HttpStatusCode.OK, $"{job}: {(int)result.StatusCode} {await result.Content.ReadAsStringAsync()}");
        }
    }
}
