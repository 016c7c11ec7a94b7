using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace OrleansInference.Client;

/// <summary>Registers <see cref="IInferenceClient"/>.</summary>
public static class InferenceClientExtensions
{
    /// <summary>Adds an <see cref="IInferenceClient"/> together with the Orleans client that it calls through.</summary>
    /// <param name="builder">The front-end service's host.</param>
    /// <param name="configureClient">How the client finds the cluster, such as <c>client => client.UseLocalhostClustering()</c>.</param>
    public static IHostApplicationBuilder AddOrleansInferenceClient(this IHostApplicationBuilder builder, Action<IClientBuilder> configureClient)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(configureClient);
        builder.UseOrleansClient(configureClient);
        builder.Services.AddOrleansInferenceClient();
        return builder;
    }

    /// <summary>Adds an <see cref="IInferenceClient"/> that calls through the <see cref="IGrainFactory"/> already registered: a silo's own, an Orleans client's or a test cluster's.</summary>
    public static IServiceCollection AddOrleansInferenceClient(this IServiceCollection services)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<IInferenceClient, RouterClient>();
        return services;
    }
}
