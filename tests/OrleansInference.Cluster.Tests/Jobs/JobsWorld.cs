using System.Collections.Concurrent;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;
using Orleans.Runtime.Placement;
using Orleans.TestingHost;
using OrleansInference.Audit;
using OrleansInference.Aws;
using OrleansInference.Batch;
using OrleansInference.Budgets;
using OrleansInference.Hosting;
using OrleansInference.Ingest;
using OrleansInference.Invocation;
using OrleansInference.Jobs;
using OrleansInference.Keys;
using OrleansInference.LocalAws;
using OrleansInference.Payloads;
using OrleansInference.Sqlite;
using OrleansInference.Tenants;
using OrleansInference.Webhooks;

namespace OrleansInference.Tests.Jobs;

/// <summary>Silos over one SQLite file and the embedded AWS, which outlives them: three, and time runs sixty times as fast as life, unless said otherwise.</summary>
internal sealed class JobsWorld : IAsyncDisposable
{
    public const double Speed = 60;

    public static readonly TenantId Acme = new("acme");
    public static readonly ModelName Chat = new("chat");

    private static readonly ConcurrentDictionary<string, JobsWorld> Worlds = new();

    // No test is about how soon: it ends those that hang, and one try of a slow machine's may take a minute.
    private static readonly TimeSpan HangsAfter = TimeSpan.FromMinutes(3);

    private readonly MasterKey _masterKey = new(new byte[MasterKey.Length]);
    private readonly string _id = Guid.NewGuid().ToString("n");
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("oi-jobs-");
    private readonly bool _notify;
    private readonly TimeSpan _retention;
    private readonly TimeSpan? _poll;
    private readonly short _silos;
    private int _deleted;
    private int _calls;
    private int _callsNow;
    private int _mostCallsAtOnce;
    private int _heldDeletes;
    private int _received;
    private int _extended;
    private readonly ConcurrentQueue<(QueueMessage Message, int Left)> _repeated = new();
    private TestCluster? _cluster;

    private JobsWorld(bool notify, TimeSpan retention, TimeSpan? poll, double speed, short silos) => (_notify, _retention, _poll, Clock, _silos) = (notify, retention, poll, new(TimeProvider.System, speed), silos);

    /// <summary>Queues that the silos take requests from once <see cref="StartIngest"/> was called.</summary>
    public IReadOnlyList<QueueSettings> Queues { get; private init; } = [];

    /// <summary>While set, messages are not deleted: whoever tries waits until its silo dies.</summary>
    public bool AreDeletesHeld { get; set; }

    /// <summary>Deletions that were begun while they were held.</summary>
    public int HeldDeletes => Volatile.Read(ref _heldDeletes);

    /// <summary>Where grains are to crash; null if nowhere.</summary>
    public FaultPoints? Faults { get; private init; }

    public int MaxHeldJobs { get; private init; } = new OrleansInferenceOptions().MaxHeldJobs;

    public RouterClock Clock { get; }

    public GatedAuditLog Audit { get; } = new();

    /// <summary>Conflicts that the grain storage is to report.</summary>
    public ConflictingStorage Conflicts { get; } = new();

    /// <summary>What the silos told of budgets that reached a threshold.</summary>
    public AlertQueue Alerts { get; } = new();

    /// <summary>While set, SageMaker cannot be reached for new asynchronous calls.</summary>
    public bool IsRuntimeDown { get; set; }

    /// <summary>While set, SageMaker creates no transform job.</summary>
    public bool AreTransformsDown { get; set; }

    /// <summary>While set, no transform job is seen to have ended.</summary>
    public bool DoTransformsLast { get; set; }

    /// <summary>What the next creations of transform jobs fail with, in order.</summary>
    public ConcurrentQueue<Exception> TransformFaults { get; } = new();

    /// <summary>The tags of every transform job that was asked for.</summary>
    public ConcurrentQueue<IReadOnlyDictionary<string, string>> TransformTags { get; } = new();

    /// <summary>The instances of every transform job that was asked for.</summary>
    public ConcurrentQueue<int> TransformInstances { get; } = new();

