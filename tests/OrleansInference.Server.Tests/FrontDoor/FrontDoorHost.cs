using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Reflection;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OrleansInference.Aws.Signing;
using OrleansInference.Dispatch;
using OrleansInference.FrontDoor;
using OrleansInference.Hosting;
using OrleansInference.Jobs;
using OrleansInference.Keys;

namespace OrleansInference.Tests.FrontDoor;

/// <summary>The front door on real Kestrel, before a dispatcher that the test scripts.</summary>
internal sealed class FrontDoorHost : IAsyncDisposable
{
    public const string Admin = "admin-key-of-the-tests";
    private readonly WebApplication _app;
    private readonly MasterKey _master = new(new byte[MasterKey.Length]);

    private FrontDoorHost(WebApplication app) => _app = app;

    public ScriptedDispatcher Dispatcher { get; } = new();

    public MemoryKeyStore Keys { get; } = new();

    public HttpClient Http { get; private set; } = null!;

    public Uri Address => Http.BaseAddress!;

    public KeyDirectory Directory => _app.Services.GetRequiredService<KeyDirectory>();

    public static async Task<FrontDoorHost> StartAsync(long maxBodyBytes = 1 << 20, double speed = 1)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var host = new FrontDoorHost(null!);
        builder.Services.AddSingleton<IDispatcher>(host.Dispatcher);
        builder.Services.AddSingleton<IJobs>(host.Dispatcher);
        builder.Services.AddSingleton<IKeyStore>(host.Keys);
        builder.Services.AddSingleton(DispatchProxy.Create<IGrainFactory, NoGrains>());
        builder.Services.AddSingleton(host._master);
        builder.Services.AddSingleton(new AdminKey(Admin));
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton(new RouterClock(TimeProvider.System, speed));
        builder.Services.AddFrontDoor(new() { MaxBodyBytes = maxBodyBytes }, TimeSpan.FromMinutes(1));
        var app = builder.Build();
        app.MapFrontDoor();
        await app.StartAsync();
        return new(app, host) { Http = new() { BaseAddress = new(app.Urls.First()) } };
    }

    private FrontDoorHost(WebApplication app, FrontDoorHost parts)
        : this(app)
    {
        Dispatcher = parts.Dispatcher;
        Keys = parts.Keys;
        _master = parts._master;
    }

    public Task<IssuedKey> IssueAsync(string tenant = "acme") => Directory.IssueAsync(new(tenant));

    public async Task<HttpResponseMessage> PostAsync(string path, IssuedKey key, byte[] body, params (string Name, string Value)[] headers)
    {
        using var request = Request(path, body, headers);
        request.Headers.Authorization = new("Bearer", key.ApiKey);
        return await Http.SendAsync(request);
    }

    public async Task<HttpResponseMessage> PostSignedAsync(string path, IssuedKey key, byte[] body, DateTimeOffset? at = null, string? secret = null, string region = "us-east-1", params (string Name, string Value)[] headers)
    {
        using var request = Request(path, body, headers);
        request.RequestUri = new(Address, path);
        new SigV4Signer(region, "sagemaker").Sign(request, PayloadHash.Of(body), new(key.AccessKeyId, secret ?? key.SecretAccessKey), at ?? DateTimeOffset.UtcNow);
        return await Http.SendAsync(request);
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _app.DisposeAsync();
        _master.Dispose();
    }

    private static HttpRequestMessage Request(string path, byte[] body, (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        foreach (var (name, value) in headers)
        {
            if (!request.Headers.TryAddWithoutValidation(name, value))
            {
                request.Content.Headers.TryAddWithoutValidation(name, value);
            }
        }

        return request;
    }
}

/// <summary>Key records in memory.</summary>
internal sealed class MemoryKeyStore : IKeyStore
{
    private readonly ConcurrentDictionary<string, KeyRecord> _records = new();

    /// <summary>Why it cannot be reached; null if it can.</summary>
    public Exception? Failure { get; set; }

    public int Reads { get; private set; }

    public ICollection<KeyRecord> Records => _records.Values;

    public Task PutAsync(string accessKeyId, KeyRecord record)
    {
        _records[accessKeyId] = record;
        return Task.CompletedTask;
    }

    public Task<KeyRecord?> GetAsync(string accessKeyId)
    {
        Reads++;
        return Failure is { } failure ? Task.FromException<KeyRecord?>(failure) : Task.FromResult(_records.GetValueOrDefault(accessKeyId));
    }

    public Task RevokeAsync(string accessKeyId)
    {
        _records[accessKeyId] = _records[accessKeyId] with { Revoked = true };
        return Task.CompletedTask;
    }
}

/// <summary>No grain exists here; what asks for one is a mistake of the test.</summary>
public class NoGrains : DispatchProxy
{
    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => throw new InvalidOperationException("This test has no grains.");
}
