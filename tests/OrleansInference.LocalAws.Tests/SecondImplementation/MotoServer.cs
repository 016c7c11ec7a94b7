using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using OrleansInference.Aws.Signing;

namespace OrleansInference.Tests.SecondImplementation;

/// <summary>
/// moto on a loopback port: its recorded answers, each given to the request that it was recorded for and to no other. To record them anew, from this project's folder:
/// <code>
/// moto_server -p 5999 &amp;
/// OI_RECORD_MOTO=http://127.0.0.1:5999 dotnet test -c Release --filter-class OrleansInference.Tests.SecondImplementation.AgreementTests
/// cp bin/Release/net10.0/SecondImplementation/moto-recording.json SecondImplementation/
/// </code>
/// A moto that has been recorded before is not empty any more: start it again first.
/// </summary>
internal sealed class MotoServer : IAsyncDisposable
{
    private const string Here = "{here}";
    private static readonly string File = Path.Combine(AppContext.BaseDirectory, "SecondImplementation", "moto-recording.json");
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    /// <summary>Of the hop or the moment, and so not of the recording.</summary>
    private static readonly HashSet<string> NotKept = new(StringComparer.OrdinalIgnoreCase) { "Date", "Connection", "Content-Length", "Transfer-Encoding", "Server", "Keep-Alive" };

    private readonly WebApplication _application;
    private readonly HttpClient? _behind;
    private readonly List<Exchange> _exchanges;
    private readonly List<string> _problems = [];
    private readonly SemaphoreSlim _one = new(1);
    private int _next;

    private MotoServer(WebApplication application, Uri? behind)
    {
        _application = application;
        _behind = behind is null ? null : new() { BaseAddress = behind };
        _exchanges = behind is null ? JsonSerializer.Deserialize<List<Exchange>>(System.IO.File.ReadAllText(File), Json)! : [];
    }

    public Uri Address => new(_application.Urls.Single());

    /// <summary>What was asked otherwise than when it was recorded, and what was not asked at all.</summary>
    public IReadOnlyList<string> Problems => [.. _problems, .. _behind is null ? _exchanges.Skip(_next).Select(static exchange => $"Not asked: {exchange.Request}") : []];

    public static async Task<MotoServer> StartAsync()
    {
        var behind = Environment.GetEnvironmentVariable("OI_RECORD_MOTO") is { Length: > 0 } address ? new Uri(address) : null;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.WebHost.ConfigureKestrel(static kestrel => kestrel.AddServerHeader = false);
        var server = new MotoServer(builder.Build(), behind);
        server._application.Run(server.ServeAsync);
        if (behind is not null)
        {
            await server.PrepareAsync();
        }

        await server._application.StartAsync();
        return server;
    }

    public async ValueTask DisposeAsync()
    {
        await _application.StopAsync(new CancellationToken(canceled: true));
        await _application.DisposeAsync();
        _one.Dispose();
        if (_behind is not null)
        {
            _behind.Dispose();
            await System.IO.File.WriteAllTextAsync(File, JsonSerializer.Serialize(_exchanges, Json) + "\n");
        }
    }

