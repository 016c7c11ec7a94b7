using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace OrleansInference.LocalAws.Tables;

/// <summary>
/// The tables of a dynalite, a DynamoDB without transactions and time to live, with what it lacks. A transaction is done under one lock: the old items are saved, the conditional writes
/// applied in order, and on the first failure the old items restored, so that expressions, conditions and errors stay dynalite's own. Nothing else is served meanwhile. Nothing expires.
/// </summary>
/// <param name="behind">Address of the dynalite. All who use its tables must come through here.</param>
internal sealed class DynaliteTables(Uri behind) : IDisposable
{
    /// <summary>What the target of an operation begins with, without its point.</summary>
    public const string Service = "DynamoDB_20120810";

    // DynamoDB knows a transaction again for ten minutes.
    private const int MostTokens = 10_000;
    private static readonly string[] Signature = ["Authorization", "X-Amz-Date", "X-Amz-Security-Token"];
    private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = behind };
    private readonly SemaphoreSlim _one = new(1);
    private readonly Dictionary<string, string[]> _keys = [];
    private readonly Dictionary<string, string> _timeToLive = [];
    private readonly HashSet<string> _done = [];
    private readonly Queue<string> _doneInOrder = [];

    /// <summary>Does an operation.</summary>
    /// <param name="operation">Its name, such as <c>PutItem</c>.</param>
    /// <param name="body">What it is given.</param>
    /// <param name="headers">The request's headers; dynalite wants a signature, and checks none.</param>
    /// <param name="cancellationToken">Gives up as long as it has not begun.</param>
    /// <returns>The answer with its HTTP status.</returns>
    /// <exception cref="HttpRequestException">The dynalite cannot be reached.</exception>
    public async Task<(int Status, JsonObject Answer)> CallAsync(string operation, JsonObject body, IHeaderDictionary headers, CancellationToken cancellationToken)
    {
        await _one.WaitAsync(cancellationToken);
        try
        {
            return operation switch
            {
                "TransactWriteItems" => await TransactAsync(body, headers),
                "UpdateTimeToLive" => SetTimeToLive(body),
                "DescribeTimeToLive" => (StatusCodes.Status200OK, Describe(body)),
                "DeleteTable" => await DeleteTableAsync(body, headers),
                _ => await ForwardAsync(operation, body, headers),
            };
        }
        finally
        {
            _one.Release();
        }
    }

    public void Dispose()
    {
        _http.Dispose();
        _one.Dispose();
    }

    /// <summary>An error as DynamoDB answers it.</summary>
    public static JsonObject Error(string type, string message) => new() { ["__type"] = $"com.amazonaws.dynamodb.v20120810#{type}", ["message"] = message };

    private static (int, JsonObject) Invalid(string message) => (StatusCodes.Status400BadRequest, Error("ValidationException", message));

    private static string? Text(JsonObject body, string name) => body[name] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    private async Task<(int, JsonObject)> TransactAsync(JsonObject body, IHeaderDictionary headers)
    {
        var token = Text(body, "ClientRequestToken");
        if (token is not null && _done.Contains(token))
        {
            return (StatusCodes.Status200OK, []);
        }

        List<(string Table, JsonObject Key, JsonObject? Item)> before = [];
        List<string> reasons = [];
        foreach (var write in body["TransactItems"] as JsonArray ?? [])
        {
            if (write is not JsonObject { Count: 1 } single || single.First() is not { Key: "Put" or "Update" or "Delete", Value: JsonObject arguments } || Text(arguments, "TableName") is not { } table
                || (arguments["Key"] ?? arguments["Item"]) is not JsonObject source)
            {
                await RestoreAsync(before, headers);
                return Invalid("A transaction has items that are one of Put, Update and Delete, of a table's name and a key or an item; others are not served here.");
            }

            if (await KeysAsync(table, headers) is not { } names)
            {
                await RestoreAsync(before, headers);
                return (StatusCodes.Status400BadRequest, Error("ResourceNotFoundException", "Requested resource not found"));
            }

            var key = new JsonObject(names.Select(name => KeyValuePair.Create(name, source[name]?.DeepClone())));
            if (before.Exists(other => other.Table == table && JsonNode.DeepEquals(other.Key, key)))
            {
                await RestoreAsync(before, headers);
                return Invalid("Transaction request cannot include multiple operations on one item");
            }

            var (_, found) = await ForwardAsync("GetItem", new() { ["TableName"] = table, ["Key"] = key.DeepClone(), ["ConsistentRead"] = true }, headers);
            var (status, answer) = await ForwardAsync($"{single.First().Key}Item", arguments.DeepClone().AsObject(), headers);
            if (status == StatusCodes.Status200OK)
            {
                before.Add((table, key, found["Item"]?.DeepClone().AsObject()));
                reasons.Add("None");
                continue;
            }

            await RestoreAsync(before, headers);
            if (Text(answer, "__type")?.EndsWith("#ConditionalCheckFailedException", StringComparison.Ordinal) != true)
            {
                return (status, answer);
            }

            reasons.Add("ConditionalCheckFailed");
            return (StatusCodes.Status400BadRequest, new()
            {
                ["__type"] = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                ["Message"] = $"Transaction cancelled, please refer cancellation reasons for specific reasons [{string.Join(", ", reasons)}]",
                ["CancellationReasons"] = new JsonArray([.. reasons.Select(reason => new JsonObject { ["Code"] = reason })]),
            });
        }

        Remember(token);
        return (StatusCodes.Status200OK, []);
    }

    private async Task RestoreAsync(List<(string Table, JsonObject Key, JsonObject? Item)> before, IHeaderDictionary headers)
    {
        for (var i = before.Count - 1; i >= 0; i--)
        {
            var (table, key, item) = before[i];
            _ = item is null
                ? await ForwardAsync("DeleteItem", new() { ["TableName"] = table, ["Key"] = key }, headers)
                : await ForwardAsync("PutItem", new() { ["TableName"] = table, ["Item"] = item }, headers);
        }
    }

    private void Remember(string? token)
    {
        if (token is not null && _done.Add(token))
        {
            _doneInOrder.Enqueue(token);
            if (_doneInOrder.Count > MostTokens)
            {
                _done.Remove(_doneInOrder.Dequeue());
            }
        }
    }

    private (int, JsonObject) SetTimeToLive(JsonObject body)
    {
        if (Text(body, "TableName") is not { } table || body["TimeToLiveSpecification"] is not JsonObject specification || Text(specification, "AttributeName") is not { } attribute)
        {
            return Invalid("A time to live has a table's name and an attribute's.");
        }

        return _timeToLive.TryAdd(table, attribute)
            ? (StatusCodes.Status200OK, new() { ["TimeToLiveSpecification"] = specification.DeepClone() })
            : Invalid("TimeToLive is already enabled");
    }

    private JsonObject Describe(JsonObject body) => new()
    {
        ["TimeToLiveDescription"] = _timeToLive.TryGetValue(Text(body, "TableName") ?? "", out var attribute)
            ? new JsonObject { ["TimeToLiveStatus"] = "ENABLED", ["AttributeName"] = attribute }
            : new JsonObject { ["TimeToLiveStatus"] = "DISABLED" },
    };

    private async Task<(int, JsonObject)> DeleteTableAsync(JsonObject body, IHeaderDictionary headers)
    {
        var table = Text(body, "TableName") ?? "";
        _keys.Remove(table);
        _timeToLive.Remove(table);
        return await ForwardAsync("DeleteTable", body, headers);
    }

    private async Task<string[]?> KeysAsync(string table, IHeaderDictionary headers)
    {
        if (!_keys.TryGetValue(table, out var names))
        {
            var (_, description) = await ForwardAsync("DescribeTable", new() { ["TableName"] = table }, headers);
            if (description["Table"]?["KeySchema"] is not JsonArray schema)
            {
                return null;
            }

            names = [.. schema.Select(static key => key!["AttributeName"]!.GetValue<string>())];
            _keys[table] = names;
        }

        return names;
    }

    private async Task<(int, JsonObject)> ForwardAsync(string operation, JsonObject body, IHeaderDictionary headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/") { Content = new StringContent(body.ToJsonString(), Encoding.UTF8) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/x-amz-json-1.0");
        request.Headers.TryAddWithoutValidation("X-Amz-Target", $"{Service}.{operation}");
        foreach (var header in Signature)
        {
            request.Headers.TryAddWithoutValidation(header, headers[header].ToString());
        }

        // A transaction that has begun is done or undone, whoever still waits for it.
        using var response = await _http.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        return ((int)response.StatusCode, text.Length == 0 ? [] : JsonNode.Parse(text)!.AsObject());
    }
}
