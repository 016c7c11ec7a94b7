using System.Collections.Concurrent;
using OrleansInference.Capacity;
using OrleansInference.Invocation;

namespace OrleansInference.Tests;

/// <summary>SageMaker in memory, shared by the silos of one cluster: counts what is in flight, and answers, fails or waits as told.</summary>
internal sealed class FakeAws : IModelRuntime, IEndpointControl
{
    private readonly ConcurrentDictionary<string, int> _inFlight = new();
    private readonly ConcurrentDictionary<string, int> _mostInFlight = new();
    private readonly ConcurrentDictionary<string, int> _instances = new();
    private int _calls;

    /// <summary>How long each call takes.</summary>
    public TimeSpan Service { get; set; } = TimeSpan.FromMilliseconds(5);

    /// <summary>What a call of an endpoint ends in; null answers.</summary>
    public Func<ModelCall, Exception?> Failure { get; set; } = static _ => null;

    /// <summary>What a stream breaks with after its parts; null ends it.</summary>
    public Exception? StreamFailure { get; set; }

    /// <summary>What every call waits for before it answers.</summary>
    public Task Gate { get; set; } = Task.CompletedTask;

    /// <summary>What a call waits for beside <see cref="Gate"/>.</summary>
    public Func<ModelCall, Task> Hold { get; set; } = static _ => Task.CompletedTask;

    /// <summary>What a call answers.</summary>
    public byte[] Answer { get; set; } = "{\"generated_text\":\"yes\"}"u8.ToArray();

    public int Calls => Volatile.Read(ref _calls);

    public int InFlight(string endpoint) => _inFlight.GetValueOrDefault(endpoint);

    public int MostInFlight(string endpoint) => _mostInFlight.GetValueOrDefault(endpoint);

    public int Instances(string endpoint) => _instances.GetOrAdd(endpoint, 2);

    public async Task<ModelAnswer> InvokeAsync(ModelCall call, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _calls);
        var now = _inFlight.AddOrUpdate(call.EndpointName, 1, (_, count) => count + 1);
        _mostInFlight.AddOrUpdate(call.EndpointName, now, (_, most) => Math.Max(most, now));
        try
        {
            if (Failure(call) is { } failure)
            {
                throw failure;
            }

            await Gate.WaitAsync(cancellationToken);
            await Hold(call).WaitAsync(cancellationToken);
            await Task.Delay(Service, cancellationToken);
            return new() { Body = Answer, ContentType = "application/json", CustomAttributes = "input-tokens=10;output-tokens=5", InvokedProductionVariant = "AllTraffic" };
        }
        finally
        {
            _inFlight.AddOrUpdate(call.EndpointName, 0, (_, count) => count - 1);
        }
    }

    public async Task<IModelStream> InvokeStreamAsync(ModelCall call, CancellationToken cancellationToken)
    {
        await InvokeAsync(call, cancellationToken);
        return new FakeStream(() => StreamFailure);
    }

    public Task<AsyncModelReceipt> InvokeAsynchronouslyAsync(AsyncModelCall call, CancellationToken cancellationToken) =>
        Task.FromResult(new AsyncModelReceipt { InferenceId = call.InferenceId ?? "id", OutputLocation = "s3://bucket/out" });

    public Task<EndpointDescription?> DescribeAsync(string endpointName, CancellationToken cancellationToken) =>
        Task.FromResult<EndpointDescription?>(new() { Status = "InService", VariantName = "AllTraffic", CurrentInstanceCount = Instances(endpointName), DesiredInstanceCount = Instances(endpointName) });

    public Task<bool> SetProvisionedConcurrencyAsync(string endpointName, string variantName, int executions, CancellationToken cancellationToken) => Task.FromResult(false);

    public Task<bool> SetDesiredInstancesAsync(string endpointName, string variantName, int instances, CancellationToken cancellationToken)
    {
        _instances[endpointName] = instances;
        return Task.FromResult(true);
    }

    private sealed class FakeStream(Func<Exception?> breaks) : IModelStream
    {
        public string? ContentType => "text/plain";

        public string? CustomAttributes => null;

        public string? InvokedProductionVariant => "AllTraffic";

        public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadPartsAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
        {
            foreach (var part in (string[])["one ", "two ", "three"])
            {
                await Task.Yield();
                cancellationToken.ThrowIfCancellationRequested();
                yield return System.Text.Encoding.UTF8.GetBytes(part);
            }

            if (breaks() is { } failure)
            {
                throw failure;
            }
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
