using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Orleans.Storage;
using OrleansInference.Aws;
using OrleansInference.Dispatch;
using OrleansInference.Hosting;
using OrleansInference.Leases;
using OrleansInference.Sqlite;

namespace OrleansInference.Benchmarks.Silos;

/// <summary>One silo as the server hosts it, on storage in memory that counts what is written. Behind it is no AWS, or the one that a benchmark brings.</summary>
internal sealed class BenchmarkSilo : IAsyncDisposable
{
    private readonly IHost _host;

    private BenchmarkSilo(IHost host, CountingStorage storage, IPEndPoint address)
    {
        _host = host;
        Address = address;
        Storage = storage;
        Services = host.Services;
        Grains = host.Services.GetRequiredService<IGrainFactory>();
        Accounts = host.Services.GetRequiredService<TenantAccounts>();
        Dispatcher = host.Services.GetRequiredService<IDispatcher>();
    }

    /// <summary>Where other silos join it.</summary>
    public IPEndPoint Address { get; }

    public CountingStorage Storage { get; }

    public IServiceProvider Services { get; }

    public IGrainFactory Grains { get; }

    /// <summary>The tenants of this silo, as its dispatcher sees them.</summary>
    public TenantAccounts Accounts { get; }

    public IDispatcher Dispatcher { get; }

    /// <summary>Starts a silo.</summary>
    /// <param name="keepsState">Whether the storage in memory keeps what is written.</param>
    /// <param name="aws">The AWS behind it.</param>
    /// <param name="primary">A silo to join; null: it is the first.</param>
    /// <param name="file">A file for storage and reminders on SQLite, as the server has them by default; null: both in memory.</param>
    /// <param name="keepsLong">Whether grains stay in memory for an hour, or as long as they do by default.</param>
    /// <param name="configure">Changes the options.</param>
    public static async Task<BenchmarkSilo> StartAsync(
        bool keepsState = true,
        Action<IServiceCollection>? aws = null,
        BenchmarkSilo? primary = null,
        string? file = null,
        bool keepsLong = true,
        Action<OrleansInferenceOptions>? configure = null)
    {
        var storage = new CountingStorage(keepsState);
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace).SetMinimumLevel(LogLevel.Critical);
        aws?.Invoke(builder.Services);
        builder.Services.AddAwsClients(new() { Endpoint = new("http://127.0.0.1:9"), AccessKeyId = "benchmark", SecretAccessKey = "benchmark" });
        var port = FreePort();
        builder.UseOrleans(silo =>
        {
            if (file is null)
            {
                silo.Services.AddKeyedSingleton<IGrainStorage>(OrleansInferenceOptions.StorageName, storage);
                silo.UseInMemoryReminderService();
            }
            else
            {
                silo.AddSqliteGrainStorage(OrleansInferenceOptions.StorageName, options => options.FilePath = file).UseSqliteReminderService(options => options.FilePath = file);
            }

            silo.UseLocalhostClustering(port, FreePort(), primary?.Address).AddOrleansInference(configure);
            if (keepsLong)
            {
                silo.Configure<GrainCollectionOptions>(options => options.CollectionAge = TimeSpan.FromHours(1));
            }
        });
        var host = builder.Build();
        await host.StartAsync();
        return new(host, storage, new(IPAddress.Loopback, port));
    }

    /// <summary>A tenant with money for everything a benchmark does, known to this silo.</summary>
    public async Task<TenantAccount> RichTenantAsync(string name)
    {
        await Grains.GetGrain<ITenantGrain>(name).Configure(BenchmarkTenants.Create(name, Money.FromDollars(1_000_000)));
        return await Accounts.GetAsync(new(name)) ?? throw new InvalidOperationException($"Tenant '{name}' is unknown to its own silo.");
    }

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
    }

    private static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
