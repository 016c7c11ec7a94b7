using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using OrleansInference.Configuration;

namespace OrleansInference.Tests;

/// <summary>One server process for all wire tests, as an operator would start it: a settings file, a catalog file, free loopback ports.</summary>
public sealed class WireServer : IAsyncLifetime
{
    public const string Model = "chat";
    public const string Tenant = "acme";
    public const string Bucket = "wire-tests";

    /// <summary>The queue whose messages are requests of <see cref="Tenant"/>.</summary>
    public const string RequestQueue = "wire-requests";

    /// <summary>Where refused messages of <see cref="RequestQueue"/> go.</summary>
    public const string DeadLetterQueue = "wire-refused";

    /// <summary>Where the ends of its jobs are told.</summary>
    public const string ReplyQueue = "wire-answers";

    /// <summary>Where <see cref="Tenant"/> may keep the inputs of asynchronous calls.</summary>
    public const string TenantFolder = $"s3://orleans-inference/tenants/{Tenant}";

    private const string AdminKey = "wire-tests-admin-key-0123456789";
    private static readonly TimeSpan StartAtMost = TimeSpan.FromSeconds(90);

    private readonly string _folder = Directory.CreateTempSubdirectory("oi-wire-").FullName;
    private readonly StringBuilder _output = new();
    private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false });
    private Process? _process;

    /// <summary>The front door.</summary>
    public Uri FrontDoor { get; private set; } = new("http://127.0.0.1");

    /// <summary>The embedded AWS behind it.</summary>
    public Uri LocalAws { get; private set; } = new("http://127.0.0.1");

    /// <summary>Its port for grain clients.</summary>
    public int GatewayPort { get; } = FreePorts.Next();

    /// <summary>A key pair of <see cref="Tenant"/>.</summary>
    public IssuedKey Key { get; private set; } = null!;

    /// <summary>How many times faster than life it runs.</summary>
    public int Speed { get; init; } = 20;

    /// <summary>Its folder of everything durable.</summary>
    public string DataFolder => Path.Combine(_folder, "data");

    /// <summary>An empty folder for a test's files.</summary>
    public string NewFolder() => Directory.CreateDirectory(Path.Combine(_folder, Guid.NewGuid().ToString("N"))).FullName;

    /// <summary>What the server has printed.</summary>
    public string Output
    {
        get
        {
            lock (_output)
            {
                return _output.ToString();
            }
        }
    }

    public async ValueTask InitializeAsync()
    {
        FrontDoor = new($"http://127.0.0.1:{FreePorts.Next()}");
        LocalAws = new($"http://127.0.0.1:{FreePorts.Next()}");
        var catalog = Path.Combine(_folder, "catalog.json");
        await File.WriteAllTextAsync(catalog, JsonSerializer.Serialize(WireCatalog.Create(), CatalogFile.Json));
        await File.WriteAllTextAsync(SettingsFile, JsonSerializer.Serialize(new
        {
            OrleansInference = new
            {
                Urls = FrontDoor.OriginalString,
                LocalAwsPort = LocalAws.Port,
                GatewayPort,
                DataFolder,
                Catalog = catalog,
                AdminKey,
                Speed,
                Queues = new[] { new { Queue = RequestQueue, Tenant, DeadLetterQueue, ReplyQueue } },
            },
        }));
        await StartAsync();
        Key = await IssueKeyAsync();
        await UntilAsync(AnswersAsync, "answering");
    }

    /// <summary>Starts the server, again after a kill, and waits until it is ready.</summary>
    public async Task StartAsync()
    {
        _process = ExternalCommand.Start("dotnet", [Path.Combine(AppContext.BaseDirectory, "OrleansInference.Server.dll"), "--config", SettingsFile], folder: _folder);
        _process.OutputDataReceived += (_, line) => Append(line.Data);
        _process.ErrorDataReceived += (_, line) => Append(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        await UntilAsync(IsReadyAsync, "ready");
    }

    /// <summary>Ends the server as a power cut would.</summary>
    public async Task KillAsync()
    {
        if (_process is { } process)
        {
            if (!process.HasExited)
            {
                // The tests' own child and nothing else; storage survives a kill by design.
                process.Kill(entireProcessTree: true);
                await process.WaitForExitAsync();
            }

            process.Dispose();
            _process = null;
        }
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await KillAsync();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>A request of the tests' tenant with its API key.</summary>
    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, HttpContent? content = null, params (string Name, string Value)[] headers)
    {
        using var message = new HttpRequestMessage(method, new Uri(FrontDoor, path)) { Content = content };
        message.Headers.Authorization = new("Bearer", Key.ApiKey);
        foreach (var (name, value) in headers)
        {
            message.Headers.Add(name, value);
        }

        return await _http.SendAsync(message);
    }

    /// <summary>A request of the operator.</summary>
    public async Task<HttpResponseMessage> AdministerAsync(HttpMethod method, string path, HttpContent? content = null)
    {
        using var message = new HttpRequestMessage(method, new Uri(FrontDoor, path)) { Content = content };
        message.Headers.Authorization = new("Bearer", AdminKey);
        return await _http.SendAsync(message);
    }

    /// <summary>Waits until something holds.</summary>
    public async Task UntilAsync(Func<Task<bool>> holds, string what)
    {
        var watch = Stopwatch.StartNew();
        while (!await holds())
        {
            if (_process!.HasExited || watch.Elapsed > StartAtMost)
            {
                throw new InvalidOperationException($"The server was not {what} after {watch.Elapsed}. It printed:\n{Output}");
            }

            await Task.Delay(100);
        }
    }

    private string SettingsFile => Path.Combine(_folder, "settings.json");

    private void Append(string? line)
    {
        lock (_output)
        {
            _output.AppendLine(line);
        }
    }

    private async Task<bool> IsReadyAsync()
    {
        try
        {
            using var response = await _http.GetAsync(new Uri(FrontDoor, "/readyz"));
            return response.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private async Task<bool> AnswersAsync()
    {
        using var content = new StringContent("""{"inputs":"hello"}""", Encoding.UTF8, "application/json");
        using var response = await SendAsync(HttpMethod.Post, $"/v1/models/{Model}/invocations", content, ("X-Inference-Lanes", "Realtime"));
        return response.IsSuccessStatusCode;
    }

    private async Task<IssuedKey> IssueKeyAsync()
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, new Uri(FrontDoor, $"/v1/admin/tenants/{Tenant}/keys"));
        message.Headers.Authorization = new AuthenticationHeaderValue("Bearer", AdminKey);
        using var response = await _http.SendAsync(message);
        response.EnsureSuccessStatusCode();
        return (await response.Content.ReadFromJsonAsync<IssuedKey>())!;
    }
}

[CollectionDefinition(Name)]
public sealed class WireServerGroup : ICollectionFixture<WireServer>
{
    public const string Name = "wire server";
}
