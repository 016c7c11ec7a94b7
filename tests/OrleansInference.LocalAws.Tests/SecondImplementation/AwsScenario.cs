using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Amazon.Runtime;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Aws;
using OrleansInference.Aws.ControlPlane;
using OrleansInference.Batch;
using OrleansInference.Capacity;
using OrleansInference.Invocation;
using OrleansInference.Payloads;

namespace OrleansInference.Tests.SecondImplementation;

/// <summary>
/// What the router's clients are asked for, one thing after the other, against an AWS that has the endpoints of <see cref="Endpoints"/>; and what each came to, in words that hold no
/// time, address or drawn id. Two implementations of AWS agree where the words are the same.
/// </summary>
internal sealed class AwsScenario : IAsyncDisposable
{
    public const string Bucket = "second-implementation";
    public const string Variant = "full";
    public const string AccessKeyId = "AKIDEXAMPLE";
    public const string Secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    private const string Queue = "second-implementation-queue";
    private const string NoBucket = "no-such-bucket-of-the-scenario";
    private const string Key = "a/with space+plus%20percent/é-日本.json";
    private static readonly TimeSpan AtMost = TimeSpan.FromSeconds(60);
    private static readonly MessageAttribute Bytes = new("Binary.raw", null, new byte[] { 0, 1, 254, 255 });
    private readonly List<(string Step, string Outcome)> _outcomes = [];
    private readonly ServiceProvider _clients;
    private readonly Action _passTime;

    /// <param name="address">The one address of the AWS.</param>
    /// <param name="passTime">Lets a little of that AWS's time pass, where something is waited for.</param>
    public AwsScenario(Uri address, Action passTime)
    {
        _passTime = passTime;
        Options = new() { Endpoint = address, AccessKeyId = AccessKeyId, SecretAccessKey = Secret, MaxAttempts = 1, RetryBaseDelay = TimeSpan.FromMilliseconds(1) };
        _clients = new ServiceCollection().AddAwsClients(Options).BuildServiceProvider(validateScopes: true);
    }

    public static ImmutableArray<(string Name, Lane Lane)> Endpoints { get; } = [("chat-rt", Lane.Realtime), ("chat-async", Lane.Async), ("chat-sl", Lane.Serverless)];

    private AwsOptions Options { get; }

    private IModelRuntime Runtime => _clients.GetRequiredService<IModelRuntime>();

    private IEndpointControl Control => _clients.GetRequiredService<IEndpointControl>();

    private ITransformJobs Jobs => _clients.GetRequiredService<ITransformJobs>();

    private IObjectStore Objects => _clients.GetRequiredService<IObjectStore>();

    private IMessageQueue Messages => _clients.GetRequiredService<IMessageQueue>();

    public async Task<IReadOnlyList<(string Step, string Outcome)>> RunAsync()
    {
        await ObjectsAsync();
        await MessagesAsync();
        await CapacityAsync();
        await InvocationsAsync();
        await TransformJobsAsync();
        await StepAsync("who calls", async () => (await CallerIdentity.GetAsync(Options, default)).ToString());
        return _outcomes;
    }

    public ValueTask DisposeAsync() => _clients.DisposeAsync();

