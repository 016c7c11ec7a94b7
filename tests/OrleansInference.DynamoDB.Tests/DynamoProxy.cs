using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace OrleansInference.DynamoDB.Tests;

/// <summary>
/// Stands before dynalite, which has no transactions and no time to live. A transaction is done under one lock: the old items are saved, the conditional writes applied in order, and
/// on the first failure the old items restored, so that expressions, conditions and errors stay dynalite's own. Nothing else is served meanwhile.
/// </summary>
internal sealed class DynamoProxy : IAsyncDisposable
{
    private const string Prefix = "DynamoDB_20120810.";
    private readonly HttpClient _http;
    private readonly WebApplication _application;
    private readonly SemaphoreSlim _one = new(1);
    private readonly Dictionary<string, string[]> _keys = [];
    private readonly Dictionary<string, string> _timeToLive = [];
    private readonly Dictionary<string, (int Status, JsonObject Body)> _tokens = [];
    private readonly ConcurrentQueue<DynamoCall> _calls = new();

    private DynamoProxy(Uri behind, WebApplication application)
    {
        _http = new() { BaseAddress = behind };
        _application = application;
    }

    /// <summary>Its address.</summary>
    public string Address => _application.Urls.First();

    /// <summary>What is to go wrong with a call; null: nothing.</summary>
    public Func<DynamoCall, DynamoFault?>? Faults { get; set; }

    /// <summary>What a call waits for before it is done; null: nothing.</summary>
    public Func<DynamoCall, Task?>? Holds { get; set; }

    /// <summary>All calls since the last time.</summary>
    public IReadOnlyList<DynamoCall> TakeCalls()
    {
        List<DynamoCall> calls = [];
        while (_calls.TryDequeue(out var call))
        {
            calls.Add(call);
        }

        return calls;
    }

