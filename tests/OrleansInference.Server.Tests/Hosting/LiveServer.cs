using System.Collections.Immutable;
using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using OrleansInference.Aws.Signing;
using OrleansInference.Configuration;
using OrleansInference.FrontDoor;
using OrleansInference.Hosting;

namespace OrleansInference.Tests.Hosting;

/// <summary>A whole server in this process on free loopback ports: Kestrel, silo, SQLite in a folder of its own, embedded AWS at 50 times life.</summary>
public sealed class LiveServer : IAsyncLifetime
{
    public const string Model = "chat";
    public const string Bulk = "bulk";
    public const string Invocations = $"/v1/models/{Model}/invocations";
    public static readonly byte[] Body = """{"inputs":"hi","input_tokens":100,"output_tokens":20}"""u8.ToArray();
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private ServerHost? _host;

    public string Folder { get; } = Directory.CreateTempSubdirectory("oi-live-").FullName;

    public long MaxBatchBytes { get; init; } = 1 << 30;

    public int MaxBatchRecords { get; init; } = 100_000;

    public HttpClient Http { get; } = new(new SocketsHttpHandler { UseProxy = false });

    public Uri Address => _host!.Address;

    public string AdminKey => _host!.AdminKey;

    public ServerSettings Settings => new() { DataFolder = Path.Combine(Folder, "data"), Catalog = Catalog(), Urls = ["http://127.0.0.1:0"], Speed = 50, MaxBatchBytes = MaxBatchBytes, MaxBatchRecords = MaxBatchRecords, LogLevel = LogLevel.Critical, WebhookAllow = ["http://127.0.0.1"] };

    public async ValueTask InitializeAsync()
    {
        await StartAsync();
        await EventuallyAsync(async () => (await PostAsync(Invocations, (await IssueAsync("acme")).ApiKey)).IsSuccessStatusCode, "the first answer");
    }

    public async Task StartAsync() => _host = await ServerHost.StartAsync(Settings);

    public async Task StopAsync()
    {
        await _host!.DisposeAsync();
        _host = null;
    }