    private async Task ObjectsAsync()
    {
        var body = "{\"inputs\":\"hé\"}"u8.ToArray();
        await StepAsync("exists in no bucket", () => Objects.ExistsAsync(NoBucket, "k", default));
        await StepAsync("get from no bucket", () => Objects.GetAsync(NoBucket, "k", default));
        await StepAsync("put into no bucket", () => Objects.PutAsync(NoBucket, "k", body, "text/plain", default));
        await StepAsync("list no bucket", () => Objects.ListAsync(NoBucket, "", default));
        await StepAsync("ensure a bucket", () => Objects.EnsureBucketAsync(Bucket, default));
        await StepAsync("ensure it again", () => Objects.EnsureBucketAsync(Bucket, default));
        await StepAsync("ensure a bucket of a bad name", () => Objects.EnsureBucketAsync("Not_A_Name", default));
        await StepAsync("get no object", () => Objects.GetAsync(Bucket, Key, default));
        await StepAsync("open no object", () => Objects.OpenAsync(Bucket, Key, default));
        await StepAsync("exists, no object", () => Objects.ExistsAsync(Bucket, Key, default));
        await StepAsync("delete no object", () => Objects.DeleteAsync(Bucket, Key, default));
        await StepAsync("put", () => Objects.PutAsync(Bucket, Key, body, "application/json; charset=utf-8", default));
        await StepAsync("put an empty one", () => Objects.PutAsync(Bucket, "a/empty", default, "text/plain", default));
        await StepAsync("put one elsewhere", () => Objects.PutAsync(Bucket, "b/other", "x"u8.ToArray(), "text/plain", default));
        await StepAsync("exists", () => Objects.ExistsAsync(Bucket, Key, default));
        await StepAsync("get", () => Objects.GetAsync(Bucket, Key, default));
        await StepAsync("get the empty one", () => Objects.GetAsync(Bucket, "a/empty", default));
        await StepAsync("get at most 3 bytes", () => Objects.GetAsync(Bucket, Key, 3, default));
        await StepAsync("open", async () =>
        {
            await using var opened = (await Objects.OpenAsync(Bucket, Key, default))!;
            using var reader = new StreamReader(opened.Body, Encoding.UTF8);
            return $"{opened.Length} of {opened.ContentType}: {await reader.ReadToEndAsync()}";
        });
        await StepAsync("list a prefix", () => Objects.ListAsync(Bucket, "a/", default));
        await StepAsync("list all", () => Objects.ListAsync(Bucket, "", default));
        await StepAsync("list nothing", () => Objects.ListAsync(Bucket, "c/", default));
        await StepAsync("put over", () => Objects.PutAsync(Bucket, Key, "new"u8.ToArray(), "text/plain", default));
        await StepAsync("get what was put over", () => Objects.GetAsync(Bucket, Key, default));
        await StepAsync("delete", () => Objects.DeleteAsync(Bucket, Key, default));
        await StepAsync("get what was deleted", () => Objects.GetAsync(Bucket, Key, default));
    }

    private async Task MessagesAsync()
    {
        var url = "";
        Dictionary<string, MessageAttribute> attributes = new() { ["Reason"] = MessageAttribute.Of("was refused: é"), ["Count"] = new("Number", "12"), ["Raw"] = Bytes };
        QueueMessage? received = null;
        await StepAsync("resolve no queue", () => Messages.ResolveAsync(Queue, create: false, default));
        await StepAsync("create a queue", async () => Tail(url = (await Messages.ResolveAsync(Queue, create: true, default))!));
        await StepAsync("resolve it", async () => (await Messages.ResolveAsync(Queue, create: false, default)) == url);
        await StepAsync("create it again", async () => (await Messages.ResolveAsync(Queue, create: true, default)) == url);
        await StepAsync("create a queue of a bad name", () => Messages.ResolveAsync("not a name!", create: true, default));
        await StepAsync("receive nothing", () => ReceiveAsync(url, null));
        await StepAsync("send", () => Messages.SendAsync(url, "{\"model\":\"chat\",\"text\":\"日本 <&>\"}", attributes, default));
        await StepAsync("receive", () => ReceiveAsync(url, message => received = message));
        await StepAsync("receive while it is hidden", () => ReceiveAsync(url, null));
        await StepAsync("show it again", () => Messages.ChangeVisibilityAsync(url, received!.ReceiptHandle, TimeSpan.Zero, default));
        await StepAsync("receive it again", () => ReceiveAsync(url, message => received = message));
        await StepAsync("delete a message", () => Messages.DeleteAsync(url, received!.ReceiptHandle, default));
        await StepAsync("delete it again", () => Messages.DeleteAsync(url, received!.ReceiptHandle, default));
        await StepAsync("receive what was deleted", () => ReceiveAsync(url, null));
        await StepAsync("delete by no receipt", () => Messages.DeleteAsync(url, "no-receipt", default));
        await StepAsync("hide by no receipt", () => Messages.ChangeVisibilityAsync(url, "no-receipt", TimeSpan.FromSeconds(1), default));
        await StepAsync("send nothing", () => Messages.SendAsync(url, "", ImmutableDictionary<string, MessageAttribute>.Empty, default));
        await StepAsync("send what XML cannot have", () => Messages.SendAsync(url, "a\u0001b", ImmutableDictionary<string, MessageAttribute>.Empty, default));
        await StepAsync("send to no queue", () => Messages.SendAsync(url + "-gone", "x", ImmutableDictionary<string, MessageAttribute>.Empty, default));
        await StepAsync("receive from no queue", () => ReceiveAsync(url + "-gone", null));
    }