    /// <summary>What a call in real time waits for before it is made; null: nothing. It may throw.</summary>
    public Func<ModelCall, Task>? BeforeCall { get; set; }

    /// <summary>Calls in real time so far.</summary>
    public int Calls => Volatile.Read(ref _calls);

    /// <summary>The most of them that were in flight at once.</summary>
    public int MostCallsAtOnce => Volatile.Read(ref _mostCallsAtOnce);

    /// <summary>What an operation of the object store on a key fails with; null: nothing. <see cref="NoSuchKeyException"/> makes an object one that is not there.</summary>
    public Func<string, string, Exception?>? StoreFault { get; set; }

    /// <summary>What calls of grains by silos fail with, by method; null: they do not.</summary>
    public Func<string, Exception?>? CallFault { get; set; }

    /// <summary>While it is not complete, deletions of messages of queues that requests come from wait for it.</summary>
    public TaskCompletionSource? DeleteGate { get; set; }

    /// <summary>How often each message of a queue that requests come from is handed out, whether or not it is deleted meanwhile.</summary>
    public int Deliveries { get; set; } = 1;

    /// <summary>Messages that were handed out by queues that requests come from, repetitions counted.</summary>
    public int Received => Volatile.Read(ref _received);

    /// <summary>How often messages were kept hidden longer.</summary>
    public int Extended => Volatile.Read(ref _extended);

    /// <summary>Messages that were taken off the queue of notifications.</summary>
    public int Deleted => Volatile.Read(ref _deleted);

    public LocalAwsServer Aws { get; private set; } = null!;

    public TestCluster Cluster => _cluster ?? throw new InvalidOperationException("The cluster has not started.");

    public IServiceProvider Services => ((InProcessSiloHandle)Cluster.Primary!).SiloHost.Services;

    /// <summary>Grains as the first silo calls them: it is killed with all others or not at all, and it needs no gateway, which may be one that was killed.</summary>
    public IGrainFactory Grains => Services.GetRequiredService<IGrainFactory>();

    public IJobs Jobs => Services.GetRequiredService<IJobs>();

    /// <param name="notify">Whether the silos listen to notifications.</param>
    /// <param name="retention">How long jobs are kept.</param>
    /// <param name="maxHeldJobs">Most jobs of a tenant that wait for its budget.</param>
    /// <param name="catalog">In place of <see cref="Catalog"/>.</param>
    /// <param name="poll">Time between two looks for a result; the default of the options if null.</param>
    /// <param name="queues">Queues that requests come from.</param>
    /// <param name="faults">Where grains are to crash.</param>
    /// <param name="publish">Whether the embedded AWS sends notifications; as <paramref name="notify"/> if null.</param>
    /// <param name="speed">Seconds of the router's clock in one of the machine's.</param>
    /// <param name="silos">How many silos there are.</param>
    public static async Task<JobsWorld> StartAsync(
        bool notify = true,
        TimeSpan? retention = null,
        int? maxHeldJobs = null,
        CatalogDefinition? catalog = null,
        TimeSpan? poll = null,
        bool? publish = null,
        IReadOnlyList<QueueSettings>? queues = null,
        FaultPoints? faults = null,
        double speed = Speed,
        short silos = 3)
    {
        catalog ??= Catalog;
        var defaults = new OrleansInferenceOptions();
        var world = new JobsWorld(notify, retention ?? defaults.JobRetention, poll, speed, silos) { MaxHeldJobs = maxHeldJobs ?? defaults.MaxHeldJobs, Queues = queues ?? [], Faults = faults };
        Worlds[world._id] = world;
        try
        {
            world.Aws = await LocalAwsServer.StartAsync(new() { Clock = world.Clock, NotificationQueue = publish ?? notify ? "completions" : null });
            await world.Aws.ApplyCatalogAsync(catalog);
            await world.StartClusterAsync();
            var reply = await world.Grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Apply(catalog);
            Assert.Empty(reply.Problems);
            return world;
        }
        catch
        {
            await world.DisposeAsync();
            throw;
        }
    }

    /// <summary>Every silo begins to receive from the queues.</summary>
    public void StartIngest()
    {
        foreach (var silo in Cluster.Silos)
        {
            ((InProcessSiloHandle)silo).SiloHost.Services.GetRequiredService<QueueIngest>().Start();
        }
    }

