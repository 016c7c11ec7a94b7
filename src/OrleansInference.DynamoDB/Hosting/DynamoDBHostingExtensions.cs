using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Messaging;
using Orleans.Providers;
using Orleans.Runtime.Hosting;
using Orleans.Serialization;
using Orleans.Storage;

namespace OrleansInference.DynamoDB;

/// <summary>Membership, gateways, grain storage and reminders on DynamoDB, under the names of the official packages. Options are checked before the start.</summary>
public static class DynamoDBHostingExtensions
{
    /// <summary>Silos find each other in a DynamoDB table.</summary>
    public static ISiloBuilder UseDynamoDBClustering(this ISiloBuilder builder, Action<DynamoDBClusteringOptions> configureOptions)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.ConfigureServices(services =>
        {
            services.Configure(configureOptions);
            services.AddTransient<IConfigurationValidator>(static provider => new DynamoDBOptionsValidator(Of<DynamoDBClusteringOptions>(provider), "DynamoDB clustering"));
            services.ConfigureFormatter<DynamoDBClusteringOptions>();
            services.AddTableHealth();
            services.AddSingleton<IMembershipTable, DynamoDBMembershipTable>();
        });
    }

    /// <summary>A client finds silos in a DynamoDB table.</summary>
    public static IClientBuilder UseDynamoDBClustering(this IClientBuilder builder, Action<DynamoDBGatewayOptions> configureOptions)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.ConfigureServices(services =>
        {
            services.Configure(configureOptions);
            services.AddTransient<IConfigurationValidator>(static provider => new DynamoDBOptionsValidator(Of<DynamoDBGatewayOptions>(provider), "DynamoDB gateways"));
            services.ConfigureFormatter<DynamoDBGatewayOptions>();
            services.AddSingleton<IGatewayListProvider, DynamoDBGatewayListProvider>();
        });
    }

    /// <summary>Adds DynamoDB grain storage as the default provider.</summary>
    public static ISiloBuilder AddDynamoDBGrainStorageAsDefault(this ISiloBuilder builder, Action<DynamoDBStorageOptions> configureOptions) =>
        builder.AddDynamoDBGrainStorage(ProviderConstants.DEFAULT_STORAGE_PROVIDER_NAME, configureOptions);

    /// <summary>Adds DynamoDB grain storage as the provider called <paramref name="name"/>.</summary>
    public static ISiloBuilder AddDynamoDBGrainStorage(this ISiloBuilder builder, string name, Action<DynamoDBStorageOptions> configureOptions)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        return builder.ConfigureServices(services =>
        {
            services.AddOptions<DynamoDBStorageOptions>(name).Configure(configureOptions);
            services.AddTransient<IPostConfigureOptions<DynamoDBStorageOptions>, DefaultStorageProviderSerializerOptionsConfigurator<DynamoDBStorageOptions>>();
            services.AddTransient<IConfigurationValidator>(provider => new DynamoDBOptionsValidator(Options(provider), $"DynamoDB grain storage '{name}'"));
            services.ConfigureNamedOptionForLogging<DynamoDBStorageOptions>(name);
            services.TryAddSingleton(TimeProvider.System);
            services.AddTableHealth();

            // Why a grain could not be read or written is told to the silo that called it; what Orleans does not know how to send would arrive there as a fault of the serializer.
            services.Configure<ExceptionSerializationOptions>(static options => options.SupportedNamespacePrefixes.UnionWith(["Amazon", "OrleansInference.DynamoDB"]));
            services.AddGrainStorage(name, (provider, key) => ActivatorUtilities.CreateInstance<DynamoDBGrainStorage>(provider, key, Options(provider)));
        });

        DynamoDBStorageOptions Options(IServiceProvider provider) => provider.GetRequiredService<IOptionsMonitor<DynamoDBStorageOptions>>().Get(name);
    }

    /// <summary>Keeps reminders in a DynamoDB table.</summary>
    public static ISiloBuilder UseDynamoDBReminderService(this ISiloBuilder builder, Action<DynamoDBReminderStorageOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.ConfigureServices(services =>
        {
            services.AddReminders();
            services.Configure(configure);
            services.AddTransient<IConfigurationValidator>(static provider => new DynamoDBOptionsValidator(Of<DynamoDBReminderStorageOptions>(provider), "DynamoDB reminders"));
            services.ConfigureFormatter<DynamoDBReminderStorageOptions>();
            services.TryAddSingleton(TimeProvider.System);
            services.AddTableHealth();
            services.AddSingleton<IReminderTable, DynamoDBReminderTable>();
        });
    }

    private static void AddTableHealth(this IServiceCollection services) => services.TryAddSingleton<TableHealth>(static _ => new());

    private static T Of<T>(IServiceProvider provider)
        where T : class => provider.GetRequiredService<IOptions<T>>().Value;
}