    private async Task ServeAsync(HttpContext context)
    {
        await _one.WaitAsync();
        try
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            var request = Kept(context, body.ToArray());
            Answer answer;
            if (_behind is not null)
            {
                answer = await ForwardAsync(context, body.ToArray());
                _exchanges.Add(new(request, answer));
            }
            else if (_next < _exchanges.Count && _exchanges[_next].Request.IsSame(request))
            {
                answer = _exchanges[_next++].Answer;
            }
            else
            {
                _problems.Add($"Asked: {request}\nRecorded: {(_next < _exchanges.Count ? _exchanges[_next].Request : "nothing more")}");
                _next = Math.Min(_next + 1, _exchanges.Count);
                answer = new(400, new Dictionary<string, string>(), "", null);
            }

            await AnswerAsync(context, answer);
        }
        finally
        {
            _one.Release();
        }
    }

    private Request Kept(HttpContext context, byte[] body) => new(
        context.Request.Method,
        context.Features.Get<IHttpRequestFeature>()!.RawTarget,
        context.Request.Headers
            .Where(static header => header.Key.Equals("Content-Type", StringComparison.OrdinalIgnoreCase) || header.Key.Equals("X-Amz-Target", StringComparison.OrdinalIgnoreCase)
                || header.Key.StartsWith("X-Amzn-SageMaker-", StringComparison.OrdinalIgnoreCase))
            .OrderBy(static header => header.Key, StringComparer.OrdinalIgnoreCase)
            .ToDictionary(static header => header.Key, static header => header.Value.ToString()),
        Encoding.UTF8.GetString(body).Replace(Address.Authority, Here, StringComparison.Ordinal));

    private async Task<Answer> ForwardAsync(HttpContext context, byte[] body)
    {
        using var request = new HttpRequestMessage(new(context.Request.Method), context.Features.Get<IHttpRequestFeature>()!.RawTarget) { Content = new ByteArrayContent(body) };
        foreach (var (name, value) in context.Request.Headers)
        {
            if (!request.Headers.TryAddWithoutValidation(name, (string?)value))
            {
                request.Content.Headers.TryAddWithoutValidation(name, (string?)value);
            }
        }

        using var response = await _behind!.SendAsync(request);
        var bytes = await response.Content.ReadAsByteArrayAsync();
        var text = Encoding.UTF8.GetString(bytes);
        var isText = Encoding.UTF8.GetBytes(text).AsSpan().SequenceEqual(bytes);
        return new(
            (int)response.StatusCode,
            response.Headers.Concat(response.Content.Headers).Where(static header => !NotKept.Contains(header.Key)).ToDictionary(static header => header.Key, static header => string.Join(", ", header.Value)),
            isText ? text.Replace(Address.Authority, Here, StringComparison.Ordinal) : "",
            isText ? null : bytes);
    }

    private async Task AnswerAsync(HttpContext context, Answer answer)
    {
        context.Response.StatusCode = answer.Status;
        foreach (var (name, value) in answer.Headers)
        {
            context.Response.Headers[name] = value;
        }

        if (context.Request.Method != "HEAD" && answer.Status != 204)
        {
            var bytes = answer.Bytes ?? Encoding.UTF8.GetBytes(answer.Text.Replace(Here, Address.Authority, StringComparison.Ordinal));
            context.Response.ContentLength = bytes.Length;
            await context.Response.Body.WriteAsync(bytes);
        }
    }

    /// <summary>What the router finds and does not create: the endpoints, and what a model answers.</summary>
    private async Task PrepareAsync()
    {
        await CreateAsync("CreateModel", new { ModelName = "chat", ExecutionRoleArn = "arn:aws:iam::123456789012:role/sagemaker", PrimaryContainer = new { Image = "image" } });
        foreach (var (name, lane) in AwsScenario.Endpoints)
        {
            object variant = lane == Lane.Serverless
                ? new { VariantName = AwsScenario.Variant, ModelName = "chat", ServerlessConfig = new { MemorySizeInMB = 2048, MaxConcurrency = 4 } }
                : new { VariantName = AwsScenario.Variant, ModelName = "chat", InitialInstanceCount = 1, InstanceType = "ml.m5.large" };
            await CreateAsync("CreateEndpointConfig", new { EndpointConfigName = name, ProductionVariants = new[] { variant } });
            await CreateAsync("CreateEndpoint", new { EndpointName = name, EndpointConfigName = name });
        }

        using var results = new StringContent(
            """{"region":"us-east-1","results":[{"Body":"{\"generated_text\":\"ok\"}","ContentType":"application/json","InvokedProductionVariant":"full","CustomAttributes":"output-tokens=3"}]}""",
            Encoding.UTF8, "application/json");
        using var answer = await _behind!.PostAsync(new Uri("/moto-api/static/sagemaker/endpoint-results", UriKind.Relative), results);
        answer.EnsureSuccessStatusCode();
    }

    private async Task CreateAsync(string operation, object input)
    {
        var body = JsonSerializer.SerializeToUtf8Bytes(input);
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_behind!.BaseAddress!, "/")) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new("application/x-amz-json-1.1");
        request.Headers.TryAddWithoutValidation("X-Amz-Target", "SageMaker." + operation);
        new SigV4Signer("us-east-1", "sagemaker").Sign(request, PayloadHash.Of(body), new(AwsScenario.AccessKeyId, AwsScenario.Secret), DateTimeOffset.UtcNow);
        using var response = await _behind.SendAsync(request);
        Assert.True(response.IsSuccessStatusCode, $"{operation}: {await response.Content.ReadAsStringAsync()}");
    }

    private sealed record Request(string Method, string Target, IReadOnlyDictionary<string, string> Headers, string Body)
    {
        public bool IsSame(Request other) => (Method, Target, Body) == (other.Method, other.Target, other.Body)
            && Headers.Count == other.Headers.Count && Headers.All(header => other.Headers.TryGetValue(header.Key, out var value) && value == header.Value);

        public override string ToString() => $"{Method} {Target} {string.Join(", ", Headers)} {Body}";
    }

    private sealed record Answer(int Status, IReadOnlyDictionary<string, string> Headers, string Text, byte[]? Bytes);

    private sealed record Exchange(Request Request, Answer Answer);
}