    public static async Task<DynamoProxy> StartAsync(Uri behind)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var application = builder.Build();
        var proxy = new DynamoProxy(behind, application);
        application.MapPost("/", proxy.ServeAsync);
        await application.StartAsync();
        return proxy;
    }

    public async ValueTask DisposeAsync()
    {
        await _application.DisposeAsync();
        _http.Dispose();
        _one.Dispose();
    }

    private async Task ServeAsync(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body, Encoding.UTF8);
        var body = JsonNode.Parse(await reader.ReadToEndAsync())!.AsObject();
        var call = new DynamoCall(context.Request.Headers["X-Amz-Target"].ToString()[Prefix.Length..], body);
        _calls.Enqueue(call);
        var fault = Faults?.Invoke(call);
        if (fault is { BeforeItIsDone: true })
        {
            await AnswerAsync(context, 400, Error(fault.Error, fault.Message));
            return;
        }

        if (Holds?.Invoke(call) is { } held)
        {
            await held.WaitAsync(context.RequestAborted);
        }

        await _one.WaitAsync();
        try
        {
            var (status, answer) = fault is { Answer: { } instead } ? (200, instead) : call.Operation switch
            {
                "TransactWriteItems" => await TransactAsync(context, body),
                "UpdateTimeToLive" => SetTimeToLive(body),
                "DescribeTimeToLive" => (200, Describe(body)),
                _ => await ForwardAsync(context, call.Operation, body),
            };
            await (fault is null or { Answer: not null } ? AnswerAsync(context, status, answer) : AnswerAsync(context, 500, Error(fault.Error, fault.Message)));
        }
        finally
        {
            _one.Release();
        }
    }

    private async Task<(int, JsonObject)> TransactAsync(HttpContext context, JsonObject body)
    {
        var token = body["ClientRequestToken"]?.GetValue<string>();
        if (token is not null && _tokens.TryGetValue(token, out var known))
        {
            return known;
        }

        List<(string Table, JsonObject Key, JsonObject? Item)> before = [];
        List<string> reasons = [];
        foreach (var write in body["TransactItems"]!.AsArray())
        {
            var (operation, arguments) = (write!.AsObject().Single().Key, write.AsObject().Single().Value!.AsObject());
            var table = arguments["TableName"]!.GetValue<string>();
            var names = await KeysAsync(context, table);
            var source = arguments["Key"]?.AsObject() ?? arguments["Item"]!.AsObject();
            var key = new JsonObject(names.Select(name => KeyValuePair.Create(name, source[name]?.DeepClone())));
            if (before.Exists(other => other.Table == table && JsonNode.DeepEquals(other.Key, key)))
            {
                return (400, Error("ValidationException", "Transaction request cannot include multiple operations on one item"));
            }

            var (_, found) = await ForwardAsync(context, "GetItem", new() { ["TableName"] = table, ["Key"] = key.DeepClone(), ["ConsistentRead"] = true });
            var (status, answer) = await ForwardAsync(context, $"{operation}Item", arguments.DeepClone().AsObject());
            if (status == 200)
            {
                before.Add((table, key, found["Item"]?.DeepClone().AsObject()));
                reasons.Add("None");
                continue;
            }

            for (var i = before.Count - 1; i >= 0; i--)
            {
                var (name, at, item) = before[i];
                _ = item is null
                    ? await ForwardAsync(context, "DeleteItem", new() { ["TableName"] = name, ["Key"] = at })
                    : await ForwardAsync(context, "PutItem", new() { ["TableName"] = name, ["Item"] = item });
            }

            var type = answer["__type"]!.GetValue<string>();
            if (!type.EndsWith("#ConditionalCheckFailedException", StringComparison.Ordinal))
            {
                return (status, answer);
            }

            reasons.Add("ConditionalCheckFailed");
            return (400, new()
            {
                ["__type"] = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                ["Message"] = $"Transaction cancelled, please refer cancellation reasons for specific reasons [{string.Join(", ", reasons)}]",
                ["CancellationReasons"] = new JsonArray([.. reasons.Select(reason => new JsonObject { ["Code"] = reason })]),
            });
        }

        var done = (200, new JsonObject());
        if (token is not null)
        {
            _tokens[token] = done;
        }

        return done;
    }

    private (int, JsonObject) SetTimeToLive(JsonObject body)
    {
        var (table, specification) = (body["TableName"]!.GetValue<string>(), body["TimeToLiveSpecification"]!.AsObject());
        if (!_timeToLive.TryAdd(table, specification["AttributeName"]!.GetValue<string>()))
        {
            return (400, Error("ValidationException", "TimeToLive is already enabled"));
        }

        return (200, new() { ["TimeToLiveSpecification"] = specification.DeepClone() });
    }

    private JsonObject Describe(JsonObject body) => new()
    {
        ["TimeToLiveDescription"] = _timeToLive.TryGetValue(body["TableName"]!.GetValue<string>(), out var attribute)
            ? new JsonObject { ["TimeToLiveStatus"] = "ENABLED", ["AttributeName"] = attribute }
            : new JsonObject { ["TimeToLiveStatus"] = "DISABLED" },
    };

    private async Task<string[]> KeysAsync(HttpContext context, string table)
    {
        if (!_keys.TryGetValue(table, out var names))
        {
            var (_, description) = await ForwardAsync(context, "DescribeTable", new() { ["TableName"] = table });
            names = [.. description["Table"]!["KeySchema"]!.AsArray().Select(static key => key!["AttributeName"]!.GetValue<string>())];
            _keys[table] = names;
        }

        return names;
    }

    private async Task<(int, JsonObject)> ForwardAsync(HttpContext context, string operation, JsonObject body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/") { Content = new StringContent(body.ToJsonString(), Encoding.UTF8) };
        request.Content.Headers.ContentType = new("application/x-amz-json-1.0");
        request.Headers.TryAddWithoutValidation("X-Amz-Target", Prefix + operation);
        foreach (var header in (string[])["Authorization", "X-Amz-Date", "X-Amz-Security-Token"])
        {
            request.Headers.TryAddWithoutValidation(header, context.Request.Headers[header].ToString());
        }

        using var response = await _http.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        return ((int)response.StatusCode, text.Length == 0 ? [] : JsonNode.Parse(text)!.AsObject());
    }

    private static JsonObject Error(string type, string message) => new() { ["__type"] = $"com.amazonaws.dynamodb.v20120810#{type}", ["message"] = message };

    private static async Task AnswerAsync(HttpContext context, int status, JsonObject body)
    {
        var bytes = JsonSerializer.SerializeToUtf8Bytes(body);
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/x-amz-json-1.0";
        context.Response.ContentLength = bytes.Length;
        await context.Response.Body.WriteAsync(bytes);
    }
}

/// <summary>A call of DynamoDB.</summary>
internal sealed record DynamoCall(string Operation, JsonObject Body);

/// <summary>An error that is answered: instead of doing the call, or after it was done.</summary>
internal sealed record DynamoFault(string Error, string Message, bool BeforeItIsDone = true)
{
    /// <summary>What is answered as done, without doing it; null: the error.</summary>
    public JsonObject? Answer { get; init; }

    /// <summary>Nothing is done, and that is answered.</summary>
    public static DynamoFault Of(JsonObject answer) => new("", "", BeforeItIsDone: false) { Answer = answer };
}