    private async Task CapacityAsync()
    {
        await StepAsync("describe an endpoint", () => Control.DescribeAsync("chat-rt", default));
        await StepAsync("describe no endpoint", () => Control.DescribeAsync("chat-nowhere", default));
        await StepAsync("describe a serverless endpoint", () => Control.DescribeAsync("chat-sl", default));
        await StepAsync("set instances", () => Control.SetDesiredInstancesAsync("chat-rt", Variant, 2, default));
        await StepAsync("describe at once", () => Control.DescribeAsync("chat-rt", default));
        await StepAsync("set instances at once again", () => Control.SetDesiredInstancesAsync("chat-rt", Variant, 2, default));
        await StepAsync("describe in the end", async () =>
        {
            EndpointDescription? found = null;
            await UntilAsync(async () => (found = await Control.DescribeAsync("chat-rt", default))!.Status == "InService");
            return found;
        });
        await StepAsync("set instances of no endpoint", () => Control.SetDesiredInstancesAsync("chat-nowhere", Variant, 2, default));
        await StepAsync("set instances of no variant", () => Control.SetDesiredInstancesAsync("chat-rt", "other", 2, default));
        await StepAsync("set no instances of a real-time endpoint", () => Control.SetDesiredInstancesAsync("chat-rt", Variant, 0, default));
        await StepAsync("set instances of an asynchronous endpoint", () => Control.SetDesiredInstancesAsync("chat-async", Variant, 1, default));
        await StepAsync("set provisioned concurrency of no endpoint", () => Control.SetProvisionedConcurrencyAsync("chat-nowhere", Variant, 2, default));
    }

    private async Task InvocationsAsync()
    {
        var call = new ModelCall { EndpointName = "chat-rt", Body = "{\"inputs\":\"hello there\",\"output_tokens\":3}"u8.ToArray(), Accept = "application/json", CustomAttributes = "class=High", InferenceId = "id-1" };
        await StepAsync("invoke", async () =>
        {
            var answer = await DrivenAsync(Runtime.InvokeAsync(call, default));
            return $"{answer.ContentType}, variant {answer.InvokedProductionVariant}, {(answer.Body.IsEmpty ? "no" : "a")} body, {(answer.CustomAttributes is null ? "no" : "own")} attributes";
        });
        await StepAsync("invoke no endpoint", () => DrivenAsync(Runtime.InvokeAsync(call with { EndpointName = "chat-nowhere" }, default)));
        await StepAsync("stream", async () =>
        {
            await using var stream = await DrivenAsync(Runtime.InvokeStreamAsync(call, default));
            var parts = 0;
            await foreach (var _ in stream.ReadPartsAsync(default))
            {
                parts++;
                _passTime();
            }

            return parts > 0 ? "parts" : "no parts";
        });
        await Objects.PutAsync(Bucket, "in/one.json", call.Body, "application/json", default);
        AsyncModelReceipt? receipt = null;
        await StepAsync("invoke asynchronously", async () =>
        {
            receipt = await Runtime.InvokeAsynchronouslyAsync(new() { EndpointName = "chat-async", InputLocation = $"s3://{Bucket}/in/one.json", ContentType = "application/json", InferenceId = "id-2" }, default);
            return $"{receipt.InferenceId}, output {Scheme(receipt.OutputLocation)}, failure {Scheme(receipt.FailureLocation)}";
        });
        await StepAsync("the output of it", async () =>
        {
            var (bucket, key) = (new Uri(receipt!.OutputLocation).Host, new Uri(receipt.OutputLocation).AbsolutePath[1..]);
            await UntilAsync(() => Objects.ExistsAsync(bucket, key, default));
            return (await Objects.GetAsync(bucket, key, default))!.Length > 0 ? "is there" : "is empty";
        });
        await StepAsync("invoke no endpoint asynchronously", () => Runtime.InvokeAsynchronouslyAsync(new() { EndpointName = "chat-nowhere", InputLocation = $"s3://{Bucket}/in/one.json" }, default));
    }

