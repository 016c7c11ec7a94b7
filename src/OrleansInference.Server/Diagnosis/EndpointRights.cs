using OrleansInference.Aws.ControlPlane;
using OrleansInference.Batch;
using OrleansInference.Capacity;
using OrleansInference.Configuration;
using OrleansInference.Hosting;
using OrleansInference.Invocation;

namespace OrleansInference.Diagnosis;

/// <summary>
/// Tries what a server may do with endpoints and models, by calls that SageMaker looks at for permission and then refuses, since they name what is not there: a variant that no endpoint
/// has, a model that does not exist. No model is reached and nothing is changed. Not permitted is what is refused with another word. Methods throw what the clients throw.
/// </summary>
internal static class EndpointRights
{
    private const string NoVariant = "doctor-names-a-variant-that-is-not-there";
    private const string NoModel = "doctor-names-a-model-that-is-not-there";

    // The shortest that SageMaker lets a queued call wait: on an endpoint without instances it expires.
    private const int TtlSeconds = 60;
    private static readonly byte[] Body = "{}"u8.ToArray();

    /// <summary>InvokeEndpoint, and InvokeEndpointWithResponseStream of one that streams.</summary>
    public static async Task TryInvokeAsync(IServiceProvider aws, EndpointDefinition endpoint, CancellationToken cancellationToken)
    {
        var runtime = aws.GetRequiredService<IModelRuntime>();
        var call = Call(endpoint) with { TargetVariant = NoVariant };
        await RefusedAsync(() => runtime.InvokeAsync(call, cancellationToken));
        if (endpoint.Streaming)
        {
            await RefusedAsync(async () => await (await runtime.InvokeStreamAsync(call, cancellationToken)).DisposeAsync());
        }
    }

    /// <summary>One real call: of a model in line; of an asynchronous endpoint one whose input does not exist, which fails before it gets to the model.</summary>
    /// <returns>What came of it, in words.</returns>
    public static async Task<string> InvokeAsync(IServiceProvider aws, EndpointDefinition endpoint, string bucket, CancellationToken cancellationToken)
    {
        var runtime = aws.GetRequiredService<IModelRuntime>();
        if (endpoint.Lane == Lane.Async)
        {
            var receipt = await runtime.InvokeAsynchronouslyAsync(
                new() { EndpointName = endpoint.TargetName, InputLocation = $"s3://{bucket}/jobs/doctor/{Guid.NewGuid():N}", ContentType = "application/json", RequestTtlSeconds = TtlSeconds },
                cancellationToken);
            return $"took a call whose input does not exist (its failure will be at {receipt.FailureLocation ?? "the endpoint's failure path"})";
        }

        try
        {
            await runtime.InvokeAsync(Call(endpoint), cancellationToken);
            return "answered a call";
        }
        catch (ModelCallException exception) when (exception.Failure == ModelCallFailure.Model)
        {
            return $"was called; its model does not take {{}} and said {exception.OriginalStatusCode}";
        }
    }

    /// <summary>UpdateEndpointWeightsAndCapacities.</summary>
    public static async Task TryScaleAsync(IServiceProvider aws, EndpointDefinition endpoint, EndpointDescription found, CancellationToken cancellationToken)
    {
        var control = aws.GetRequiredService<IEndpointControl>();
        try
        {
            await (endpoint.Lane == Lane.Serverless
                ? control.SetProvisionedConcurrencyAsync(endpoint.TargetName, NoVariant, Math.Max(1, found.CurrentInstanceCount), cancellationToken)
                : control.SetDesiredInstancesAsync(endpoint.TargetName, NoVariant, found.CurrentInstanceCount, cancellationToken));
        }
        catch (SageMakerException exception) when (exception.ErrorType is "ValidationException" or "ValidationError")
        {
            // It was permitted, and there is no such variant.
        }
    }

    /// <summary>CreateTransformJob with tags, DescribeTransformJob and StopTransformJob, by the names that a server gives its jobs.</summary>
    public static async Task TryTransformAsync(IServiceProvider aws, EndpointDefinition endpoint, ServerSettings settings, CancellationToken cancellationToken)
    {
        var jobs = aws.GetRequiredService<ITransformJobs>();
        var name = $"{new OrleansInferenceOptions().TransformJobPrefix}-doctor-{Guid.NewGuid():N}";
        _ = await jobs.DescribeAsync(name, cancellationToken);
        await jobs.StopAsync(name, cancellationToken);
        var prefix = $"s3://{settings.PayloadBucket}/windows/{name}/";
        await RefusedAsync(() => jobs.StartAsync(
            new()
            {
                JobName = name,
                ModelName = NoModel,
                InputPrefix = prefix,
                OutputPrefix = prefix,
                InstanceType = endpoint.InstanceType,
                InstanceCount = 1,
                MaxConcurrentTransforms = 1,
                Tags = new Dictionary<string, string>(settings.CostTags) { [CostTag.InferenceType] = nameof(Lane.Batch) },
            },
            cancellationToken));
    }

    private static ModelCall Call(EndpointDefinition endpoint) => new() { EndpointName = endpoint.TargetName, Body = Body, TargetModel = endpoint.TargetModel };

    private static async Task RefusedAsync(Func<Task> call)
    {
        try
        {
            await call();
        }
        catch (ModelCallException exception) when (exception.Failure is ModelCallFailure.Validation or ModelCallFailure.Model)
        {
            // It was permitted, and there is no such thing.
        }
    }
}
