namespace OrleansInference.Hosting;

/// <summary>
/// Keeps from an operator what Orleans logs as an error and is none: that a grain which was to move when its silo stops found no other silo. It is
/// taken up wherever it is asked for next.
/// </summary>
internal sealed class FalseAlarmFilter(ILoggerProvider inner, Func<bool> isStopping) : ILoggerProvider, ISupportExternalScope
{
    public const string Category = "Orleans.Grain";
    public const string NoOtherSilo = "LogErrorSelectingMigrationDestination";

    public ILogger CreateLogger(string categoryName) =>
        inner.CreateLogger(categoryName) is var logger && categoryName == Category ? new Logger(logger, isStopping) : logger;

    public void SetScopeProvider(IExternalScopeProvider scopeProvider) => (inner as ISupportExternalScope)?.SetScopeProvider(scopeProvider);

    public void Dispose() => inner.Dispose();

    private sealed class Logger(ILogger inner, Func<bool> isStopping) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => inner.BeginScope(state);

        public bool IsEnabled(LogLevel logLevel) => inner.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (eventId.Name != NoOtherSilo || !isStopping())
            {
                inner.Log(logLevel, eventId, state, exception, formatter);
            }
        }
    }
}

internal static class FalseAlarmFilterHosting
{
    /// <summary>Puts the filter around the one logger provider that there is.</summary>
    public static IServiceCollection AddFalseAlarmFilter(this IServiceCollection services)
    {
        var provider = services.Single(static service => service.ServiceType == typeof(ILoggerProvider));
        services.Remove(provider);

        // Whether it stops is asked when there is something to say: what tells it logs itself.
        return services.AddSingleton<ILoggerProvider>(all => new FalseAlarmFilter(
            (ILoggerProvider)ActivatorUtilities.CreateInstance(all, provider.ImplementationType!),
            () => all.GetService<IHostApplicationLifetime>()?.ApplicationStopping.IsCancellationRequested ?? false));
    }
}
