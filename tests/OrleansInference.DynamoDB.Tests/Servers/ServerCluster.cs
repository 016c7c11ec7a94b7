using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OrleansInference.Configuration;
using OrleansInference.Hosting;
using OrleansInference.LocalAws;

namespace OrleansInference.DynamoDB.Tests.Servers;

/// <summary>Whole servers in this process that are one cluster: their state in DynamoDB, one embedded AWS for all, and a list of those that requests are sent to, as a load balancer has it.</summary>
internal sealed class ServerCluster : IAsyncDisposable
{
    public const string AdminKey = "an-admin-key-of-the-tests";
    private static readonly CatalogDefinition Catalog = ServerCatalog.Of(new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = Money.FromDollars(100m) });
    private static readonly string MasterKey = Convert.ToBase64String(Enumerable.Range(0, 32).Select(static i => (byte)i).ToArray());
    private static readonly byte[] Body = """{"inputs":"hi","input_tokens":100,"output_tokens":20}"""u8.ToArray();
    private readonly string _folder = Directory.CreateTempSubdirectory("oi-cluster-").FullName;
    private readonly ConcurrentDictionary<int, ServerHost> _servers = new();
    private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false }) { Timeout = TimeSpan.FromMinutes(2) };
    private string _service;
    private readonly string[] _tables = [Dynalite.NewTable(), Dynalite.NewTable(), Dynalite.NewTable()];
    private LocalAwsServer? _aws;
    private readonly Lock _rotating = new();
    private readonly Dictionary<Uri, int> _leaving = [];
    private Uri[] _rotation = [];
    private string _key = "";
    private int _turn;

    private readonly TablePatience _patience;

    private ServerCluster(string service, TablePatience patience) => (_service, _patience) = (service, patience);

    /// <summary>Starts a cluster.</summary>
    /// <param name="service">Address of DynamoDB.</param>
    /// <param name="servers">How many servers there are at first.</param>
    /// <param name="patience">How long a request waits for a table; null: as long as a slow machine takes.</param>
    /// <param name="dynalite">A dynalite that the embedded AWS is put before, to be DynamoDB instead; null: none.</param>
    public static async Task<ServerCluster> StartAsync(string service, int servers, TablePatience? patience = null, Uri? dynalite = null)
    {
        var cluster = new ServerCluster(service, patience ?? TablePatience.InBackground);
        try
        {
            cluster._aws = await LocalAwsServer.StartAsync(new() { DataFolder = Path.Combine(cluster._folder, "aws"), NotificationQueue = "orleans-inference-notifications", Dynalite = dynalite });
            cluster._service = dynalite is null ? service : cluster._aws.Address.OriginalString;
            await cluster._aws.ApplyCatalogAsync(Catalog);
            for (var i = 0; i < servers; i++)
            {
                await cluster.AddAsync(i);
            }

            if (servers > 0)
            {
                await cluster.IssueAsync();
            }

            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>The embedded AWS of all.</summary>
    public LocalAwsServer Aws => _aws!;

    public ServerSettings Settings(int number) => new()
    {
        DataFolder = Path.Combine(_folder, $"server-{number}"),
        Catalog = Catalog,
        Urls = ["http://127.0.0.1:0"],
        AdminKey = AdminKey,
        MasterKey = MasterKey,
        LogLevel = LogLevel.Critical,
        ShutdownTimeout = TimeSpan.FromSeconds(30),
        Aws = new() { Endpoint = _aws!.Address, AccessKeyId = "OITESTS0000000000000", SecretAccessKey = new('s', 40) },
        Cluster = new() { Endpoint = new(_service), AdvertisedAddress = IPAddress.Loopback, CreateTables = true, MembershipTable = _tables[0], GrainTable = _tables[1], ReminderTable = _tables[2] },
    };

    /// <summary>Starts a server that is sent nothing.</summary>
    public Task<ServerHost> StartServerAsync(ServerSettings settings, CancellationToken cancellationToken) => ServerHost.StartAsync(
        settings,
        services => services
            .PostConfigureAll<DynamoDBStorageOptions>(options => options.Patience = _patience)
            .PostConfigureAll<DynamoDBReminderStorageOptions>(options => options.Patience = _patience),
        cancellationToken);

    /// <summary>Starts a server; it is sent requests once it says that it is ready.</summary>
    public async Task AddAsync(int number)
    {
        var server = await StartServerAsync(Settings(number), CancellationToken.None);
        _servers[number] = server;
        while (!(await _http.GetAsync(new Uri(server.Address, "/readyz"))).IsSuccessStatusCode)
        {
            await Task.Delay(20);
        }

        lock (_rotating)
        {
            _rotation = [.. _rotation, server.Address];
        }
    }

    /// <summary>Takes a server out as a load balancer does: it is sent nothing new, what was sent arrives. Then it is stopped, whatever it is still at work on.</summary>
    public async Task RemoveAsync(int number)
    {
        var server = _servers[number];
        lock (_rotating)
        {
            _rotation = [.. _rotation.Where(address => address != server.Address)];
        }

        // What was to go to it when it was taken out has left, however long that took; then it needs a moment to arrive.
        while (IsLeavingFor(server.Address))
        {
            await Task.Delay(20);
        }

        await Task.Delay(200);
        await server.DisposeAsync();
        _servers.TryRemove(number, out _);
    }

    /// <summary>Issues the key that requests are sent with.</summary>
    public async Task IssueAsync()
    {
        using var response = await SendAsync(HttpMethod.Post, $"/v1/admin/tenants/{ServerCatalog.Tenant}/keys", AdminKey, null);
        _key = (await response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<JsonElement>()).GetProperty("apiKey").GetString()!;
    }

    /// <summary>The next server's answer to a request of a model.</summary>
    public Task<HttpResponseMessage> InvokeAsync(string model, params (string Name, string Value)[] headers) =>
        SendAsync(HttpMethod.Post, $"/v1/models/{model}/invocations", _key, new ByteArrayContent(Body) { Headers = { ContentType = new("application/json") } }, headers);

    public Task<HttpResponseMessage> GetAsync(string path, params (string Name, string Value)[] headers) => SendAsync(HttpMethod.Get, path, _key, null, headers);

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers.Values)
        {
            await server.DisposeAsync();
        }

        if (_aws is not null)
        {
            await _aws.DisposeAsync();
        }

        _http.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, string key, HttpContent? content, params (string Name, string Value)[] headers)
    {
        Uri server;
        lock (_rotating)
        {
            server = _rotation[(int)((uint)_turn++ % _rotation.Length)];
            _leaving[server] = _leaving.GetValueOrDefault(server) + 1;
        }

        using var sent = new Sent(content, () => HasLeft(server));
        using var request = new HttpRequestMessage(method, new Uri(server, path)) { Content = content is null ? null : sent };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        try
        {
            return await _http.SendAsync(request);
        }
        finally
        {
            sent.Leave();
        }
    }

    private bool IsLeavingFor(Uri server)
    {
        lock (_rotating)
        {
            return _leaving.GetValueOrDefault(server) > 0;
        }
    }

    private void HasLeft(Uri server)
    {
        lock (_rotating)
        {
            _leaving[server]--;
        }
    }

    /// <summary>A body that tells when it has been written to its connection, which is the last of a request that is.</summary>
    private sealed class Sent : HttpContent
    {
        private readonly HttpContent? _body;
        private readonly Action _hasLeft;
        private int _left;

        public Sent(HttpContent? body, Action hasLeft)
        {
            (_body, _hasLeft) = (body, hasLeft);
            foreach (var (name, values) in body?.Headers.NonValidated ?? [])
            {
                Headers.TryAddWithoutValidation(name, values);
            }
        }

        public void Leave()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0)
            {
                _hasLeft();
            }
        }

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await _body!.CopyToAsync(stream, context);
            await stream.FlushAsync();
            Leave();
        }

        protected override bool TryComputeLength(out long length) => (length = _body?.Headers.ContentLength ?? 0) > 0;

        protected override void Dispose(bool disposing)
        {
            _body?.Dispose();
            base.Dispose(disposing);
        }
    }
}
