using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Aws.ControlPlane;

namespace OrleansInference.Aws;

/// <summary>Looks for a model of SageMaker's, which the batch lane runs.</summary>
public static class ModelLookup
{
    /// <summary>DescribeModel: whether there is such a model.</summary>
    /// <param name="clients">Where <see cref="AwsServiceCollectionExtensions.AddAwsClients"/> has registered the clients.</param>
    /// <param name="modelName">SageMaker's name of it.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="SageMakerException">SageMaker refused, or still failed after the repetitions.</exception>
    public static async Task<bool> ExistsAsync(IServiceProvider clients, string modelName, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(clients);
        try
        {
            await clients.GetRequiredService<SageMakerControlPlane>().CallAsync<Input, Answer>("DescribeModel", new(modelName), cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (SageMakerException failure) when (failure.IsNotFound)
        {
            return false;
        }
    }

    private sealed record Input(string ModelName);

    private sealed record Answer(string? ModelArn);
}
