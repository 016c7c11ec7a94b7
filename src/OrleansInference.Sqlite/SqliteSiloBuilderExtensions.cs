using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Providers;
using Orleans.Runtime.Hosting;

namespace OrleansInference.Sqlite;

/// <summary>Registers storage and reminders on SQLite. Silos of one process may share a file; silos of several processes may not.</summary>
public static class SqliteSiloBuilderExtensions
{
    private static readonly TimeSpan RefreshPeriod = TimeSpan.FromMinutes(1);

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

    /// <summary>
    /// Keeps reminders in SQLite. Those that come soon are read every minute, and not every five, so that what was set since, of which the reminder service
    /// keeps a trace until then, takes a fifth of the memory. Who configures <see cref="ReminderOptions.RefreshReminderListPeriod"/> otherwise afterwards also configures
    /// <see cref="ReminderOptions.ReminderLoadingWindow"/>, which is two minutes. Options are checked when the silo starts.
    /// </summary>
    public static ISiloBuilder UseSqliteReminderService(this ISiloBuilder builder, Action<SqliteReminderOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.ConfigureServices(services =>
        {
            services.AddReminders();
            services.Configure<ReminderOptions>(static options => (options.RefreshReminderListPeriod, options.ReminderLoadingWindow) = (RefreshPeriod, 2 * RefreshPeriod));
            services.Configure(configure);
            services.AddTransient<IConfigurationValidator, SqliteReminderOptionsValidator>();
            services.ConfigureFormatter<SqliteReminderOptions>();
            services.TryAddSingleton(TimeProvider.System);
            services.AddSingleton<IReminderTable, SqliteReminderTable>();
        });
    }
}
