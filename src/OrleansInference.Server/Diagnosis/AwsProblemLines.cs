using System.Globalization;

namespace OrleansInference.Diagnosis;

/// <summary>
/// Tells what AWS refuses in one line with its remedy, and not with a stack trace, whose cause is not in this program. Of the same again and again it tells at growing intervals, with how
/// often it was: a throttled table would fill the log.
/// </summary>
internal sealed class AwsProblemLines(ILoggerProvider inner, TimeProvider time) : ILoggerProvider, ISupportExternalScope
{
    private const int MostKinds = 1_000;
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(1);
    private readonly Dictionary<(string Category, int Event, string Problem), Kind> _kinds = [];
    private readonly Lock _lock = new();

    public ILogger CreateLogger(string categoryName) => new Logger(this, inner.CreateLogger(categoryName), categoryName);

    public void SetScopeProvider(IExternalScopeProvider scopeProvider) => (inner as ISupportExternalScope)?.SetScopeProvider(scopeProvider);

    public void Dispose() => inner.Dispose();

    /// <summary>Whether one more of a kind is to be told, and how many were not since the last.</summary>
    private bool IsTold((string Category, int Event, string Problem) of, out long untold)
    {
        lock (_lock)
        {
            var now = time.GetTimestamp();
            if (!_kinds.TryGetValue(of, out var kind))
            {
                if (_kinds.Count >= MostKinds)
                {
                    _kinds.Clear();
                }

                _kinds[of] = kind = new() { ToldAt = now, Pause = FirstPause };
                untold = 0;
                return true;
            }

            var since = time.GetElapsedTime(kind.ToldAt, now);
            if (since < kind.Pause)
            {
                kind.Untold++;
                untold = 0;
                return false;
            }

            // What has not come for long begins anew.
            kind.Pause = since > kind.Pause + LongestPause ? FirstPause : kind.Pause * 2 < LongestPause ? kind.Pause * 2 : LongestPause;
            kind.ToldAt = now;
            (untold, kind.Untold) = (kind.Untold, 0);
            return true;
        }
    }

    private sealed class Kind
    {
        public long ToldAt { get; set; }

        public TimeSpan Pause { get; set; }

        public long Untold { get; set; }
    }

    private sealed class Logger(AwsProblemLines lines, ILogger inner, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => inner.BeginScope(state);

        public bool IsEnabled(LogLevel logLevel) => inner.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (exception is null || AwsProblem.Of(exception) is not { } problem)
            {
                inner.Log(logLevel, eventId, state, exception, formatter);
            }
            else if (lines.IsTold((category, eventId.Id, problem.Remedy), out var untold))
            {
                inner.Log(logLevel, eventId, state, null, (said, _) => Line(formatter(said, null), problem, untold));
            }
        }

        private static string Line(string said, AwsProblem problem, long untold)
        {
            var often = untold == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" ({untold} more like it since the last one that was told)");
            return $"{said.TrimEnd().TrimEnd('.')}: {problem.Detail.TrimEnd('.')}. {problem.Remedy}{often}";
        }
    }
}

internal static class AwsProblemLinesHosting
{
    /// <summary>Puts them around the one logger provider that there is, unless so much is logged that more than that is wanted.</summary>
    public static IServiceCollection AddAwsProblemLines(this IServiceCollection services, LogLevel least)
    {
        if (least <= LogLevel.Debug)
        {
            return services;
        }

        var provider = services.Single(static service => service.ServiceType == typeof(ILoggerProvider));
        services.Remove(provider);
        return services.AddSingleton<ILoggerProvider>(all => new AwsProblemLines(
            (ILoggerProvider)(provider.ImplementationFactory?.Invoke(all) ?? ActivatorUtilities.CreateInstance(all, provider.ImplementationType!)),
            TimeProvider.System));
    }
}
