using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Audit;
using OrleansInference.Benchmarks.Silos;
using OrleansInference.Capacity;
using OrleansInference.Dispatch;
using OrleansInference.Invocation;

namespace OrleansInference.Benchmarks.Routing;

/// <summary>A request's whole way through the dispatcher of a silo, over eight candidates, before an endpoint that answers at once.</summary>
internal static class DispatcherBenchmark
{
    private const int Requests = 200_000;

    public static async Task RunAsync(Figures figures)
    {
        figures.Say("requests through the dispatcher, without the network");
        var aws = new InstantAws();
        var audit = new SummedAudit();
        await using var silo = await BenchmarkSilo.StartAsync(aws: services => services.AddSingleton<IModelRuntime>(aws).AddSingleton<IEndpointControl>(aws).AddSingleton<IAuditLog>(audit));
        var reply = await silo.Grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Apply(BenchmarkCatalog.Catalog);
        if (!reply.Problems.IsEmpty)
        {
            throw new InvalidOperationException(string.Join("; ", reply.Problems));
        }

        var request = new InferenceRequest
        {
            Tenant = BenchmarkCatalog.Tenant,
            Model = BenchmarkCatalog.Model,
            Body = "{\"inputs\":\"Is it so?\",\"parameters\":{\"max_new_tokens\":64}}"u8.ToArray(),
            Class = TrafficClass.High,
            Deadline = TimeSpan.FromSeconds(10),
            InputTokens = 374,
            MaxOutputTokens = 64,
        };
        await WarmUpAsync(silo.Dispatcher, request);
        var (waited, refused) = (0L, 0L);
        void Serve(int i)
        {
            var serving = silo.Dispatcher.InvokeAsync(request, CancellationToken.None);
            if (!serving.IsCompleted)
            {
                Interlocked.Increment(ref waited);
            }

            if (serving.GetAwaiter().GetResult().Problem is not null)
            {
                Interlocked.Increment(ref refused);
            }
        }

        void Loop(int operations)
        {
            for (var i = 0; i < operations; i++)
            {
                Serve(i);
            }
        }

        await Task.Run(() =>
        {
            var (nanoseconds, bytes) = Rounds.Measure(Requests, Loop);
            figures.Print("routing.dispatcher.requests_per_core", 1e9 / nanoseconds, "1/s", 300_000, Better.High);
            figures.Print("routing.dispatcher.p99", Latencies.Quantile(Requests, 0.99, Serve) / 1000, "us", 50, Better.Low);
            figures.Print("routing.dispatcher.allocated", bytes, "B", null, Better.Low);
            if (Environment.ProcessorCount > 1)
            {
                figures.Print("routing.dispatcher.scaling_2_threads", Rounds.Scaling(20_000, Loop), "x", null, Better.High);
            }
        });
        figures.Say($"{waited} of them waited for a grain, {refused} were refused; {audit.Charged} $ were charged");
        if (refused > Requests / 1000)
        {
            throw new InvalidOperationException($"{refused} requests were refused: the benchmark measures refusals.");
        }
    }

    private static async Task WarmUpAsync(IDispatcher dispatcher, InferenceRequest request)
    {
        // Endpoints come into service and leases follow demand: they are warm when they have seen some.
        var start = Stopwatch.GetTimestamp();
        var answered = 0;
        while (answered < 100_000)
        {
            var outcome = await dispatcher.InvokeAsync(request, CancellationToken.None);
            if (outcome.Problem is null)
            {
                answered++;
            }
            else if (Stopwatch.GetElapsedTime(start) > TimeSpan.FromSeconds(30))
            {
                throw new InvalidOperationException($"The silo does not serve: {outcome.Problem.Message}");
            }
            else
            {
                await Task.Delay(50);
            }
        }
    }
}
