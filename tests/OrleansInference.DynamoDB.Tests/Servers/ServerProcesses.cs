using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using OrleansInference.Configuration;
using OrleansInference.LocalAws;
using OrleansInference.Tests;

namespace OrleansInference.DynamoDB.Tests.Servers;

/// <summary>Whole servers, each a process of its own as an operator starts it, that are one cluster: their state in DynamoDB and one embedded AWS for all.</summary>
internal sealed class ServerProcesses : IAsyncDisposable
{
    private const string AdminKey = "an-admin-key-of-the-tests";
    private const string AccessKeyId = "OITESTS0000000000000";
    private static readonly TimeSpan AtMost = TimeSpan.FromSeconds(90);
    private static readonly string SecretAccessKey = new('s', 40);
    private readonly string _folder = Directory.CreateTempSubdirectory("oi-processes-").FullName;
    private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false }) { Timeout = AtMost };
    private readonly List<ServerProcess> _servers = [];
    private readonly string _service;
    private string _key = "";

    private ServerProcesses(string service, LocalAwsServer aws) => (_service, Aws) = (service, aws);

    public LocalAwsServer Aws { get; }

    public string MembershipTable { get; } = Dynalite.NewTable();

    public IReadOnlyList<ServerProcess> Servers => _servers;

    public static async Task<ServerProcesses> StartAsync(string service, int servers, CatalogDefinition catalog)
    {
        var aws = await LocalAwsServer.StartAsync(new() { NotificationQueue = "orleans-inference-notifications" });
        var cluster = new ServerProcesses(service, aws);
        try
        {
            await aws.ApplyCatalogAsync(catalog);
            var file = Path.Combine(cluster._folder, "catalog.json");
            await File.WriteAllTextAsync(file, JsonSerializer.Serialize(catalog, CatalogFile.Json));
            var (grains, reminders) = (Dynalite.NewTable(), Dynalite.NewTable());
            for (var i = 0; i < servers; i++)
            {
                cluster._servers.Add(await cluster.LaunchAsync(i, file, grains, reminders));
            }

            await Task.WhenAll(cluster._servers.Select(cluster.ReadyAsync));
            await cluster.UntilAsync(
                async () =>
                {
                    using var response = await cluster.SendAsync(cluster._servers[0], HttpMethod.Post, $"/v1/admin/tenants/{ServerCatalog.Tenant}/keys", null, AdminKey);
                    if (response is { StatusCode: HttpStatusCode.ServiceUnavailable, Headers.RetryAfter: not null })
                    {
                        return false;
                    }

                    cluster._key = (await response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<JsonElement>()).GetProperty("apiKey").GetString()!;
                    return true;
                },
                "given a key");
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>A server's answer to a request of the tenant.</summary>
    public Task<HttpResponseMessage> SendAsync(ServerProcess server, HttpMethod method, string path, HttpContent? content = null, params (string Name, string Value)[] headers) =>
        SendAsync(server, method, path, content, _key, headers);

    /// <summary>The tenant's budget as a server tells it; null: it cannot now.</summary>
    public async Task<BudgetView?> BudgetAsync(ServerProcess server)
    {
        using var response = await SendAsync(server, HttpMethod.Get, $"/v1/tenants/{ServerCatalog.Tenant}/budget");
        return response.IsSuccessStatusCode ? await response.Content.ReadFromJsonAsync<BudgetView>() : null;
    }

    /// <summary>Waits until something holds.</summary>
    public async Task UntilAsync(Func<Task<bool>> holds, string what)
    {
        var watch = Stopwatch.StartNew();
        while (!await holds())
        {
            Assert.True(watch.Elapsed < AtMost, $"Not {what} after {AtMost}.{string.Concat(_servers.Select(static server => $"\n{server.Address} printed:\n{server.Output}"))}");
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers)
        {
            await server.KillAsync();
        }

        await Aws.DisposeAsync();
        _http.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task<ServerProcess> LaunchAsync(int number, string catalog, string grains, string reminders)
    {
        var (address, siloPort) = (new Uri($"http://127.0.0.1:{FreePorts.Next()}"), FreePorts.Next());
        var settings = Path.Combine(_folder, $"settings-{number}.json");
        await File.WriteAllTextAsync(settings, JsonSerializer.Serialize(new
        {
            OrleansInference = new
            {
                Urls = address.OriginalString,
                DataFolder = Path.Combine(_folder, $"server-{number}"),
                Catalog = catalog,
                AdminKey,
                MasterKey = Convert.ToBase64String(new byte[32]),
                SiloPort = siloPort,
                GatewayPort = FreePorts.Next(),
                AdvertisedAddress = "127.0.0.1",
                Aws = new
                {
                    Mode = "Amazon",
                    Endpoint = Aws.Address.OriginalString,
                    AccessKeyId,
                    SecretAccessKey,
                    State = "DynamoDB",
                    DynamoDBEndpoint = _service,
                    MembershipTable,
                    GrainTable = grains,
                    ReminderTable = reminders,
                    CreateTables = true,
                },
            },
        }));
        return new(address, siloPort, ExternalCommand.Start("dotnet", [Path.Combine(AppContext.BaseDirectory, "OrleansInference.Server.dll"), "--config", settings], folder: _folder));
    }

    private Task ReadyAsync(ServerProcess server) => UntilAsync(
        async () =>
        {
            Assert.True(server.IsAlive, $"{server.Address} has ended. It printed:\n{server.Output}");
            try
            {
                using var response = await _http.GetAsync(new Uri(server.Address, "/readyz"));
                return response.IsSuccessStatusCode;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        },
        "ready");

    private async Task<HttpResponseMessage> SendAsync(ServerProcess server, HttpMethod method, string path, HttpContent? content, string key, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, new Uri(server.Address, path)) { Content = content };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return await _http.SendAsync(request);
    }
}

/// <summary>A server that runs as a process of its own.</summary>
internal sealed class ServerProcess
{
    private readonly StringBuilder _output = new();
    private readonly Process _process;

    public ServerProcess(Uri address, int siloPort, Process process)
    {
        (Address, SiloPort, _process) = (address, siloPort, process);
        process.OutputDataReceived += (_, line) => Append(line.Data);
        process.ErrorDataReceived += (_, line) => Append(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public Uri Address { get; }

    public int SiloPort { get; }

    public bool IsAlive { get; private set; } = true;

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

    /// <summary>Ends it at once and without a word (SIGKILL).</summary>
    public async Task KillAsync()
    {
        if (IsAlive)
        {
            IsAlive = false;
            if (!_process.HasExited)
            {
                _process.Kill(entireProcessTree: true);
                await _process.WaitForExitAsync();
            }

            _process.Dispose();
        }
    }

    private void Append(string? line)
    {
        lock (_output)
        {
            _output.AppendLine(line);
        }
    }
}