    /// <summary>Every silo dies without a word, and new ones come up on what was stored.</summary>
    public async Task RestartClusterAsync(Action? between = null)
    {
        foreach (var silo in Cluster.Silos.ToList())
        {
            await Cluster.KillSiloAsync(silo);
        }

        await Cluster.DisposeAsync();
        between?.Invoke();
        await StartClusterAsync();
    }

    /// <summary>Does what brings a grain to life; it lives on a silo that can be killed without membership's.</summary>
    public async Task<T> OnSiloThatDiesAsync<T>(Func<Task<T>> begin)
    {
        // Seen by what is awaited here, and by no caller.
        RequestContext.Set(IPlacementDirector.PlacementHintKey, Cluster.SecondarySilos[0].SiloAddress);
        return await begin();
    }

    /// <summary>Kills the silo on which such a grain lives.</summary>
    public async Task KillSiloOfAsync(IAddressable grain)
    {
        var silo = Cluster.SecondarySilos[0];
        Assert.Equal(silo.SiloAddress, await Grains.GetGrain<IManagementGrain>(0).GetActivationAddress(grain));
        await Cluster.KillSiloAsync(silo);
    }

    public async Task<InferenceOutcome> SubmitAsync(string body, string endpoint, double deadlineSeconds = 7_200, string? key = null, Money? cap = null, string? location = null, string? webhook = null, string? replyQueue = null, bool mayHold = false)
    {
        var now = Clock.Now;
        var lane = endpoint.Contains("batch", StringComparison.Ordinal) ? Lane.Batch : endpoint.Contains("realtime", StringComparison.Ordinal) ? Lane.Realtime : Lane.Async;
        return await Services.GetRequiredService<IJobSubmitter>().SubmitAsync(
            new()
            {
                Request = new() { Tenant = Acme, Model = Chat, Body = Encoding.UTF8.GetBytes(body), IdempotencyKey = key, Delivery = Delivery.Either, InputLocation = location, ReplyTo = webhook is null && replyQueue is null ? null : new() { Webhook = webhook, Queue = replyQueue, CorrelationId = "c-1" } },
                Route = new()
                {
                    DecisionId = Guid.NewGuid().ToString("n"),
                    Class = TrafficClass.Medium,
                    Lane = lane,
                    Endpoint = new(endpoint),
                    Variant = new("full"),
                    ChargeCap = cap ?? Money.FromDollars(0.01m),
                },
                AcceptedAt = now,
                Deadline = now + (long)(deadlineSeconds * 1000),
                MayHold = mayHold,
            },
            TestContext.Current.CancellationToken);
    }

    public async Task<string> AcceptAsync(string body, string endpoint, double deadlineSeconds = 7_200, string? key = null)
    {
        var outcome = await SubmitAsync(body, endpoint, deadlineSeconds, key);
        Assert.True(outcome.JobId is not null, outcome.Problem?.Message);
        return outcome.JobId;
    }

    public async Task<JobView> EndOfAsync(string jobId)
    {
        var view = await Jobs.GetAsync(Acme, jobId, Clock.FromWall(HangsAfter), TestContext.Current.CancellationToken);
        Assert.NotNull(view);
        Assert.True(view.EndedAt is not null, $"job {jobId} is still {view.State}");
        return view;
    }

    public Task<BudgetView> BudgetAsync() => Grains.GetGrain<ITenantGrain>(Acme.Value).GetBudget();

    public Task<EndpointView?> EndpointAsync(string name) => Grains.GetGrain<IEndpointGrain>(name).GetView();

    public Task<IReadOnlyList<string>> ObjectsAsync(string prefix) =>
        Services.GetRequiredService<IObjectStore>().ListAsync(new OrleansInferenceOptions().PayloadBucket, prefix, CancellationToken.None);

    public async Task SendAsync(params string[] messages)
    {
        var queue = Services.GetRequiredService<IMessageQueue>();
        var url = await queue.ResolveAsync("completions", create: true, CancellationToken.None);
        foreach (var message in messages)
        {
            await queue.SendAsync(url!, message, new Dictionary<string, MessageAttribute>(), CancellationToken.None);
        }
    }

