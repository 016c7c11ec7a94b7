using Microsoft.Extensions.Configuration.Json;
using Microsoft.Extensions.Logging.Console;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OrleansInference.Audit;
using OrleansInference.Aws;
using OrleansInference.Configuration;
using OrleansInference.Diagnosis;
using OrleansInference.DynamoDB;
using OrleansInference.FrontDoor;
using OrleansInference.Ingest;
using OrleansInference.Keys;
using OrleansInference.LocalAws;
using OrleansInference.Sqlite;
using OrleansInference.Telemetry;
using OrleansInference.Webhooks;

namespace OrleansInference.Hosting;

/// <summary>
/// One server: a silo, its front door, the audit log, and the embedded AWS unless it works on Amazon. Dispose it to stop.
/// </summary>
public sealed class ServerHost : IAsyncDisposable
{
    // Seconds: from a quick embedding to a batch window.
    private static readonly double[] LatencyBoundaries = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86_400];

    private readonly ServerSettings _settings;
    private readonly DataFolder _folder;
    private static readonly TimeSpan RestsBeforeItEnds = TimeSpan.FromSeconds(30);

    private readonly DurableClock _clock;
    private readonly LocalAwsServer? _localAws;
    private readonly SqliteAuditLog _audit;
    private readonly MasterKey _masterKey;
    private readonly WebApplication _application;
    private bool _started;
    private int _disposed;

    private ServerHost(ServerSettings settings, DataFolder folder, DurableClock clock, LocalAwsServer? localAws, SqliteAuditLog audit, MasterKey masterKey, string adminKey, WebApplication application)
    {
        _settings = settings;
        _folder = folder;
        _clock = clock;
        _localAws = localAws;
        _audit = audit;
        _masterKey = masterKey;
        _application = application;
        AdminKey = adminKey;
    }

    /// <summary>The first address of the front door.</summary>
    public Uri Address => new(_application.Urls.First());

    /// <summary>The embedded AWS; null on Amazon.</summary>
    public Uri? LocalAws => _localAws?.Address;

    /// <summary>The key of the admin API.</summary>
    public string AdminKey { get; }

    /// <summary>File that keeps the admin key; null if the settings gave it.</summary>
    public string? AdminKeyFile => _settings.AdminKey is null ? _folder.AdminKeyFile : null;

    /// <summary>Full path of the folder of everything durable.</summary>
    public string DataFolderPath => _folder.FullPath;

    /// <summary>Starts a server and puts its catalog in force.</summary>
    /// <exception cref="ConfigurationException">The settings cannot be used; the message names every problem.</exception>
    public static Task<ServerHost> StartAsync(ServerSettings settings, CancellationToken cancellationToken = default) => StartAsync(settings, null, cancellationToken);

    /// <param name="settings">The settings.</param>
    /// <param name="configure">Changes the server's services after all others; null: nothing does.</param>
    /// <param name="cancellationToken">Gives up.</param>
    internal static async Task<ServerHost> StartAsync(ServerSettings settings, Action<IServiceCollection>? configure, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(settings);
        Preflight.Require(settings);
        var folder = DataFolder.Open(settings.DataFolder);
        DurableClock? clock = null;
        LocalAwsServer? localAws = null;
        SqliteAuditLog? audit = null;
        MasterKey? masterKey = null;
        ServerHost? host = null;
        try
        {
            clock = DurableClock.Open(folder.ClockFile, TimeProvider.System, settings.Speed);
            localAws = settings.Aws is null ? await StartLocalAwsAsync(settings, folder, clock.Clock, cancellationToken) : null;
            using var loggers = LoggerFactory.Create(logging => ConfigureLogging(logging, settings));
            var logger = loggers.CreateLogger<ServerHost>();
            await ClusterTables.WaitForAsync(settings, logger, TimeProvider.System, cancellationToken);
            masterKey = await MasterKeyHosting.OpenAsync(settings, folder, logger, cancellationToken);
            audit = await SqliteAuditLog.OpenAsync(
                folder.AuditFile,
                clock.Clock,
                new() { Retention = TimeSpan.FromDays(settings.AuditRetentionDays), MaxBytes = settings.AuditMaxBytes },
                loggers.CreateLogger<SqliteAuditLog>(),
                cancellationToken);
            var adminKey = settings.AdminKey ?? SecretFile.ReadOrCreate(folder.AdminKeyFile, Keys.AdminKey.New, out _);
            if (adminKey.Length < Keys.AdminKey.MinLength)
            {
                throw new ConfigurationException([$"{folder.AdminKeyFile}: an admin key has at least {Keys.AdminKey.MinLength} characters. Delete the file to have a new one made."]);
            }

            var application = Build(settings, folder, clock.Clock, localAws, audit, masterKey, adminKey, configure);
            await StartApplicationAsync(application, settings, logger, cancellationToken);
            host = new(settings, folder, clock, localAws, audit, masterKey, adminKey, application) { _started = true };
            await host.PutCatalogInForceAsync(logger, cancellationToken);
            application.Services.GetRequiredService<Readiness>().Open();
            application.Services.GetRequiredService<QueueIngest>().Start();
            return host;
        }
        catch (Exception exception)
        {
            if (host is not null)
            {
                await host.DisposeAsync();
            }
            else
            {
                if (audit is not null)
                {
                    await audit.DisposeAsync();
                }

                if (localAws is not null)
                {
                    await localAws.DisposeAsync();
                }

                if (clock is not null)
                {
                    await clock.DisposeAsync();
                }

                masterKey?.Dispose();
                folder.Dispose();
            }

            // The silo wraps what its storage says.
            for (var cause = exception; cause is not null; cause = cause.InnerException)
            {
                if (cause is DataFileException or TableException or LocalAwsException or IOException)
                {
                    throw new ConfigurationException([cause.Message]);
                }
            }

            throw;
        }
    }

    /// <summary>Waits until the server is asked to stop: Ctrl+C, a signal, or <paramref name="cancellationToken"/>.</summary>
    public Task WaitForShutdownAsync(CancellationToken cancellationToken = default) => _application.WaitForShutdownAsync(cancellationToken);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        // A silo that failed to start refuses to be stopped.
        if (_started)
        {
            using var patience = new CancellationTokenSource(_settings.ShutdownTimeout);
            await _application.StopAsync(patience.Token);
        }

        await _application.DisposeAsync();
        await _audit.DisposeAsync();
        if (_localAws is not null)
        {
            await _localAws.DisposeAsync();
        }

        await _clock.DisposeAsync();
        _masterKey.Dispose();
        _folder.Dispose();
    }

    private static Task<LocalAwsServer> StartLocalAwsAsync(ServerSettings settings, DataFolder folder, RouterClock clock, CancellationToken cancellationToken) =>
        LocalAwsServer.StartAsync(
            new()
            {
                DataFolder = folder.LocalAws,
                Clock = clock,
                Speed = settings.Speed,
                Port = settings.LocalAwsPort,
                Seed = settings.Seed,
                NotificationQueue = settings.NotificationQueue,
                PayloadBucket = settings.PayloadBucket,
            },
            cancellationToken);

    private static WebApplication Build(ServerSettings settings, DataFolder folder, RouterClock clock, LocalAwsServer? localAws, SqliteAuditLog audit, MasterKey masterKey, string adminKey, Action<IServiceCollection>? configure)
    {
        var builder = WebApplication.CreateSlimBuilder();
        KeepFilesUnwatched(builder.Configuration);
        ConfigureLogging(builder.Logging, settings);
        builder.WebHost.UseUrls([.. settings.Urls]).ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;

            // One more than the front door takes, whose own refusal names the limit.
            kestrel.Limits.MaxRequestBodySize = Math.Max(settings.MaxBodyBytes, FrontDoorOptions.SageMakerBodyBytes) + 1;
        });
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = settings.ShutdownTimeout);
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddKeyedSingleton<TimeProvider>(TimeProviderNames.Membership, (_, _) => new MembershipClock());
        builder.Services.AddSingleton(clock);
        builder.Services.AddSingleton(new TableHealth(RouterTelemetry.TableFailed));
        builder.Services.AddSingleton(audit);
        builder.Services.AddSingleton<IAuditLog>(audit);
        builder.Services.AddSingleton<IKeyStore, GrainKeyStore>();
        builder.Services.AddSingleton(masterKey);
        builder.Services.AddSingleton(new AdminKey(adminKey));
        builder.Services.AddSingleton(provider => new CatalogDesk(
            provider.GetRequiredService<IGrainFactory>(),
            (catalog, _) => localAws?.ApplyCatalogAsync(catalog) ?? Task.CompletedTask));
        builder.Services.AddAwsClients(
            settings.Aws ?? new()
            {
                Endpoint = localAws!.Address,

                // The embedded AWS checks that requests are signed, not by whom.
                AccessKeyId = "OIEMBEDDEDAWS0000000",
                SecretAccessKey = "the-embedded-aws-takes-any-secret-key-00",
            },
            settings.CostTags);
        if (settings.DataCapture is { } capture)
        {
            builder.Services.AddDataCapture(capture);
        }

        builder.Services.AddFrontDoor(new() { MaxBodyBytes = settings.MaxBodyBytes, MaxBatchBytes = settings.MaxBatchBytes, PayloadBucket = settings.PayloadBucket, Region = settings.Region }, settings.KeyCacheLifetime);
        builder.Services.AddWebhooks(new(settings.WebhookAllow), settings.KeyCacheLifetime);
        AddTelemetry(builder.Services, settings);
        builder.UseOrleans(silo => silo
            .AddState(settings, folder)
            .AddOrleansInference(options =>
            {
                options.NotificationQueue = settings.NotificationQueue;
                options.PayloadBucket = settings.PayloadBucket;
                options.MaxBodyBytes = settings.MaxBodyBytes;
                options.CostTags = settings.CostTags;
                options.MaxBatchBytes = settings.MaxBatchBytes;
                options.MaxBatchRecords = settings.MaxBatchRecords;
                options.MaxInFlight = settings.MaxInFlight;
                options.MaxAttempts = settings.MaxAttempts;
                options.HedgeQuantile = settings.HedgeQuantile;
                options.MaxHedgeShare = settings.MaxHedgeShare;
                options.MaxHeldJobs = settings.MaxHeldJobs;
                options.LimitChange = TimeSpan.FromSeconds(settings.LimitChangeSeconds);
                options.JobRetention = settings.JobRetention;
                options.InlineWait = settings.InlineWait;
                options.WebhookRetryFor = settings.WebhookRetryFor;
            })
            .AddQueueIngest(new(settings.Queues, settings.PayloadBucket, CreateQueues: settings.Aws is null)));
        builder.Services.AddHostedService<SiloDeaths>();
        configure?.Invoke(builder.Services);
        var application = builder.Build();
        application.MapFrontDoor();
        application.MapPrometheusScrapingEndpoint("/metrics");
        return application;
    }

    // A file is watched through its folder with all that is below, and here that is what is stored. A change takes a restart in any case.
    private static void KeepFilesUnwatched(ConfigurationManager configuration)
    {
        for (var i = 0; i < configuration.Sources.Count; i++)
        {
            if (configuration.Sources[i] is JsonConfigurationSource { ReloadOnChange: true } file)
            {
                file.ReloadOnChange = false;
                configuration.Sources[i] = file;
            }
        }
    }

    private static void ConfigureLogging(ILoggingBuilder logging, ServerSettings settings) => logging
        .ClearProviders()
        .AddSimpleConsole(console => console.SingleLine = true)
        .Services.AddFalseAlarmFilter()
        .AddAwsProblemLines(settings.LogLevel)
        .Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace)
        .Configure<LoggerFilterOptions>(filter =>
        {
            filter.MinLevel = settings.LogLevel;

            // It logs each request's begin and end, and makes an activity for each while it might.
            filter.Rules.Add(new(null, "Microsoft.AspNetCore.Hosting.Diagnostics", settings.LogLevel <= LogLevel.Information ? settings.LogLevel : LogLevel.None, null));
        });

    private static void AddTelemetry(IServiceCollection services, ServerSettings settings)
    {
        var telemetry = services.AddOpenTelemetry()
            .ConfigureResource(static resource => resource.AddService("orleans-inference"))
            .WithMetrics(static metrics => metrics
                .AddMeter(RouterTelemetry.MeterName, "Microsoft.Orleans")
                .AddView("orleans_inference.latency", new ExplicitBucketHistogramConfiguration { Boundaries = LatencyBoundaries })
                .AddPrometheusExporter());
        if (settings.OtlpEndpoint is { } endpoint)
        {
            // Without a place to send them, traces would be made for nobody.
            telemetry.WithTracing(static traces => traces.AddSource(RouterTelemetry.ActivitySourceName)).UseOtlpExporter(OpenTelemetry.Exporter.OtlpExportProtocol.Grpc, endpoint);
        }
    }

    /// <summary>
    /// Starts the silo with its front door. In a cluster it rests before it ends if something of AWS keeps it from starting. It does not try again itself: parts of a silo that
    /// failed to start cannot be stopped, and would listen beside the next one.
    /// </summary>
    private static async Task StartApplicationAsync(WebApplication application, ServerSettings settings, ILogger logger, CancellationToken cancellationToken)
    {
        try
        {
            await application.StartAsync(cancellationToken);
        }
        catch (Exception exception)
        {
            // A silo that failed to start refuses to be stopped.
            await application.DisposeAsync();
            if (settings.Cluster is null || cancellationToken.IsCancellationRequested || AwsProblem.Of(exception, isOfAws: false) is not { } problem)
            {
                throw;
            }

            await ClusterTables.RestAsync(settings, problem, RestsBeforeItEnds, logger, TimeProvider.System, cancellationToken);
            throw new ConfigurationException([$"The silo could not start: {problem.Detail.TrimEnd('.')}. {problem.Remedy}"]);
        }
    }

    /// <summary>
    /// Puts the configured catalog in force if it differs from the last start's; else what the admin API changed since stays. In a cluster it is tried as often as the catalog cannot be
    /// reached: its silo may be leaving, or the table be throttled.
    /// </summary>
    private async Task PutCatalogInForceAsync(ILogger logger, CancellationToken cancellationToken)
    {
        var desk = _application.Services.GetRequiredService<CatalogDesk>();
        for (var pause = ClusterTables.Pause(null); ; pause = ClusterTables.Pause(pause))
        {
            try
            {
                var reply = await desk.ConfigureAsync(_settings.Catalog, CatalogFile.Fingerprint(_settings.Catalog), cancellationToken);
                if (!reply.Problems.IsDefaultOrEmpty)
                {
                    throw new ConfigurationException(reply.Problems);
                }

                return;
            }
            catch (Exception exception) when (_settings.Cluster is not null && !cancellationToken.IsCancellationRequested
                && (exception is OrleansException or TimeoutException || AwsProblem.Of(exception, isOfAws: false) is not null))
            {
                logger.CatalogNotInForce(exception, pause.TotalSeconds);
                await Task.Delay(pause, cancellationToken);
            }
        }
    }
}