    public async ValueTask DisposeAsync()
    {
        if (_host is not null)
        {
            await StopAsync();
        }

        Http.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    public async Task<IssuedKey> IssueAsync(string tenant)
    {
        using var response = await SendAsync(HttpMethod.Post, $"/v1/admin/tenants/{tenant}/keys", AdminKey);
        return (await response.Content.ReadFromJsonAsync<IssuedKey>(FrontDoorJson.Options))!;
    }

    public Task<HttpResponseMessage> PostAsync(string path, string key, params (string Name, string Value)[] headers) =>
        SendAsync(HttpMethod.Post, path, key, new ByteArrayContent(Body) { Headers = { ContentType = new("application/json") } }, headers);

    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, string key, HttpContent? content = null, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, new Uri(Address, path)) { Content = content };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return await Http.SendAsync(request);
    }

    public Task<HttpResponseMessage> PostSignedAsync(string path, IssuedKey key, string? secret = null) =>
        PostSignedAsync(path, key, new ByteArrayContent(Body) { Headers = { ContentType = new("application/json") } }, PayloadHash.Of(Body), secret);

    public async Task<HttpResponseMessage> PostSignedAsync(string path, IssuedKey key, HttpContent content, string payloadHash, string? secret = null, bool declares = true)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(Address, path)) { Content = content };
        var (signer, credentials, now) = (new SigV4Signer("us-east-1", "sagemaker"), new SigV4Credentials(key.AccessKeyId, secret ?? key.SecretAccessKey), DateTimeOffset.UtcNow);
        if (declares)
        {
            signer.Sign(request, payloadHash, credentials, now);
        }
        else
        {
            // As clients of SageMaker do: the hash is signed and not sent.
            var time = now.UtcDateTime.ToString("yyyyMMdd'T'HHmmss'Z'", System.Globalization.CultureInfo.InvariantCulture);
            request.Headers.Add("X-Amz-Date", time);
            request.Headers.TryAddWithoutValidation("Authorization", signer.Authorize(new("POST", path, "", [new("Host", Address.Authority), new("X-Amz-Date", time)]), payloadHash, credentials, now));
        }

        return await Http.SendAsync(request);
    }

    /// <summary>How often a text is in the list of the objects below a prefix.</summary>
    public async Task<int> CountObjectsAsync(string prefix, string text)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(_host!.LocalAws!, $"/{Settings.PayloadBucket}?list-type=2&prefix={Uri.EscapeDataString(prefix)}"));
        new SigV4Signer("us-east-1", "s3").Sign(request, PayloadHash.Of([]), new("OITESTS0000000000000", new('s', 40)), DateTimeOffset.UtcNow);
        using var response = await Http.SendAsync(request);
        return (await response.EnsureSuccessStatusCode().Content.ReadAsStringAsync()).Split(text).Length - 1;
    }

    /// <summary>Stores the model's body, or another, as an object of the embedded AWS.</summary>
    public async Task StoreAsync(string objectKey, byte[]? body = null)
    {
        body ??= Body;
        using var request = new HttpRequestMessage(HttpMethod.Put, new Uri(_host!.LocalAws!, $"/{Settings.PayloadBucket}/{objectKey}")) { Content = new ByteArrayContent(body) { Headers = { ContentType = new("application/json") } } };
        new SigV4Signer("us-east-1", "s3").Sign(request, PayloadHash.Of(body), new("OITESTS0000000000000", new('s', 40)), DateTimeOffset.UtcNow);
        using var response = await Http.SendAsync(request);
        response.EnsureSuccessStatusCode();
    }

    public async Task<JsonElement> GetAsync(string path, string key)
    {
        using var response = await SendAsync(HttpMethod.Get, path, key);
        var text = await response.Content.ReadAsStringAsync();
        return response.IsSuccessStatusCode ? JsonDocument.Parse(text).RootElement : throw new InvalidOperationException($"{path}: {(int)response.StatusCode} {text}");
    }

    public async Task<BudgetView> BudgetAsync(string tenant) => (await GetAsync($"/v1/tenants/{tenant}/budget", AdminKey)).Deserialize<BudgetView>(FrontDoorJson.Options)!;

    public static async Task EventuallyAsync(Func<Task<bool>> holds, string what)
    {
        var watch = Stopwatch.StartNew();
        while (!await holds())
        {
            Assert.True(watch.Elapsed < Patience, $"Not after {Patience.TotalSeconds} s: {what}");
            await Task.Delay(50);
        }
    }

    public static StringContent Json<T>(T value) => new(JsonSerializer.Serialize(value, CatalogFile.Json), Encoding.UTF8, "application/json");

    public static CatalogDefinition Catalog()
    {
        var simulation = new SimulatedModel { BaseSeconds = 0.05, StartSeconds = 2 };
        var prior = new LatencyPrior { ServiceP50Seconds = 0.3, ServiceP99Seconds = 2, ColdStartSeconds = 3 };
        var tariff = new Tariff { PerRequest = Money.FromDollars(0.0001m), PerThousandOutputTokens = Money.FromDollars(0.001m) };
        var endpoint = new EndpointDefinition
        {
            Name = new("chat-rt"),
            Lane = Lane.Realtime,
            InstanceType = "ml.g5.xlarge",
            ConcurrencyPerInstance = 8,
            MinInstances = 1,
            MaxInstances = 2,
            Streaming = true,
            Tariff = tariff,
            Prior = prior,
            Simulation = simulation,
        };
        return new()
        {
            InstancePrices = ImmutableDictionary.CreateRange([KeyValuePair.Create("ml.g5.xlarge", Money.FromDollars(1.408m))]),
            // At 50 times life: what is asked for in line has many seconds of the machine's time.
            Deadlines = new() { High = 1_200, Medium = 12_000 },
            SharedEndpoints = [endpoint with { Name = new("pool"), Tariff = null, MaxInstances = 1, LoadedModels = 1 }],
            Models =
            [
                new()
                {
                    Name = new(Model),
                    MaxOutputTokens = 256,
                    Variants =
                    [
                        new()
                        {
                            Name = new("full"),
                            Endpoints = [endpoint, endpoint with { Name = new("chat-async"), Lane = Lane.Async, Streaming = false, MaxServiceSeconds = 300 }],
                        },
                    ],
                },
                new()
                {
                    Name = new(Bulk),
                    MaxOutputTokens = 256,
                    Variants = [new() { Name = new("full"), Endpoints = [endpoint with { Name = new("bulk-batch"), Lane = Lane.Batch, Streaming = false, MinInstances = 0, MaxInstances = 1, MaxServiceSeconds = 300, WindowMaxSeconds = 600 }] }],
                },
                OnPool("pooled-a", prior),
                OnPool("pooled-b", prior),
                new() { Name = new("private"), Variants = [new() { Name = new("full"), Endpoints = [endpoint with { Name = new("private-rt") }] }] },
            ],
            Tenants =
            [
                new() { Id = new("acme"), Budgets = [Day(100m)] },
                new() { Id = new("other"), Budgets = [Day(100m)], Models = [new(Model)] },
                new() { Id = new("poor"), Budgets = [Day(0.00001m)] },
                new() { Id = new("careless"), Budgets = [Day(100m)] },
            ],
        };
    }

    private static ModelDefinition OnPool(string name, LatencyPrior prior) => new()
    {
        Name = new(name),
        Variants =
        [
            new()
            {
                Name = new("full"),
                Endpoints = [new() { Name = new($"{name}-on-pool"), Lane = Lane.Realtime, Shared = new("pool"), TargetModel = $"{name}.tar.gz", Prior = prior with { ModelLoadSeconds = 5 }, Simulation = new() { BaseSeconds = 0.05, LoadSeconds = 4 } }],
            },
        ],
    };

    private static BudgetWindowDefinition Day(decimal dollars) => new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = Money.FromDollars(dollars) };
}
