using System.Collections.Concurrent;
using OrleansInference.Capacity;
using OrleansInference.Invocation;
using OrleansInference.Payloads;

namespace OrleansInference.Benchmarks.Jobs;

/// <summary>A SageMaker that takes every asynchronous call at once and never answers it, an object store in memory and a queue without messages: what is left is the router's own work for jobs that stay open.</summary>
internal sealed class SleepingAws : IModelRuntime, IEndpointControl, IObjectStore, IMessageQueue
{
    private readonly ConcurrentDictionary<string, StoredObject> _objects = new(StringComparer.Ordinal);

    public Task<ModelAnswer> InvokeAsync(ModelCall call, CancellationToken cancellationToken) =>
        throw new ModelCallException(ModelCallFailure.Validation, "The benchmark has the async lane alone.");

    public Task<IModelStream> InvokeStreamAsync(ModelCall call, CancellationToken cancellationToken) =>
        throw new ModelCallException(ModelCallFailure.Validation, "The benchmark has the async lane alone.");

    public Task<AsyncModelReceipt> InvokeAsynchronouslyAsync(AsyncModelCall call, CancellationToken cancellationToken) => Task.FromResult(new AsyncModelReceipt
    {
        InferenceId = call.InferenceId!,
        OutputLocation = $"s3://bucket/{call.S3OutputPathExtension}/{call.Filename}",
        FailureLocation = $"s3://bucket/{call.S3OutputPathExtension}/{call.Filename}-failure",
    });

    public Task<EndpointDescription?> DescribeAsync(string endpointName, CancellationToken cancellationToken) => Task.FromResult<EndpointDescription?>(new()
    {
        Status = "InService",
        VariantName = "AllTraffic",
        CurrentInstanceCount = 4,
        DesiredInstanceCount = 4,
    });

    public Task<bool> SetProvisionedConcurrencyAsync(string endpointName, string variantName, int executions, CancellationToken cancellationToken) => Task.FromResult(false);

    public Task<bool> SetDesiredInstancesAsync(string endpointName, string variantName, int instances, CancellationToken cancellationToken) => Task.FromResult(true);

    public Task PutAsync(string bucket, string key, ReadOnlyMemory<byte> body, string contentType, CancellationToken cancellationToken)
    {
        // The store is another process's memory where it is S3.
        _objects[key] = new(body, contentType);
        return Task.CompletedTask;
    }

    public Task<StoredObject?> GetAsync(string bucket, string key, CancellationToken cancellationToken) => Task.FromResult(_objects.GetValueOrDefault(key));

    public Task<bool> ExistsAsync(string bucket, string key, CancellationToken cancellationToken) => Task.FromResult(_objects.ContainsKey(key));

    public Task DeleteAsync(string bucket, string key, CancellationToken cancellationToken)
    {
        _objects.TryRemove(key, out _);
        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<string>> ListAsync(string bucket, string prefix, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<string>>([]);

    public Task EnsureBucketAsync(string bucket, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task<string?> ResolveAsync(string queueName, bool create, CancellationToken cancellationToken) => Task.FromResult<string?>(queueName);

    public Task SendAsync(string queueUrl, string body, IReadOnlyDictionary<string, MessageAttribute> attributes, CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task<IReadOnlyList<QueueMessage>> ReceiveAsync(string queueUrl, int max, TimeSpan wait, TimeSpan visibility, CancellationToken cancellationToken)
    {
        await Task.Delay(wait, cancellationToken);
        return [];
    }

    Task IMessageQueue.DeleteAsync(string queueUrl, string receiptHandle, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task ChangeVisibilityAsync(string queueUrl, string receiptHandle, TimeSpan visibility, CancellationToken cancellationToken) => Task.CompletedTask;
}
