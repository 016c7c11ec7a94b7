using System.Globalization;

namespace OrleansInference.Diagnosis;

/// <summary>
/// Tells what AWS refuses in one line with its remedy, and that another silo cannot be reached in one line, and not with a stack trace, whose cause is not in this program. Of the same again and again it tells at growing intervals, with how
/// often it was: a throttled table would fill the log. What it is about (a queue, an endpoint) is told at once, unless it is of too many.
/// </summary>
internal sealed class AwsProblemLines(ILoggerProvider inner, TimeProvider time) : ILoggerProvider, ISupportExternalScope
{
    private const int MostKinds = 1_000;
    private const int MostTexts = 10;
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(1);
    private readonly Dictionary<(string Category, int Event, string Problem), Kind> _kinds = [];
    private readonly Lock _lock = new();

    public ILogger CreateLogger(string categoryName) => new Logger(this, inner.CreateLogger(categoryName), categoryName);

    public void SetScopeProvider(IExternalScopeProvider scopeProvider) => (inner as ISupportExternalScope)?.SetScopeProvider(scopeProvider);

    public void Dispose() => inner.Dispose();

    /// <summary>Whether one more of a kind is to be told, and how many were not since the last.</summary>
    private bool IsTold((string Category, int Event, string Problem) of, string text, out long untold)
    {
        untold = 0;
        lock (_lock)
        {
            var now = time.GetTimestamp();
            if (!_kinds.TryGetValue(of, out var kind))
            {
                if (_kinds.Count >= MostKinds)
                {
                    _kinds.Clear();
                }

                _kinds[of] = new() { ToldAt = now, Pause = FirstPause, Texts = { text } };
                return true;
            }

            if (kind.Texts.Count < MostTexts && kind.Texts.Add(text))
            {
                return true;
            }

            var since = time.GetElapsedTime(kind.ToldAt, now);
            if (since < kind.Pause)
            {
                kind.Untold++;
                return false;
            }

            // What has not come for long begins anew.
            if (since > kind.Pause + LongestPause)
            {
                kind.Pause = FirstPause;
                kind.Texts.Clear();
                kind.Texts.Add(text);
            }
            else
            {
                kind.Pause = kind.Pause * 2 < LongestPause ? kind.Pause * 2 : LongestPause;
            }

            kind.ToldAt = now;
            (untold, kind.Untold) = (kind.Untold, 0);
            return true;
        }
    }

    private sealed class Kind
    {
        public HashSet<string> Texts { get; } = new(StringComparer.Ordinal);

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
            if (exception is not null && AwsProblem.Of(exception, isOfAws: false) is { } problem)
            {
                Tell(problem.Remedy, $"{problem.Detail.TrimEnd('.')}. {problem.Remedy}");
            }
            else if (exception is not null && SiloProblem.Of(exception, category, out var kind) is { } detail)
            {
                Tell(kind, detail);
            }
            else
            {
                inner.Log(logLevel, eventId, state, exception, formatter);
            }

            void Tell(string kind, string detail)
            {
                var text = AwsProblem.Line(formatter(state, null));
                if (lines.IsTold((category, eventId.Id, kind), text, out var untold))
                {
                    inner.Log(logLevel, eventId, state, null, (_, _) => Line(text, detail, untold));
                }
            }
        }

        private static string Line(string said, string detail, long untold)
        {
            var often = untold == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" ({untold} more like it since the last one that was told)");
            return $"{said.TrimEnd().TrimEnd('.')}: {detail}{often}";
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
