using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.SQS;
using OrleansInference.Aws.Signing;
using OrleansInference.LocalAws;

namespace OrleansInference.Tests;

/// <summary>A server of the test's own with clients that sign.</summary>
internal sealed class LocalAwsFixture : IAsyncDisposable
{
    public static readonly SigV4Credentials Credentials = new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(60) };

    private LocalAwsFixture(LocalAwsServer server)
    {
        Server = server;
        var key = new BasicAWSCredentials(Credentials.AccessKeyId, Credentials.SecretKey);
        S3 = new AmazonS3Client(key, new AmazonS3Config { ServiceURL = server.Address.ToString(), ForcePathStyle = true, AuthenticationRegion = "us-east-1", MaxErrorRetry = 0 });
        Sqs = new AmazonSQSClient(key, new AmazonSQSConfig { ServiceURL = server.Address.ToString(), AuthenticationRegion = "us-east-1", MaxErrorRetry = 0 });
    }

    public LocalAwsServer Server { get; }

    public AmazonS3Client S3 { get; }

    public AmazonSQSClient Sqs { get; }

    public static async Task<LocalAwsFixture> StartAsync(LocalAwsOptions options, params EndpointDefinition[] endpoints)
    {
        var fixture = new LocalAwsFixture(await LocalAwsServer.StartAsync(options));
        if (endpoints.Length > 0)
        {
            await fixture.Server.ApplyCatalogAsync(Catalog(endpoints));
        }

        return fixture;
    }

    public static CatalogDefinition Catalog(params EndpointDefinition[] endpoints) => new()
    {
        InstancePrices = ImmutableDictionary<string, Money>.Empty.Add("ml.g5.xlarge", Money.FromNanos(1_408_000_000)),
        Models = [new() { Name = new("chat"), Variants = [new() { Name = new("full"), Endpoints = [.. endpoints] }] }],
    };

    /// <summary>An endpoint without jitter: 10 ms a request, 100 tokens a second.</summary>
    public static EndpointDefinition Endpoint(string name, Lane lane, int concurrency = 1, int min = 1, int max = 4, SimulatedModel? simulation = null) => new()
    {
        Name = new(name),
        Lane = lane,
        InstanceType = lane == Lane.Serverless ? "" : "ml.g5.xlarge",
        MemoryMb = lane == Lane.Serverless ? 2048 : 0,
        ConcurrencyPerInstance = concurrency,
        MinInstances = lane is Lane.Serverless or Lane.Batch ? 0 : min,
        MaxInstances = max,
        Streaming = lane == Lane.Realtime,
        Simulation = simulation ?? new() { BaseSeconds = 0.01, Jitter = 0 },
    };

    public static string Body(int output = 3) => $$"""{"inputs":"hello there","output_tokens":{{output.ToString(CultureInfo.InvariantCulture)}}}""";

    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, string body = "", string service = "sagemaker", SigV4Credentials? credentials = null, CancellationToken cancellationToken = default, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, new Uri(Server.Address, path)) { Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body)) };
        foreach (var (name, value) in headers)
        {
            if (!request.Headers.TryAddWithoutValidation(name, value))
            {
                request.Content.Headers.TryAddWithoutValidation(name, value);
            }
        }

        new SigV4Signer("us-east-1", service).Sign(request, PayloadHash.Of(Encoding.UTF8.GetBytes(body)), credentials ?? Credentials, DateTimeOffset.UtcNow);
        return await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
    }

    public Task<HttpResponseMessage> InvokeAsync(string endpoint, string body, CancellationToken cancellationToken = default, params (string Name, string Value)[] headers) =>
        SendAsync(HttpMethod.Post, $"/endpoints/{endpoint}/invocations", body, cancellationToken: cancellationToken, headers: [("Content-Type", "application/json"), .. headers]);

    public async Task<(int Status, System.Text.Json.JsonElement Answer)> ControlAsync(string operation, string body)
    {
        using var response = await SendAsync(HttpMethod.Post, "/", body, headers: [("X-Amz-Target", "SageMaker." + operation), ("Content-Type", "application/x-amz-json-1.1")]);
        using var document = System.Text.Json.JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        return ((int)response.StatusCode, document.RootElement.Clone());
    }

    public async ValueTask DisposeAsync()
    {
        S3.Dispose();
        Sqs.Dispose();
        _http.Dispose();
        await Server.DisposeAsync();
    }
}
