using OrleansInference.Aws.ControlPlane;
using OrleansInference.Capacity;

namespace OrleansInference.Aws.Capacity;

/// <summary>Reads and sets an endpoint's capacity through the SageMaker control plane.</summary>
internal sealed class SageMakerEndpointControl(SageMakerControlPlane controlPlane) : IEndpointControl
{
    public async Task<EndpointDescription?> DescribeAsync(string endpointName, CancellationToken cancellationToken)
    {
        try
        {
            var answer = await controlPlane.CallAsync<DescribeInput, DescribeAnswer>("DescribeEndpoint", new(endpointName), cancellationToken).ConfigureAwait(false);
            var variant = answer?.ProductionVariants is [var first, ..] ? first : null;
            return new()
            {
                Status = answer?.EndpointStatus ?? throw new SageMakerException("DescribeEndpoint", "", null, "The answer has no EndpointStatus."),

                // While it is being created or has failed to be, an endpoint has no variants yet.
                VariantName = variant?.VariantName ?? "",
                CurrentInstanceCount = variant?.CurrentInstanceCount ?? variant?.CurrentServerlessConfig?.ProvisionedConcurrency ?? 0,
                DesiredInstanceCount = variant?.DesiredInstanceCount ?? variant?.DesiredServerlessConfig?.ProvisionedConcurrency ?? variant?.CurrentServerlessConfig?.ProvisionedConcurrency ?? 0,
                FailureReason = answer.FailureReason,
            };
        }
        catch (SageMakerException failure) when (failure.IsNotFound)
        {
            return null;
        }
    }

    public Task<bool> SetDesiredInstancesAsync(string endpointName, string variantName, int instances, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(instances);
        return UpdateAsync(endpointName, new(variantName, instances, null), cancellationToken);
    }

    public Task<bool> SetProvisionedConcurrencyAsync(string endpointName, string variantName, int executions, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(executions, 1);
        return UpdateAsync(endpointName, new(variantName, null, new(executions)), cancellationToken);
    }

    private async Task<bool> UpdateAsync(string endpointName, DesiredCapacity desired, CancellationToken cancellationToken)
    {
        try
        {
            await controlPlane.CallAsync<UpdateInput, UpdateAnswer>("UpdateEndpointWeightsAndCapacities", new(endpointName, [desired]), cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (SageMakerException failure) when (failure.IsInUse)
        {
            return false;
        }
        catch (SageMakerException failure) when (failure.IsValidation && !failure.IsNotFound)
        {
            // An endpoint that is being updated and a change that is not allowed at all give the same error: its status tells which.
            if (await DescribeAsync(endpointName, cancellationToken).ConfigureAwait(false) is { Status: not "InService" })
            {
                return false;
            }

            throw;
        }
    }

    private sealed record DescribeInput(string EndpointName);

    private sealed record DescribeAnswer(string? EndpointStatus, string? FailureReason, IReadOnlyList<ProductionVariant>? ProductionVariants);

    private sealed record ProductionVariant(string? VariantName, int? CurrentInstanceCount, int? DesiredInstanceCount, ServerlessConfig? CurrentServerlessConfig, ServerlessConfig? DesiredServerlessConfig);

    private sealed record ServerlessConfig(int? ProvisionedConcurrency);

    private sealed record UpdateInput(string EndpointName, IReadOnlyList<DesiredCapacity> DesiredWeightsAndCapacities);

    private sealed record DesiredCapacity(string VariantName, int? DesiredInstanceCount, ServerlessConfig? ServerlessUpdateConfig);

    private sealed record UpdateAnswer(string? EndpointArn);
}
