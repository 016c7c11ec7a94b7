using Amazon.S3;
using Amazon.SQS;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using OrleansInference.Aws.Batch;
using OrleansInference.Aws.Capacity;
using OrleansInference.Aws.ControlPlane;
using OrleansInference.Aws.Credentials;
using OrleansInference.Aws.DataCapture;
using OrleansInference.Aws.Invocation;
using OrleansInference.Aws.Payloads;
using OrleansInference.Aws.ServiceEndpoints;
using OrleansInference.Aws.Transport;
using OrleansInference.Batch;
using OrleansInference.Capacity;
using OrleansInference.Invocation;
using OrleansInference.Payloads;

namespace OrleansInference.Aws;

/// <summary>Registers the clients of AWS.</summary>
public static class AwsServiceCollectionExtensions
{
    /// <summary>Captures a share of the calls of SageMaker Runtime, which <see cref="AddAwsClients"/> has registered, in the object store.</summary>
    /// <exception cref="ArgumentException">A path of what is to be redacted is none.</exception>
    public static IServiceCollection AddDataCapture(this IServiceCollection services, DataCaptureOptions options)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(options);
        var runtime = services.Last(static service => service.ServiceType == typeof(IModelRuntime));
        services.Remove(runtime);
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<CaptureWriter>(provider, options));
        services.AddHostedService(static provider => provider.GetRequiredService<CaptureWriter>());
        return services.AddSingleton<IModelRuntime>(provider => new CapturingRuntime(
            (IModelRuntime)(runtime.ImplementationInstance ?? runtime.ImplementationFactory!(provider)),
            provider.GetRequiredService<CaptureWriter>(),
            options,
            provider.GetRequiredService<TimeProvider>()));
    }

    /// <summary>
    /// Registers <see cref="IModelRuntime"/>, <see cref="IEndpointControl"/>, <see cref="ITransformJobs"/>, <see cref="IObjectStore"/>
    /// and <see cref="IMessageQueue"/> on AWS, except those that are registered already.
    /// </summary>
    /// <param name="services">Where to.</param>
    /// <param name="options">Where AWS is, and who calls it. Read once, here.</param>
    /// <param name="tags">Tags of buckets and queues that are created, such as those that a bill is split by; null: none.</param>
    /// <exception cref="OptionsValidationException">An option is out of range; the exception names every problem.</exception>
    public static IServiceCollection AddAwsClients(this IServiceCollection services, AwsOptions options, IReadOnlyDictionary<string, string>? tags = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(options);
        if (AwsOptionsValidation.Problems(options) is { Count: > 0 } problems)
        {
            throw new OptionsValidationException(nameof(AwsOptions), typeof(AwsOptions), problems);
        }

        var addresses = ServiceAddresses.Of(options);
        var source = CredentialSource.Of(options);
        services.TryAddSingleton(_ => new ConnectionPool(options));
        services.TryAddSingleton<IModelRuntime>(provider => new SageMakerRuntime(
            SageMaker(provider), addresses.Runtime, options.InvocationTimeout, provider.GetService<ILogger<SageMakerRuntime>>() ?? NullLogger<SageMakerRuntime>.Instance));
        services.TryAddSingleton(provider => new SageMakerControlPlane(SageMaker(provider), addresses.ControlPlane, RetryPolicy.Of(options), options.ControlPlaneTimeout));
        services.TryAddSingleton<IEndpointControl, SageMakerEndpointControl>();
        services.TryAddSingleton<ITransformJobs, SageMakerTransformJobs>();
        services.TryAddSingleton(_ => SdkClients.S3(options, addresses, source));
        services.TryAddSingleton(_ => SdkClients.Sqs(options, addresses, source));
        services.TryAddSingleton<IObjectStore>(provider => new S3ObjectStore(provider.GetRequiredService<IAmazonS3>(), new(tags, provider.GetService<ILogger<CreationTags>>())));
        services.TryAddSingleton<IMessageQueue>(provider => new SqsMessageQueue(provider.GetRequiredService<IAmazonSQS>(), new(tags, provider.GetService<ILogger<CreationTags>>())));
        return services;

        SignedTransport SageMaker(IServiceProvider provider) =>
            new(provider.GetRequiredService<ConnectionPool>(), new(options.Region, "sagemaker"), source, TimeProvider.System);
    }
}
