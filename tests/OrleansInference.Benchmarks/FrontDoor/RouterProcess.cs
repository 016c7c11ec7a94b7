using System.Collections.Immutable;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using OrleansInference.Aws.Signing;
using OrleansInference.Configuration;

namespace OrleansInference.Benchmarks.FrontDoor;

/// <summary>The router's own server, as an operator starts it, with a tenant, a budget and a key, in front of the backend.</summary>
internal sealed class RouterProcess : IDisposable
{
    private const string AdminKey = "benchmark-admin-key-0123456789";
    private const string Model = "chat";
    private static readonly TenantId Tenant = new("acme");

    private readonly string _folder = Directory.CreateTempSubdirectory("oi-bench-").FullName;
    private PeerProcess? _process;
    private IssuedKey? _key;

    public Uri Address { get; } = PeerProcess.FreeAddress();

    public async Task StartAsync(Uri backend)
    {
        var catalog = Path.Combine(_folder, "catalog.json");
        await File.WriteAllTextAsync(catalog, JsonSerializer.Serialize(Catalog(), CatalogFile.Json));
        var settings = Path.Combine(_folder, "settings.json");
        await File.WriteAllTextAsync(settings, JsonSerializer.Serialize(new
        {
            OrleansInference = new
            {
                Urls = Address.OriginalString,
                DataFolder = Path.Combine(_folder, "data"),
                Catalog = catalog,
                AdminKey,
                LogLevel = "Critical",
                Aws = new { Mode = "Amazon", Region = "us-east-1", Endpoint = backend.OriginalString, AccessKeyId = "benchmark", SecretAccessKey = "benchmark" },
            },
        }));
        _process = await PeerProcess.StartAsync("dotnet", [Path.Combine(AppContext.BaseDirectory, "OrleansInference.Server.dll"), "--config", settings], Address, _folder);
        using var http = new HttpClient { BaseAddress = Address };
        await _process.UntilAsync(async () => (await http.GetAsync("/readyz")).IsSuccessStatusCode);
        using var message = new HttpRequestMessage(HttpMethod.Post, $"/v1/admin/tenants/{Tenant}/keys");
        message.Headers.Authorization = new("Bearer", AdminKey);
        using var response = await http.SendAsync(message);
        response.EnsureSuccessStatusCode();
        _key = await response.Content.ReadFromJsonAsync<IssuedKey>();
        await _process.UntilAsync(async () =>
        {
            using var first = new HttpRequestMessage(HttpMethod.Post, $"/v1/models/{Model}/invocations") { Content = new ByteArrayContent(FrontDoorBenchmark.Body) };
            first.Headers.Authorization = new("Bearer", _key!.ApiKey);
            return (await http.SendAsync(first)).IsSuccessStatusCode;
        });
    }

    /// <summary>A request of <c>/v1</c> with an API key.</summary>
    public byte[] KeyedRequest() => FrontDoorBenchmark.Request(Address, $"/v1/models/{Model}/invocations", [("Authorization", $"Bearer {_key!.ApiKey}")]);

    /// <summary>A request as the AWS clients send it, signed.</summary>
    public byte[] SignedRequest()
    {
        var path = $"/endpoints/{Model}/invocations";
        using var message = new HttpRequestMessage(HttpMethod.Post, new Uri(Address, path)) { Content = new ByteArrayContent(FrontDoorBenchmark.Body) };
        message.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        new SigV4Signer("us-east-1", "sagemaker").Sign(message, PayloadHash.Of(FrontDoorBenchmark.Body), new(_key!.AccessKeyId, _key.SecretAccessKey), DateTimeOffset.UtcNow);
        return FrontDoorBenchmark.Request(Address, path, [.. message.Headers.NonValidated
            .Where(static header => !header.Key.Equals("Host", StringComparison.OrdinalIgnoreCase))
            .Select(static header => (header.Key, header.Value.ToString()))]);
    }

    public void Dispose()
    {
        _process?.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static CatalogDefinition Catalog() => new()
    {
        InstancePrices = ImmutableDictionary<string, Money>.Empty.Add("ml.g5.xlarge", Money.FromDollars(1.408m)),
        Models =
        [
            new()
            {
                Name = new(Model),
                MaxOutputTokens = 64,
                Variants =
                [
                    new()
                    {
                        Name = new("full"),
                        Endpoints =
                        [
                            new()
                            {
                                Name = new("chat-rt"), Lane = Lane.Realtime, InstanceType = "ml.g5.xlarge", ConcurrencyPerInstance = 16, MinInstances = 4, MaxInstances = 4,
                                Prior = new() { ServiceP50Seconds = 0.001, ServiceP99Seconds = 0.02, ColdStartSeconds = 60 },
                                Tariff = new() { PerThousandInputTokens = Money.FromDollars(0.000_2m), PerThousandOutputTokens = Money.FromDollars(0.000_6m) },
                            },
                        ],
                    },
                ],
            },
        ],
        Tenants = [new() { Id = Tenant, Budgets = [new() { Kind = BudgetWindowKind.CalendarMonth, Limit = Money.FromDollars(1_000_000m) }] }],
    };
}