    /// <summary>What the ledger has settled is what the audit log says, and nothing is left reserved.</summary>
    public async Task<Money> RequireLedgerAndAuditAgreeAsync(int jobs)
    {
        await UntilAsync(async () => (await BudgetAsync()).Reserved == Money.Zero, "no reservation is left");
        var budget = await BudgetAsync();
        var records = Audit.Records.DistinctBy(record => record.Request).ToList();
        Assert.Equal(jobs, records.Count);
        Assert.Equal(budget.SettledTotal, records.Aggregate(Money.Zero, (sum, record) => sum + record.Charge));
        Assert.Equal(Money.Zero, budget.UnreportedTotal);
        return budget.SettledTotal;
    }

    public static async Task UntilAsync(Func<Task<bool>> condition, string what)
    {
        var until = TimeProvider.System.GetTimestamp();
        while (!await HoldsAsync())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(until) < HangsAfter, $"it did not come to this: {what}");
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }

        async Task<bool> HoldsAsync()
        {
            try
            {
                return await condition();
            }
            catch (Exception exception) when (LostCalls.IsOne(exception))
            {
                // The grain was on a silo that has just been killed: who asks then asks again.
                return false;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_cluster is not null)
        {
            await _cluster.StopAllSilosAsync();
            await _cluster.DisposeAsync();
        }

        if (Aws is not null)
        {
            await Aws.DisposeAsync();
        }

        Worlds.TryRemove(_id, out _);
        _masterKey.Dispose();
        _folder.Delete(recursive: true);
    }

    public static CatalogDefinition Catalog { get; } = new()
    {
        InstancePrices = System.Collections.Immutable.ImmutableDictionary<string, Money>.Empty.Add("ml.g5.xlarge", Money.FromDollars(1.408m)),
        Tenants =
        [
            new() { Id = Acme, Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = Money.FromDollars(1) }] },
            new() { Id = new("umbrella") },
        ],
        Models =
        [
            new()
            {
                Name = Chat,
                Variants =
                [
                    new()
                    {
                        Name = new("full"),
                        Endpoints =
                        [
                            Endpoint("chat-async", Lane.Async, seconds: 2),
                            Endpoint("chat-async-slow", Lane.Async, seconds: 1_200) with
                            {
                                MaxServiceSeconds = 3_600,
                                Prior = new() { ServiceP50Seconds = 1_200, ServiceP99Seconds = 1_300, ColdStartSeconds = 10 },
                            },
                            Endpoint("chat-batch", Lane.Batch, seconds: 2) with { WindowMaxRequests = 10, WindowMaxSeconds = 60, MaxInstances = 2 },
                            // Expecting a long start, it closes a window seconds of wall time before the tightest deadline, which a busy machine needs.
                            Endpoint("chat-batch-patient", Lane.Batch, seconds: 2) with
                            {
                                WindowMaxRequests = 10,
                                WindowMaxSeconds = 3_000,
                                Prior = new() { ServiceP50Seconds = 2, ServiceP99Seconds = 5, ColdStartSeconds = 600 },
                            },
                            Endpoint("chat-batch-slow", Lane.Batch, seconds: 900) with { WindowMaxSeconds = 30, MaxServiceSeconds = 3_600 },
                        ],
                    },
                ],
            },
        ],
    };

    private static EndpointDefinition Endpoint(string name, Lane lane, double seconds) => new()
    {
        Name = new(name),
        Lane = lane,
        InstanceType = "ml.g5.xlarge",
        ConcurrencyPerInstance = 4,
        MinInstances = lane == Lane.Batch ? 0 : 1,
        MaxInstances = 1,
        Prior = new() { ServiceP50Seconds = 2, ServiceP99Seconds = 5, ColdStartSeconds = 10 },
        Simulation = new() { BaseSeconds = seconds, Jitter = 0, DecodeTokensPerSecond = 0, StartSeconds = 10 },
    };

    private async Task StartClusterAsync()
    {
        var builder = new TestClusterBuilder(_silos);
        builder.Options.ServiceId = "jobs-test";
        builder.Properties["world"] = _id;
        builder.AddSiloBuilderConfigurator<Silo>();
        _cluster = builder.Build();
        await _cluster.DeployAsync();
    }

    private sealed class Silo : ISiloConfigurator
    {
        public void Configure(ISiloBuilder siloBuilder)
        {
            var world = Worlds[siloBuilder.Configuration["world"]!];
            var file = Path.Combine(world._folder.FullName, "jobs.db");
            siloBuilder.AddSqliteGrainStorage(OrleansInferenceOptions.StorageName, options => options.FilePath = file);
            world.Conflicts.Decorate(siloBuilder.Services);
            siloBuilder.UseSqliteReminderService(options => options.FilePath = file);
            siloBuilder.Configure<ClusterMembershipOptions>(options =>
            {
                // A killed silo should be noticed quickly.
                options.ProbeTimeout = TimeSpan.FromMilliseconds(500);
                options.NumMissedProbesLimit = 2;
                options.NumVotesForDeathDeclaration = 1;
            });
            siloBuilder.Configure<ReminderOptions>(options => options.MinimumReminderPeriod = TimeSpan.FromSeconds(1));
            siloBuilder.Services.AddSingleton(world.Clock);
            siloBuilder.Services.AddSingleton<IAuditLog>(world.Audit);
            siloBuilder.Services.AddSingleton<IBudgetEvents>(world.Alerts);
            siloBuilder.Services.AddAwsClients(new AwsOptions { Endpoint = world.Aws.Address, AccessKeyId = "AKIDEXAMPLE", SecretAccessKey = "secret" });
            Decorate<IModelRuntime>(siloBuilder.Services, inner => new GatedRuntime(world, inner));
            Decorate<ITransformJobs>(siloBuilder.Services, inner => new GatedTransforms(world, inner));
            Decorate<IMessageQueue>(siloBuilder.Services, inner => new CountingQueue(world, inner));
            Decorate<IObjectStore>(siloBuilder.Services, inner => new FaultyStore(world, inner));
            siloBuilder.Services.AddSingleton(world._masterKey);
            // Every post asks for the secrets: two of one moment may not share an answer where each is to crash at its own.
            siloBuilder.Services.AddWebhooks(new(["http://127.0.0.1"]), TimeSpan.Zero);
            siloBuilder.AddOutgoingGrainCallFilter(context => world.CallFault?.Invoke(context.MethodName) is { } fault ? Task.FromException(fault) : context.Invoke());
            world.Faults?.Decorate(siloBuilder);
            siloBuilder.AddQueueIngest(new(world.Queues, new OrleansInferenceOptions().PayloadBucket, CreateQueues: true));
            siloBuilder.AddOrleansInference(options =>
            {
                options.NotificationQueue = world._notify ? "completions" : null;
                options.JobRetention = world._retention;
                options.InlineWait = TimeSpan.FromMinutes(30);
                options.MaxHeldJobs = world.MaxHeldJobs;
                (options.MinPollInterval, options.MaxPollInterval) = (world._poll ?? options.MinPollInterval, world._poll ?? options.MaxPollInterval);
            });
        }

        private static void Decorate<T>(IServiceCollection services, Func<T, T> around)
            where T : class
        {
            var service = services.Last(service => service.ServiceType == typeof(T));
            services.Remove(service);
            services.AddSingleton(provider => around((T)(service.ImplementationFactory?.Invoke(provider)
                ?? service.ImplementationInstance
                ?? ActivatorUtilities.CreateInstance(provider, service.ImplementationType!))));
        }
    }

    private sealed class CountingQueue(JobsWorld world, IMessageQueue inner) : IMessageQueue
    {
        public Task<string?> ResolveAsync(string queueName, bool create, CancellationToken cancellationToken) => inner.ResolveAsync(queueName, create, cancellationToken);

        public Task SendAsync(string queueUrl, string body, IReadOnlyDictionary<string, MessageAttribute> attributes, CancellationToken cancellationToken) =>
            inner.SendAsync(queueUrl, body, attributes, cancellationToken);

        public async Task<IReadOnlyList<QueueMessage>> ReceiveAsync(string queueUrl, int max, TimeSpan wait, TimeSpan visibility, CancellationToken cancellationToken)
        {
            if (!IsOfRequests(queueUrl))
            {
                return await inner.ReceiveAsync(queueUrl, max, wait, visibility, cancellationToken);
            }

            List<QueueMessage> messages = [];
            while (messages.Count < max && world._repeated.TryDequeue(out var repeated))
            {
                messages.Add(repeated.Message);
                Repeat(repeated.Message, repeated.Left);
            }

            if (messages.Count == 0)
            {
                messages.AddRange(await inner.ReceiveAsync(queueUrl, max, wait, visibility, cancellationToken));
                messages.ForEach(message => Repeat(message, world.Deliveries));
            }

            Interlocked.Add(ref world._received, messages.Count);
            return messages;
        }

        public async Task DeleteAsync(string queueUrl, string receiptHandle, CancellationToken cancellationToken)
        {
            if (world.AreDeletesHeld)
            {
                Interlocked.Increment(ref world._heldDeletes);
                await Task.Delay(Timeout.Infinite, cancellationToken);
            }

            if (world.DeleteGate is { } gate && IsOfRequests(queueUrl))
            {
                Interlocked.Increment(ref world._heldDeletes);
                await gate.Task.WaitAsync(cancellationToken);
            }

            await inner.DeleteAsync(queueUrl, receiptHandle, cancellationToken);
            Interlocked.Increment(ref world._deleted);
        }

        public async Task ChangeVisibilityAsync(string queueUrl, string receiptHandle, TimeSpan visibility, CancellationToken cancellationToken)
        {
            await inner.ChangeVisibilityAsync(queueUrl, receiptHandle, visibility, cancellationToken);
            Interlocked.Increment(ref world._extended);
        }

        private bool IsOfRequests(string queueUrl) => world.Queues.Any(queue => queueUrl.EndsWith('/' + queue.Queue, StringComparison.Ordinal));

        private void Repeat(QueueMessage message, int left)
        {
            if (left > 1)
            {
                world._repeated.Enqueue((message, left - 1));
            }
        }
    }

    private sealed class FaultyStore(JobsWorld world, IObjectStore inner) : IObjectStore
    {
        public async Task PutAsync(string bucket, string key, ReadOnlyMemory<byte> body, string contentType, CancellationToken cancellationToken)
        {
            Require("Put", key);
            await inner.PutAsync(bucket, key, body, contentType, cancellationToken);
        }

        public async Task<StoredObject?> GetAsync(string bucket, string key, CancellationToken cancellationToken) =>
            IsThere("Get", key) ? await inner.GetAsync(bucket, key, cancellationToken) : null;

        public async Task<OpenedObject?> OpenAsync(string bucket, string key, CancellationToken cancellationToken) =>
            IsThere("Get", key) ? await inner.OpenAsync(bucket, key, cancellationToken) : null;

        public async Task<bool> ExistsAsync(string bucket, string key, CancellationToken cancellationToken) =>
            IsThere("Head", key) && await inner.ExistsAsync(bucket, key, cancellationToken);

        public async Task DeleteAsync(string bucket, string key, CancellationToken cancellationToken)
        {
            Require("Delete", key);
            await inner.DeleteAsync(bucket, key, cancellationToken);
        }

        public async Task<IReadOnlyList<string>> ListAsync(string bucket, string prefix, CancellationToken cancellationToken)
        {
            Require("List", prefix);
            return await inner.ListAsync(bucket, prefix, cancellationToken);
        }

        public Task EnsureBucketAsync(string bucket, CancellationToken cancellationToken) => inner.EnsureBucketAsync(bucket, cancellationToken);

        private void Require(string operation, string key)
        {
            if (world.StoreFault?.Invoke(operation, key) is { } fault)
            {
                throw fault;
            }
        }

        private bool IsThere(string operation, string key)
        {
            try
            {
                Require(operation, key);
                return true;
            }
            catch (NoSuchKeyException)
            {
                return false;
            }
        }
    }

    private sealed class GatedTransforms(JobsWorld world, ITransformJobs inner) : ITransformJobs
    {
        public Task StartAsync(TransformJobRequest request, CancellationToken cancellationToken)
        {
            world.TransformTags.Enqueue(request.Tags);
            world.TransformInstances.Enqueue(request.InstanceCount);
            return world.TransformFaults.TryDequeue(out var fault) ? Task.FromException(fault)
                : world.AreTransformsDown ? Task.FromException(new IOException("ResourceLimitExceeded: the account has as many transform jobs as it may"))
                : inner.StartAsync(request, cancellationToken);
        }

        public async Task<TransformJobDescription?> DescribeAsync(string jobName, CancellationToken cancellationToken)
        {
            var job = await inner.DescribeAsync(jobName, cancellationToken);
            return job is not null && world.DoTransformsLast ? job with { State = TransformJobState.InProgress, EndedAt = null } : job;
        }

        public Task StopAsync(string jobName, CancellationToken cancellationToken) => inner.StopAsync(jobName, cancellationToken);
    }

    private sealed class GatedRuntime(JobsWorld world, IModelRuntime inner) : IModelRuntime
    {
        public async Task<ModelAnswer> InvokeAsync(ModelCall call, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref world._calls);
            InterlockedMax(ref world._mostCallsAtOnce, Interlocked.Increment(ref world._callsNow));
            try
            {
                await (world.BeforeCall?.Invoke(call) ?? Task.CompletedTask).WaitAsync(cancellationToken);
                return await inner.InvokeAsync(call, cancellationToken);
            }
            finally
            {
                Interlocked.Decrement(ref world._callsNow);
            }
        }

        public Task<IModelStream> InvokeStreamAsync(ModelCall call, CancellationToken cancellationToken) => inner.InvokeStreamAsync(call, cancellationToken);

        public Task<AsyncModelReceipt> InvokeAsynchronouslyAsync(AsyncModelCall call, CancellationToken cancellationToken) => world.IsRuntimeDown
            ? Task.FromException<AsyncModelReceipt>(new ModelCallException(ModelCallFailure.Unavailable, "the gate is shut") { NotSent = true })
            : inner.InvokeAsynchronouslyAsync(call, cancellationToken);

        private static void InterlockedMax(ref int place, int value)
        {
            for (var known = Volatile.Read(ref place); value > known && Interlocked.CompareExchange(ref place, value, known) != known; known = Volatile.Read(ref place))
            {
                // Another one was quicker.
            }
        }
    }
}

