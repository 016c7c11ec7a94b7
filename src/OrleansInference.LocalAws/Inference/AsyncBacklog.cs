using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using OrleansInference.Hosting;
using OrleansInference.LocalAws.Models;
using OrleansInference.LocalAws.Objects;
using OrleansInference.LocalAws.Queues;
using OrleansInference.LocalAws.Storage;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Inference;

/// <summary>
/// Calls of InvokeEndpointAsync, kept until their output or failure is written: over a restart, too, after which a call that was
/// being served is served again. Output, notification and the end of the call become durable together.
/// </summary>
internal sealed class AsyncBacklog(
    LocalDatabase database, SimulatedModels models, InvocationRunner runner, ObjectStore objects, QueueStore queues, LocalAwsOptions options, RouterClock clock, CancellationToken stopping)
{
    private const long MaxInput = 1L << 30;
    private readonly ConcurrentDictionary<long, Task> _running = new();

    /// <summary>Takes a call, durably.</summary>
    public void Add(AsyncCall call)
    {
        var received = clock.Now;
        var id = database.Scalar<long>("INSERT INTO async_call (endpoint, received, request) VALUES (?1, ?2, ?3) RETURNING id", call.Endpoint, received, JsonSerializer.Serialize(call));
        Start(id, received, call);
    }

    /// <summary>Takes up the calls that no one works on and whose endpoint exists.</summary>
    public void Resume()
    {
        foreach (var (id, received, request) in database.Query("SELECT id, received, request FROM async_call ORDER BY id", row => (row.GetInt64(0), row.GetInt64(1), row.GetString(2))))
        {
            if (JsonSerializer.Deserialize<AsyncCall>(request) is { } call && models.FindEndpoint(call.Endpoint) is not null)
            {
                Start(id, received, call);
            }
        }
    }

    /// <summary>Waits until everything under way has noticed that the server stops.</summary>
    public Task StopAsync() => Task.WhenAll(_running.Values);

    private void Start(long id, long received, AsyncCall call)
    {
        var begin = new TaskCompletionSource();
        if (_running.TryAdd(id, ProcessAsync(id, received, call, begin.Task)))
        {
            begin.SetResult();
        }
        else
        {
            begin.SetCanceled();
        }
    }

    private async Task ProcessAsync(long id, long received, AsyncCall call, Task begin)
    {
        try
        {
            await begin;

            // Listed for resumption just before it was finished: it must not run again.
            if (database.Scalar<long>("SELECT COUNT(*) FROM async_call WHERE id = ?1", id) == 0 || models.FindEndpoint(call.Endpoint) is not { } endpoint)
            {
                return;
            }

            var waitLimit = TimeSpan.FromMilliseconds(Math.Clamp(received + (call.TtlSeconds * 1000L) - clock.Now, 0, call.TtlSeconds * 1000L));
            try
            {
                var run = await runner.RunAsync(
                    endpoint,
                    new("InvokeEndpointAsync", call.InferenceId, call.CustomAttributes),
                    cancel => ReadInputAsync(call, cancel),
                    waitLimit,
                    TimeSpan.FromSeconds(call.TimeoutSeconds),
                    stopping);
                await FinishAsync(id, received, call, run.Answer(), run.CustomAttributes, failure: null);
            }
            catch (Exception exception) when (exception is ContainerFault or AwsFault)
            {
                var failure = exception is ContainerFault container
                    ? RuntimeSurface.ModelError(endpoint, container, options.Region).Message
                    : $"ClientError: {exception.Message}";
                await FinishAsync(id, received, call, Encoding.UTF8.GetBytes(failure), customAttributes: null, failure);
            }
        }
        catch (OperationCanceledException)
        {
            // The server stops, or someone else has the call: it stays in the backlog.
        }
        finally
        {
            if (begin.IsCompletedSuccessfully)
            {
                _running.TryRemove(id, out _);
            }
        }
    }

    private async Task<ReadOnlyMemory<byte>> ReadInputAsync(AsyncCall call, CancellationToken cancellationToken)
    {
        if (objects.Find(call.InputLocation.Bucket, call.InputLocation.Key) is { Size: > MaxInput } large)
        {
            throw new AwsFault(400, "ValidationError", $"The input {call.InputLocation} has {large.Size} bytes; at most {MaxInput} are taken.");
        }

        return await objects.ReadAsync(call.InputLocation.Bucket, call.InputLocation.Key, cancellationToken)
            ?? throw new AwsFault(400, "ValidationError", $"Unable to access object from {call.InputLocation}: it does not exist.");
    }

    private async Task FinishAsync(long id, long received, AsyncCall call, byte[] output, string? customAttributes, string? failure)
    {
        var location = failure is null ? call.OutputLocation : call.FailureLocation;
        var headers = new Dictionary<string, string> { ["Content-Type"] = failure is null ? "application/json" : "text/plain" };
        if (customAttributes is not null)
        {
            headers["x-amz-meta-custom-attributes"] = customAttributes;
        }

        var body = await ObjectBody.OfAsync(output, objects.Files, stopping);
        database.Atomically(() =>
        {
            objects.Put(location.Bucket, location.Key, body, headers);
            if (options.NotificationQueue is { } queue)
            {
                queues.Send(queue, AsyncNotification.Envelope(call, received, clock.Now, failure, options), attributes: null, delay: TimeSpan.Zero);
            }

            return database.Execute("DELETE FROM async_call WHERE id = ?1", id);
        });
    }
}
