using Microsoft.Extensions.Logging;
using OrleansInference.Hosting;

namespace OrleansInference.Tests.Hosting;

public sealed class FalseAlarmFilterTests
{
    [Theory]
    [InlineData(FalseAlarmFilter.Category, FalseAlarmFilter.NoOtherSilo, true, false)]
    [InlineData(FalseAlarmFilter.Category, FalseAlarmFilter.NoOtherSilo, false, true)]
    [InlineData(FalseAlarmFilter.Category, "AnotherError", true, true)]
    [InlineData("Orleans.Catalog", FalseAlarmFilter.NoOtherSilo, true, true)]
    public void Only_what_a_stopping_silo_says_of_a_grain_that_cannot_move_is_left_out(string category, string name, bool isStopping, bool isSaid)
    {
        var lines = new Lines();
        using var filter = new FalseAlarmFilter(lines, () => isStopping);
        filter.CreateLogger(category).Log(LogLevel.Error, new EventId(7, name), "text", null, static (text, _) => text);
        Assert.Equal(isSaid ? [$"{category} Error text"] : [], lines.Said);
    }

    private sealed class Lines : ILoggerProvider
    {
        public List<string> Said { get; } = [];

        public ILogger CreateLogger(string categoryName) => new Line(this, categoryName);

        public void Dispose()
        {
        }

        private sealed class Line(Lines lines, string category) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull => null;

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
                lines.Said.Add($"{category} {logLevel} {formatter(state, exception)}");
        }
    }
}
