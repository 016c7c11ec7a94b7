using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using OrleansInference.LocalAws.Tables;

namespace OrleansInference.DynamoDB.Tests;

/// <summary>Stands before dynalite with what it lacks, notes what is called, and lets go wrong what a test wants to.</summary>
internal sealed class DynamoProxy : IAsyncDisposable
{
    private readonly DynaliteTables _tables;
    private readonly WebApplication _application;
    private readonly ConcurrentQueue<DynamoCall> _calls = new();

    private DynamoProxy(Uri behind, WebApplication application)
    {
        Behind = behind;
        _tables = new(behind);
        _application = application;
    }

    /// <summary>Address of the dynalite itself.</summary>
    public Uri Behind { get; }

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
        _tables.Dispose();
    }

    private async Task ServeAsync(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body, Encoding.UTF8);
        var body = JsonNode.Parse(await reader.ReadToEndAsync())!.AsObject();
        var call = new DynamoCall(context.Request.Headers["X-Amz-Target"].ToString()[(DynaliteTables.Service.Length + 1)..], body);
        _calls.Enqueue(call);
        var fault = Faults?.Invoke(call);
        if (fault is { BeforeItIsDone: true })
        {
            await AnswerAsync(context, 400, DynaliteTables.Error(fault.Error, fault.Message));
            return;
        }

        if (Holds?.Invoke(call) is { } held)
        {
            await held.WaitAsync(context.RequestAborted);
        }

        var (status, answer) = fault is { Answer: { } instead } ? (200, instead) : await _tables.CallAsync(call.Operation, body, context.Request.Headers, CancellationToken.None);
        await (fault is null or { Answer: not null } ? AnswerAsync(context, status, answer) : AnswerAsync(context, 500, DynaliteTables.Error(fault.Error, fault.Message)));
    }

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
