using OrleansInference.Capacity;
using OrleansInference.Invocation;

namespace OrleansInference.Benchmarks.Routing;

/// <summary>A SageMaker that answers at once and has every instance that is asked for: what is left is the router's own time.</summary>
internal sealed class InstantAws : IModelRuntime, IEndpointControl
{
    private static readonly Task<ModelAnswer> Answer = Task.FromResult(new ModelAnswer
    {
        Body = "{\"generated_text\":\"Yes.\"}"u8.ToArray(),
        ContentType = "application/json",
        CustomAttributes = "input-tokens=374;output-tokens=44",
        InvokedProductionVariant = "AllTraffic",
    });

    private int _instances = 4;

    public Task<ModelAnswer> InvokeAsync(ModelCall call, CancellationToken cancellationToken) => Answer;

    public Task<IModelStream> InvokeStreamAsync(ModelCall call, CancellationToken cancellationToken) =>
        throw new ModelCallException(ModelCallFailure.Validation, "The benchmark does not stream.");

    public Task<AsyncModelReceipt> InvokeAsynchronouslyAsync(AsyncModelCall call, CancellationToken cancellationToken) =>
        throw new ModelCallException(ModelCallFailure.Validation, "The benchmark has no async lane.");

    public Task<EndpointDescription?> DescribeAsync(string endpointName, CancellationToken cancellationToken) => Task.FromResult<EndpointDescription?>(new()
    {
        Status = "InService",
        VariantName = "AllTraffic",
        CurrentInstanceCount = _instances,
        DesiredInstanceCount = _instances,
    });

    public Task<bool> SetProvisionedConcurrencyAsync(string endpointName, string variantName, int executions, CancellationToken cancellationToken) => Task.FromResult(false);

    public Task<bool> SetDesiredInstancesAsync(string endpointName, string variantName, int instances, CancellationToken cancellationToken)
    {
        _instances = instances;
        return Task.FromResult(true);
    }
}