/// <summary>What S3 says of an object that is not there.</summary>
internal sealed class NoSuchKeyException : Exception;

/// <summary>A listener to budget alerts.</summary>
internal sealed class AlertQueue : IBudgetEvents
{
    private readonly ConcurrentQueue<BudgetAlert> _alerts = new();

    public IReadOnlyList<BudgetAlert> All => [.. _alerts];

    public void Reached(BudgetAlert alert) => _alerts.Enqueue(alert);
}

/// <summary>An audit log whose storage can fail.</summary>
internal sealed class GatedAuditLog : IAuditLog
{
    private readonly ConcurrentQueue<AuditRecord> _records = new();
    private readonly ConcurrentDictionary<string, bool> _ended = new();
    private readonly ConcurrentDictionary<string, bool> _refusedRequests = new();
    private int _refused;

    public bool IsDown { get; set; }

    public int Refused => Volatile.Read(ref _refused);

    /// <summary>Ended reservations.</summary>
    public IReadOnlyList<AuditRecord> Records => [.. _records.Where(static record => record.Kind != AuditKind.Share)];

    /// <summary>What members had of the bills of their windows, repetitions left out.</summary>
    public IReadOnlyList<AuditRecord> Shares => [.. _records.Where(static record => record.Kind == AuditKind.Share).DistinctBy(static record => record.Reservation)];

    /// <summary>Requests of which there is a record.</summary>
    public int Ended => _ended.Count;

    /// <summary>Requests whose record was refused, however often.</summary>
    public int RefusedRequests => _refusedRequests.Count;

    public void Append(AuditRecord record)
    {
        if (IsDown)
        {
            Interlocked.Increment(ref _refused);
            _refusedRequests[record.Request] = true;
            throw new IOException("the audit log is down");
        }

        _records.Enqueue(record);
        _ended[record.Request] = true;
    }

    public Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
