using System.Net.Sockets;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using OrleansInference.Hosting;
using OrleansInference.LocalAws.ControlPlane;
using OrleansInference.LocalAws.Inference;
using OrleansInference.LocalAws.Models;
using OrleansInference.LocalAws.Objects;
using OrleansInference.LocalAws.Queues;
using OrleansInference.LocalAws.Storage;
using OrleansInference.LocalAws.Tables;
using OrleansInference.LocalAws.Transform;
using OrleansInference.LocalAws.Wire;
using OrleansInference.Pricing;

namespace OrleansInference.LocalAws;

/// <summary>
/// An embedded AWS on a loopback port: SageMaker Runtime and its control plane, S3 and SQS over their real wire formats, with
/// simulated models, and DynamoDB if there is a dynalite. Dispose it to stop; with a data folder, the next one on the same folder goes on where it ended.
/// </summary>
public sealed class LocalAwsServer : IAsyncDisposable
{
    private readonly LocalAwsOptions _options;
    private readonly WebApplication _application;
    private readonly LocalDatabase _database;
    private readonly DurableClock? _ownClock;
    private readonly CancellationTokenSource _stopping = new();
    private readonly InvocationLog _log;
    private readonly SimulatedModels _models;
    private readonly ObjectStore _objects;
    private readonly QueueStore _queues;
    private readonly AsyncBacklog _backlog;
    private readonly TransformJobs _transforms;
    private readonly DynamoSurface _tables;
    private int _disposed;

    private LocalAwsServer(LocalAwsOptions options, LocalDatabase database, DurableClock? clock)
    {
        _ownClock = clock;
        _options = options;
        _database = database;
        Clock = options.Clock ?? clock?.Clock ?? new RouterClock(TimeProvider.System, options.Speed);
        _log = new(Clock);
        _models = new(database, options, Clock, _stopping.Token);
        _objects = new(database, options.DataFolder, Clock);
        _queues = new(database, Clock.TimeProvider);
        var runner = new InvocationRunner(_log, Clock, _stopping.Token);
        _backlog = new(database, _models, runner, _objects, _queues, options, Clock, _stopping.Token);
        _transforms = new(database, _models, _objects, _log, Clock, _stopping.Token);
        _tables = new(options.Dynalite);
        _application = Build(options, new FrontDoor(
            new(options.AccessKey),
            [
                new RecordSurface(_models, _log),
                new RuntimeSurface(_models, runner, new(runner, _stopping.Token), _backlog, options),
                new ControlPlaneSurface(new(_models, options), new(_transforms, _models, options)),
                _tables,
                new SqsSurface(new(_queues, new(database, "queue"), options), new(_queues)),
                new S3Surface(_objects, new(_objects, new(database, "bucket"), options), new(_objects)),
            ],
            _stopping.Token));
    }

    /// <summary>The one address of all services.</summary>
    public Uri Address { get; private set; } = new("http://127.0.0.1");

    /// <summary>The clock of models, instances and jobs.</summary>
    public RouterClock Clock { get; }

    /// <summary>Starts a server.</summary>
    /// <exception cref="LocalAwsException">The port is taken, or the data folder cannot be used.</exception>
    public static async Task<LocalAwsServer> StartAsync(LocalAwsOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        var database = LocalDatabase.Open(options.DataFolder);
        var server = new LocalAwsServer(options, database, OpenClock(options, database));
        try
        {
            server.Restore();
            await server._application.StartAsync(cancellationToken);
            var addresses = server._application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!;
            server.Address = new(addresses.Addresses.Single());
            return server;
        }
        catch (Exception exception)
        {
            await server.DisposeAsync();
            if (exception is IOException or SocketException)
            {
                throw new LocalAwsException(LocalAwsProblem.Port, $"Port {options.Port} on {options.Address} cannot be used: {exception.Message} Stop what uses it, or choose another port (0 takes a free one).", exception);
            }

            throw;
        }
    }

    /// <summary>Creates, changes and removes endpoints and models so that they are what the catalog says, and takes up what waits for them.</summary>
    /// <exception cref="LocalAwsException">The catalog breaks its rules; the message names every problem.</exception>
    public Task ApplyCatalogAsync(CatalogDefinition catalog)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        var problems = CatalogValidation.Validate(catalog);
        if (problems.Length > 0)
        {
            throw new LocalAwsException(LocalAwsProblem.Catalog, "The catalog cannot be put in force:" + string.Concat(problems.Select(p => Environment.NewLine + "  " + p)));
        }

        _models.Apply(catalog);
        Resume();
        return Task.CompletedTask;
    }

    /// <summary>Counts by endpoint (by model, for transform jobs) since the start.</summary>
    public IReadOnlyDictionary<string, InvocationCounts> InvocationCounts => _log.Counts();

    /// <summary>The last invocations that ended, oldest first; at most 20,000.</summary>
    public IReadOnlyList<InvocationRecord> Invocations => _log.Records();

    /// <summary>Instance-seconds billed since the start, by endpoint with instances.</summary>
    public IReadOnlyDictionary<string, double> InstanceSeconds =>
        _models.Endpoints.Where(e => e.Lane != Lane.Serverless).ToDictionary(e => e.Name, e => e.Instances.State.InstanceSeconds, StringComparer.Ordinal);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _stopping.CancelAsync();
        await _application.DisposeAsync();
        await Task.WhenAll(_backlog.StopAsync(), _transforms.StopAsync());
        if (_ownClock is not null)
        {
            await _ownClock.DisposeAsync();
        }

        _tables.Dispose();
        _database.Dispose();
        _stopping.Dispose();
    }

    private static DurableClock? OpenClock(LocalAwsOptions options, LocalDatabase database)
    {
        try
        {
            return options is { Clock: null, DataFolder: { } folder } ? DurableClock.Open(Path.Combine(folder, "clock"), TimeProvider.System, options.Speed) : null;
        }
        catch (IOException exception)
        {
            database.Dispose();
            throw new LocalAwsException(LocalAwsProblem.DataFolder, exception.Message, exception);
        }
    }

    // The empty builder reads neither arguments, environment nor settings of the process that embeds this server, and logs nothing.
    private static WebApplication Build(LocalAwsOptions options, FrontDoor frontDoor)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(options.Address, options.Port);
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = 64 << 20;
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.MinResponseDataRate = null;
        });
        var application = builder.Build();
        application.Run(frontDoor.HandleAsync);
        return application;
    }

    private void Restore()
    {
        _objects.CreateBucket(_options.PayloadBucket);
        if (_options.NotificationQueue is { } queue && _queues.Find(queue) is null)
        {
            _queues.Create(queue, new Dictionary<string, string>());
        }

        _models.Restore();
        Resume();
    }

    private void Resume()
    {
        _backlog.Resume();
        _transforms.Resume();
    }
}
