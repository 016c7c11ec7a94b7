using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Providers;
using Orleans.Runtime.Hosting;

namespace OrleansInference.Sqlite;

/// <summary>Registers storage and reminders on SQLite. Silos of one process may share a file; silos of several processes may not.</summary>
public static class SqliteSiloBuilderExtensions
{
    /// <summary>Adds SQLite grain storage as the default provider.</summary>
    public static ISiloBuilder AddSqliteGrainStorageAsDefault(this ISiloBuilder builder, Action<SqliteStorageOptions> configure) =>
        builder.AddSqliteGrainStorage(ProviderConstants.DEFAULT_STORAGE_PROVIDER_NAME, configure);

    /// <summary>Adds SQLite grain storage as the provider called <paramref name="name"/>. Options are checked when the silo starts.</summary>
    public static ISiloBuilder AddSqliteGrainStorage(this ISiloBuilder builder, string name, Action<SqliteStorageOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        return builder.ConfigureServices(services =>
        {
            services.AddOptions<SqliteStorageOptions>(name).Configure(configure);
            services.AddTransient<IConfigurationValidator>(provider => new SqliteStorageOptionsValidator(Options(provider), name));
            services.ConfigureNamedOptionForLogging<SqliteStorageOptions>(name);
            services.AddGrainStorage(name, (provider, key) => ActivatorUtilities.CreateInstance<SqliteGrainStorage>(provider, key, Options(provider)));
        });

        SqliteStorageOptions Options(IServiceProvider provider) => provider.GetRequiredService<IOptionsMonitor<SqliteStorageOptions>>().Get(name);
    }

    /// <summary>Keeps reminders in SQLite. Options are checked when the silo starts.</summary>
    public static ISiloBuilder UseSqliteReminderService(this ISiloBuilder builder, Action<SqliteReminderOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.ConfigureServices(services =>
        {
            services.AddReminders();
            services.Configure(configure);
            services.AddTransient<IConfigurationValidator, SqliteReminderOptionsValidator>();
            services.ConfigureFormatter<SqliteReminderOptions>();
            services.AddSingleton<IReminderTable, SqliteReminderTable>();
        });
    }
}