    private async Task TransformJobsAsync()
    {
        var job = new TransformJobRequest
        {
            JobName = "w-2026-1",
            ModelName = "chat-batch",
            InputPrefix = $"s3://{Bucket}/in/",
            OutputPrefix = $"s3://{Bucket}/out/",
            InstanceType = "ml.g5.xlarge",
            InstanceCount = 1,
            MaxConcurrentTransforms = 4,
            Tags = new Dictionary<string, string> { ["InferenceType"] = "Batch" },
        };
        await StepAsync("describe no job", () => DescribeJobAsync("w-nowhere"));
        await StepAsync("start a job", () => Jobs.StartAsync(job, default));
        await StepAsync("start it again", () => Jobs.StartAsync(job, default));
        await StepAsync("describe it at once", () => DescribeJobAsync(job.JobName));
        await StepAsync("start a job of no model", () => Jobs.StartAsync(job with { JobName = "w-2026-2", ModelName = "no-model" }, default));
        await StepAsync("stop the job", () => Jobs.StopAsync(job.JobName, default));
        await StepAsync("describe it in the end", async () =>
        {
            await UntilAsync(async () => (await Jobs.DescribeAsync(job.JobName, default))!.State is not (TransformJobState.InProgress or TransformJobState.Stopping));
            return await DescribeJobAsync(job.JobName);
        });
        await StepAsync("stop it again", () => Jobs.StopAsync(job.JobName, default));
        await StepAsync("stop no job", () => Jobs.StopAsync("w-nowhere", default));
    }

    private async Task<string> DescribeJobAsync(string name) => await Jobs.DescribeAsync(name, default) is { } job
        ? $"{job.State}, {(job.StartedAt is null ? "not started" : "started")}, {(job.EndedAt is null ? "not ended" : "ended")}, {(string.IsNullOrEmpty(job.FailureReason) ? "no failure" : "a failure")}"
        : "null";

    private async Task<string> ReceiveAsync(string url, Action<QueueMessage>? keep)
    {
        var messages = await Messages.ReceiveAsync(url, 10, TimeSpan.Zero, TimeSpan.FromMinutes(1), default);
        foreach (var message in messages)
        {
            keep?.Invoke(message);
        }

        return string.Join("; ", messages.Select(static message =>
            $"'{message.Body}' for the {message.ReceiveCount}. time, {(message.SentAt is null ? "no time" : "with its time")}, {string.Join(", ", message.Attributes.OrderBy(static pair => pair.Key, StringComparer.Ordinal).Select(Text))}"));
    }

    private static string Text(KeyValuePair<string, MessageAttribute> attribute) =>
        $"{attribute.Key} {attribute.Value.DataType} {attribute.Value.Text ?? Convert.ToHexString(attribute.Value.Bytes.Span)}";

    private static string Tail(string url) => url[(url.LastIndexOf('/') + 1)..];

    private static string Scheme(string? location) => location is null ? "nowhere" : new Uri(location).Scheme;

    /// <summary>Lets time pass until a call has ended.</summary>
    private async Task<T> DrivenAsync<T>(Task<T> call)
    {
        await UntilAsync(() => Task.FromResult(call.IsCompleted));
        return await call;
    }

    private async Task UntilAsync(Func<Task<bool>> holds)
    {
        using var timeout = new CancellationTokenSource(AtMost);
        while (!await holds())
        {
            _passTime();
            await Task.Delay(2, timeout.Token);
        }
    }

    private Task StepAsync(string step, Func<Task> act) => StepAsync(step, async () =>
    {
        await act();
        return "done";
    });

    private async Task StepAsync<T>(string step, Func<Task<T>> act)
    {
        string outcome;
        try
        {
            outcome = await act() switch
            {
                null => "null",
                StoredObject found => $"{found.ContentType}, {found.Length} bytes: '{Encoding.UTF8.GetString(found.Body.Span)}'",
                IReadOnlyList<string> keys => $"[{string.Join(", ", keys)}]",
                EndpointDescription endpoint => $"{endpoint.Status}, {endpoint.VariantName} {endpoint.CurrentInstanceCount} of {endpoint.DesiredInstanceCount}, failure {endpoint.FailureReason ?? "none"}",
                ModelAnswer => "an answer",
                AsyncModelReceipt => "a receipt",
                { } other => string.Create(CultureInfo.InvariantCulture, $"{other}"),
            };
        }
        catch (ModelCallException failure)
        {
            outcome = $"refused: {failure.Failure}, {(failure.NotSent ? "not sent" : "maybe sent")}";
        }
        catch (SageMakerException failure)
        {
            outcome = $"refused: {failure.ErrorType} {failure.Status}";
        }
        catch (AmazonServiceException failure)
        {
            outcome = $"refused: {failure.GetType().Name} {failure.ErrorCode} {(int)failure.StatusCode}";
        }

        _outcomes.Add((step, outcome));
    }
}
