using System.Collections.Immutable;
using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Audit;
using OrleansInference.Benchmarks.Routing;
using OrleansInference.Benchmarks.Silos;
using OrleansInference.Capacity;
using OrleansInference.Invocation;

namespace OrleansInference.Benchmarks.Capacity;

/// <summary>
/// How much of the time the slots of an endpoint are busy while three silos, in one process and on SQLite as the server has it by default, have more to send than they
/// can do. What is missing is the time from a call's end until the next one, whichever silo has it, is on the slot.
/// </summary>
internal static class UtilisationBenchmark
{
    private const int Silos = 3;
    private const int Slots = 24;
    private const int ClientsPerSilo = 2 * Slots;
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan Measured = TimeSpan.FromSeconds(12);

    public static async Task RunAsync(Figures figures)
    {
        figures.Say("slots of an endpoint under steady overload from three silos");
        var (busy, _) = await MeasureAsync(TimeSpan.FromMilliseconds(200));
        figures.Print("capacity.slots.busy_with_200_ms_calls", busy, "share", 0.97, Better.High);
        var (shorter, perSecond) = await MeasureAsync(TimeSpan.FromMilliseconds(50));
        figures.Print("capacity.slots.busy_with_50_ms_calls", shorter, "share", null, Better.High);
        figures.Print("capacity.slots.turnover_with_50_ms_calls", perSecond, "1/s", null, Better.High);
    }

    private static async Task<(double Busy, double PerSecond)> MeasureAsync(TimeSpan service)
    {
        var folder = Directory.CreateTempSubdirectory("oi-slots-");
        var aws = new TimedAws(service);
        void Add(IServiceCollection services) => services.AddSingleton<IModelRuntime>(aws).AddSingleton<IEndpointControl>(aws).AddSingleton<IAuditLog>(new SummedAudit());
        var silos = new List<BenchmarkSilo>();
        try
        {
            for (var i = 0; i < Silos; i++)
            {
                silos.Add(await BenchmarkSilo.StartAsync(aws: Add, primary: i == 0 ? null : silos[0], file: Path.Combine(folder.FullName, "data.db")));
            }

            var reply = await silos[0].Grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Apply(Catalog(service));
            if (!reply.Problems.IsEmpty)
            {
                throw new InvalidOperationException(string.Join("; ", reply.Problems));
            }

            using var over = new CancellationTokenSource();
            var clients = silos.SelectMany(silo => Enumerable.Range(0, ClientsPerSilo).Select(_ => SendAsync(silo, over.Token))).ToArray();
            await Task.Delay(WarmUp);
            var (ms, calls, began) = (aws.BusyMs(), aws.Ended, Stopwatch.GetTimestamp());
            await Task.Delay(Measured);
            var elapsed = Stopwatch.GetElapsedTime(began);
            var figures = ((aws.BusyMs() - ms) / (elapsed.TotalMilliseconds * Slots), (aws.Ended - calls) / elapsed.TotalSeconds);
            await over.CancelAsync();
            await Task.WhenAll(clients);
            return figures;
        }
        finally
        {
            for (var i = silos.Count - 1; i >= 0; i--)
            {
                await silos[i].DisposeAsync();
            }

            folder.Delete(recursive: true);
        }
    }

    private static async Task SendAsync(BenchmarkSilo silo, CancellationToken over)
    {
        var request = new InferenceRequest
        {
            Tenant = BenchmarkCatalog.Tenant,
            Model = BenchmarkCatalog.Model,
            Body = "{\"inputs\":\"Is it so?\"}"u8.ToArray(),
            Class = TrafficClass.High,
            Deadline = TimeSpan.FromSeconds(30),
        };
        while (!over.IsCancellationRequested)
        {
            if ((await silo.Dispatcher.InvokeAsync(request, CancellationToken.None)).Problem is not null)
            {
                await Task.Delay(20, CancellationToken.None);
            }
        }
    }

    private static CatalogDefinition Catalog(TimeSpan service) => new()
    {
        InstancePrices = ImmutableDictionary<string, Money>.Empty.Add("ml.g5.xlarge", Money.FromDollars(1.408m)),
        Models =
        [
            new()
            {
                Name = BenchmarkCatalog.Model,
                Variants =
                [
                    new()
                    {
                        Name = new("full"),
                        Endpoints =
                        [
                            new()
                            {
                                Name = new("chat-rt"),
                                Lane = Lane.Realtime,
                                InstanceType = "ml.g5.xlarge",
                                ConcurrencyPerInstance = Slots / TimedAws.Instances,
                                MinInstances = TimedAws.Instances,
                                MaxInstances = TimedAws.Instances,
                                Prior = new() { ServiceP50Seconds = service.TotalSeconds, ServiceP99Seconds = 2 * service.TotalSeconds },
                            },
                        ],
                    },
                ],
            },
        ],
        Tenants = [new() { Id = BenchmarkCatalog.Tenant, BestEffort = true }],
    };

    /// <summary>Calls that take their time; it counts how long they had slots.</summary>
    private sealed class TimedAws(TimeSpan service) : IModelRuntime, IEndpointControl
    {
        public const int Instances = 3;

        private static readonly ModelAnswer Answer = new() { Body = "{\"generated_text\":\"Yes.\"}"u8.ToArray(), ContentType = "application/json", InvokedProductionVariant = "AllTraffic" };
        private static readonly EndpointDescription Description = new() { Status = "InService", VariantName = "AllTraffic", CurrentInstanceCount = Instances, DesiredInstanceCount = Instances };

        private readonly Lock _lock = new();
        private double _busyMs;
        private int _inFlight;
        private long _at = Stopwatch.GetTimestamp();

        public long Ended { get; private set; }

        public double BusyMs()
        {
            lock (_lock)
            {
                return Count_NeedsLock(0);
            }
        }

        public async Task<ModelAnswer> InvokeAsync(ModelCall call, CancellationToken cancellationToken)
        {
            Change(1);
            await Task.Delay(service, cancellationToken);
            Change(-1);
            return Answer;
        }

        public Task<IModelStream> InvokeStreamAsync(ModelCall call, CancellationToken cancellationToken) => throw new ModelCallException(ModelCallFailure.Validation, "The benchmark does not stream.");

        public Task<AsyncModelReceipt> InvokeAsynchronouslyAsync(AsyncModelCall call, CancellationToken cancellationToken) => throw new ModelCallException(ModelCallFailure.Validation, "The benchmark has no async lane.");

        public Task<EndpointDescription?> DescribeAsync(string endpointName, CancellationToken cancellationToken) => Task.FromResult<EndpointDescription?>(Description);

        public Task<bool> SetProvisionedConcurrencyAsync(string endpointName, string variantName, int executions, CancellationToken cancellationToken) => Task.FromResult(false);

        public Task<bool> SetDesiredInstancesAsync(string endpointName, string variantName, int instances, CancellationToken cancellationToken) => Task.FromResult(false);

        private void Change(int by)
        {
            lock (_lock)
            {
                Count_NeedsLock(by);
                Ended += by < 0 ? 1 : 0;
                if (_inFlight > Slots)
                {
                    throw new InvalidOperationException($"{_inFlight} calls are in flight on {Slots} slots.");
                }
            }
        }

        private double Count_NeedsLock(int by)
        {
            var now = Stopwatch.GetTimestamp();
            _busyMs += Stopwatch.GetElapsedTime(_at, now).TotalMilliseconds * _inFlight;
            (_at, _inFlight) = (now, _inFlight + by);
            return _busyMs;
        }
    }
}
