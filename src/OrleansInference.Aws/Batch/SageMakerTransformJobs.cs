using OrleansInference.Aws.ControlPlane;
using OrleansInference.Batch;
using OrleansInference.Invocation;

namespace OrleansInference.Aws.Batch;

/// <summary>Batch transform through the SageMaker control plane.</summary>
internal sealed class SageMakerTransformJobs(SageMakerControlPlane controlPlane) : ITransformJobs
{
    /// <summary>SageMaker's bound of MaxConcurrentTransforms × MaxPayloadInMB.</summary>
    private const int MaxPayloadsInMemory = 100;

    /// <summary>The largest input of a real-time call, so that a request fits every lane alike.</summary>
    private const int LargestPayloadInMB = 6;

    /// <summary>SageMaker's most repetitions of a record that its container did not answer.</summary>
    private const int InvocationsMaxRetries = 3;

    public async Task StartAsync(TransformJobRequest request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        try
        {
            await controlPlane.CallAsync<CreateInput, CreateAnswer>("CreateTransformJob", Input(request), cancellationToken).ConfigureAwait(false);
        }
        catch (SageMakerException failure) when (failure.IsInUse)
        {
            // Started before: names are derived from the window, so this is the same job.
        }
        catch (SageMakerException failure) when (failure.IsValidation)
        {
            throw new ModelCallException(ModelCallFailure.Validation, failure.Message, failure);
        }
    }

    public async Task<TransformJobDescription?> DescribeAsync(string jobName, CancellationToken cancellationToken)
    {
        try
        {
            var answer = await controlPlane.CallAsync<JobInput, DescribeAnswer>("DescribeTransformJob", new(jobName), cancellationToken).ConfigureAwait(false);
            return new()
            {
                State = Enum.TryParse<TransformJobState>(answer?.TransformJobStatus, out var state)
                    ? state
                    : throw new SageMakerException("DescribeTransformJob", "", null, $"The status '{answer?.TransformJobStatus}' is not known."),
                FailureReason = answer.FailureReason,
                StartedAt = ControlPlaneJson.Time(answer.TransformStartTime),
                EndedAt = ControlPlaneJson.Time(answer.TransformEndTime),
            };
        }
        catch (SageMakerException failure) when (failure.IsNotFound)
        {
            return null;
        }
    }

    public async Task StopAsync(string jobName, CancellationToken cancellationToken)
    {
        try
        {
            await controlPlane.CallAsync<JobInput, CreateAnswer>("StopTransformJob", new(jobName), cancellationToken).ConfigureAwait(false);
        }
        catch (SageMakerException failure) when (failure.IsNotFound)
        {
            // There is nothing to stop.
        }
        catch (SageMakerException failure) when (failure.IsValidation)
        {
            // A job that has ended cannot be stopped; its state tells that from a mistake in the call.
            if (await DescribeAsync(jobName, cancellationToken).ConfigureAwait(false) is { State: TransformJobState.InProgress })
            {
                throw;
            }
        }
    }

    private static CreateInput Input(TransformJobRequest request) => new()
    {
        TransformJobName = request.JobName,
        ModelName = request.ModelName,
        TransformInput = new(new(new("S3Prefix", request.InputPrefix)), request.ContentType, "None", "Line"),
        TransformOutput = new(request.OutputPrefix, request.ContentType, "Line"),
        TransformResources = new(request.InstanceType, request.InstanceCount),
        MaxConcurrentTransforms = request.MaxConcurrentTransforms,
        ModelClientConfig = new(request.InvocationTimeoutSeconds, InvocationsMaxRetries),
        MaxPayloadInMB = Math.Clamp(MaxPayloadsInMemory / Math.Max(1, request.MaxConcurrentTransforms), 1, LargestPayloadInMB),
        BatchStrategy = "SingleRecord",
        Tags = request.Tags.Count == 0 ? null : [.. request.Tags.OrderBy(tag => tag.Key, StringComparer.Ordinal).Select(tag => new Tag(tag.Key, tag.Value))],
    };

    private sealed record JobInput(string TransformJobName);

    // Members stand in the order of the service model, in which the official SDKs write them.
    private sealed record CreateInput
    {
        public required string TransformJobName { get; init; }

        public required string ModelName { get; init; }

        public required TransformInput TransformInput { get; init; }

        public required TransformOutput TransformOutput { get; init; }

        public required TransformResources TransformResources { get; init; }

        public required int MaxConcurrentTransforms { get; init; }

        public required ModelClientConfig ModelClientConfig { get; init; }

        public required int MaxPayloadInMB { get; init; }

        public required string BatchStrategy { get; init; }

        public IReadOnlyList<Tag>? Tags { get; init; }
    }

    private sealed record ModelClientConfig(int InvocationsTimeoutInSeconds, int InvocationsMaxRetries);

    private sealed record TransformInput(DataSource DataSource, string ContentType, string CompressionType, string SplitType);

    private sealed record DataSource(S3DataSource S3DataSource);

    private sealed record S3DataSource(string S3DataType, string S3Uri);

    private sealed record TransformOutput(string S3OutputPath, string Accept, string AssembleWith);

    private sealed record TransformResources(string InstanceType, int InstanceCount);

    private sealed record Tag(string Key, string Value);

    private sealed record CreateAnswer(string? TransformJobArn);

    private sealed record DescribeAnswer(string? TransformJobStatus, string? FailureReason, double? TransformStartTime, double? TransformEndTime);
}
