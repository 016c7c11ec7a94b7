namespace OrleansInference.Capacity;

/// <summary>An endpoint as the SageMaker control plane reports it.</summary>
public sealed record EndpointDescription
{
    /// <summary>Creating, Updating, SystemUpdating, InService, RollingBack, OutOfService, Deleting, Failed or UpdateRollbackFailed.</summary>
    public required string Status { get; init; }

    /// <summary>Name of the first production variant.</summary>
    public required string VariantName { get; init; }

    /// <summary>Instances in service; of a serverless endpoint its provisioned concurrency.</summary>
    public int CurrentInstanceCount { get; init; }

    /// <summary>Instances wanted; of a serverless endpoint the provisioned concurrency that is wanted.</summary>
    public int DesiredInstanceCount { get; init; }

    /// <summary>Why it failed.</summary>
    public string? FailureReason { get; init; }
}

/// <summary>The control-plane operations that keep an endpoint's capacity.</summary>
public interface IEndpointControl
{
    /// <summary>DescribeEndpoint; null if there is no such endpoint.</summary>
    Task<EndpointDescription?> DescribeAsync(string endpointName, CancellationToken cancellationToken);

    /// <summary>UpdateEndpointWeightsAndCapacities; false if the endpoint is being updated and takes no change now.</summary>
    Task<bool> SetDesiredInstancesAsync(string endpointName, string variantName, int instances, CancellationToken cancellationToken);

    /// <summary>UpdateEndpointWeightsAndCapacities with ServerlessUpdateConfig; false if the endpoint is being updated and takes no change now.</summary>
    Task<bool> SetProvisionedConcurrencyAsync(string endpointName, string variantName, int executions, CancellationToken cancellationToken);
}
