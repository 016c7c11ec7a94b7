using Amazon.Runtime;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using OrleansInference.Diagnosis;
using OrleansInference.Invocation;

namespace OrleansInference.Tests.Diagnosis;

public sealed class AwsProblemLinesTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly List<string> _said = [];

    [Fact]
    public void What_AWS_refuses_is_one_line_with_its_remedy_however_deep_it_lies()
    {
        using var lines = new AwsProblemLines(new Lines(_said), _time);
        var refused = new AmazonServiceException("User: silo is not authorized\nto perform: s3:PutObject", null, ErrorType.Sender, "AccessDenied", "1", System.Net.HttpStatusCode.Forbidden);
        lines.CreateLogger("a").Log(LogLevel.Warning, new(1), "Job j: its input could not be stored.", new InvalidOperationException("around it", refused), static (text, _) => text);
        Assert.Equal(["Job j: its input could not be stored: it is not permitted: User: silo is not authorized to perform: s3:PutObject. Add the action to the policy of the server's role; deploy/cloudformation has one with all that is needed."], _said);
    }

    [Fact]
    public void Calls_of_models_are_told_alike()
    {
        using var lines = new AwsProblemLines(new Lines(_said), _time);
        lines.CreateLogger("a").Log(LogLevel.Error, new(1), "InvokeEndpoint was refused.", new ModelCallException(ModelCallFailure.Configuration, "Endpoint x of account 1 not found.") { ErrorType = "ValidationError", Status = 400 }, static (text, _) => text);
        Assert.StartsWith("InvokeEndpoint was refused: there is no such thing: Endpoint x of account 1 not found. Create it", Assert.Single(_said), StringComparison.Ordinal);
    }

    [Fact]
    public void That_a_silo_cannot_be_reached_is_one_line_and_not_one_for_each_request()
    {
        using var lines = new AwsProblemLines(new Lines(_said), _time);
        var dead = new OrleansException("around it", new SiloUnavailableException("The target silo\nhas just died."));
        var (ours, runtimes) = (lines.CreateLogger("OrleansInference.Dispatch.Dispatcher"), lines.CreateLogger("Orleans.Messaging"));
        for (var i = 0; i < 1_000; i++)
        {
            ours.Log(LogLevel.Error, new(1), "A request could not be served.", dead, static (text, _) => text);
            runtimes.Log(LogLevel.Warning, new(2), "Connection attempt failed.", new IOException("refused"), static (text, _) => text);
        }

        Assert.Equal(["A request could not be served: SiloUnavailableException: The target silo has just died.", "Connection attempt failed: IOException: refused"], _said);
        _time.Advance(TimeSpan.FromSeconds(2));
        ours.Log(LogLevel.Error, new(1), "A request could not be served.", dead, static (text, _) => text);
        Assert.EndsWith("(999 more like it since the last one that was told)", _said[^1], StringComparison.Ordinal);
        ours.Log(LogLevel.Error, new(3), "text", new IOException("a fault of ours"), static (text, exception) => $"{text} {exception!.Message}");
        Assert.Equal("text a fault of ours", _said[^1]);
    }

    [Fact]
    public void Anything_else_is_told_as_it_is()
    {
        using var lines = new AwsProblemLines(new Lines(_said), _time);
        var fault = new InvalidOperationException("a fault of ours");
        var logger = lines.CreateLogger("a");
        logger.Log(LogLevel.Error, new(1), "text", fault, static (text, exception) => $"{text} {exception!.Message}");
        logger.Log(LogLevel.Error, new(1), "text", null, static (text, _) => text);
        Assert.Equal(["text a fault of ours", "text"], _said);
    }

    [Fact]
    public void A_call_between_silos_that_fails_is_not_told_to_be_of_AWS_and_one_of_AWS_says_why()
    {
        using var lines = new AwsProblemLines(new Lines(_said), _time);
        var logger = lines.CreateLogger("a");
        logger.Log(LogLevel.Warning, new(1), "text", new TimeoutException("Response did not arrive on time: grain g"), static (text, exception) => $"{text} {exception!.Message}");
        logger.Log(LogLevel.Warning, new(1), "text", new System.Net.Sockets.SocketException(111), static (text, exception) => $"{text} {exception!.GetType().Name}");
        Assert.Equal(["text Response did not arrive on time: grain g", "text SocketException"], _said);
        logger.Log(LogLevel.Warning, new(1), "InvokeEndpoint failed.", new ModelCallException(ModelCallFailure.Unavailable, "no answer", new TimeoutException("within 60 s")), static (text, _) => text);
        Assert.StartsWith("InvokeEndpoint failed: it did not answer in time: within 60 s. Check the network", _said[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void A_throttled_endpoint_is_told_in_one_line_at_growing_intervals_with_what_to_do_about_it()
    {
        using var lines = new AwsProblemLines(new Lines(_said), _time);
        var logger = lines.CreateLogger("a");
        for (var call = 0; call < 1_000; call++)
        {
            logger.Log(LogLevel.Warning, new(1), "InvokeEndpoint of endpoint x failed.", new ModelCallException(ModelCallFailure.Throttled, "Rate exceeded") { ErrorType = "ThrottlingException", Status = 400 }, static (text, _) => text);
            _time.Advance(TimeSpan.FromSeconds(0.01));
        }

        // At 0 s, after 1, 2 and 4 s.
        Assert.Equal([0, 99, 199, 399], _said.Select(Untold));
        Assert.Equal("InvokeEndpoint of endpoint x failed: it is throttled: Rate exceeded. See whether concurrencyPerInstance in the catalog is more than the endpoint takes, raise maxInstances, or ask for a higher quota.", _said[0]);
    }

    [Fact]
    public void An_answer_that_breaks_off_is_told_alike()
    {
        using var lines = new AwsProblemLines(new Lines(_said), _time);
        var logger = lines.CreateLogger("a");
        foreach (var cause in (Exception[])[new HttpIOException(HttpRequestError.ResponseEnded, "The response ended prematurely."), new OrleansInference.Aws.EventStreams.EventStreamFormatException("The checksum of a message is wrong.")])
        {
            logger.Log(LogLevel.Warning, new(1), "text", new ModelCallException(ModelCallFailure.Unavailable, "The call of SageMaker broke off", cause), static (text, exception) => $"{text} {exception}");
        }

        Assert.StartsWith("text: its answer broke off: The response ended prematurely. (ResponseEnded). Check the network", Assert.Single(_said), StringComparison.Ordinal);
    }

    [Fact]
    public void What_was_refused_on_another_silo_is_told_by_its_type_and_message()
    {
        using var lines = new AwsProblemLines(new Lines(_said), _time);
        lines.CreateLogger("a").Log(LogLevel.Error, new(1), "text", new InvalidOperationException("around it", new Amazon.DynamoDBv2.Model.ProvisionedThroughputExceededException("too much")), static (text, _) => text);
        Assert.StartsWith("text: it is throttled: too much. Raise the table's throughput", Assert.Single(_said), StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_again_is_told_at_growing_intervals_with_how_often_it_was()
    {
        using var lines = new AwsProblemLines(new Lines(_said), _time);
        var logger = lines.CreateLogger("a");
        for (var tenth = 0; tenth < 100; tenth++)
        {
            Throttled(logger, 1);
            _time.Advance(TimeSpan.FromSeconds(0.1));
        }

        // At 0 s, after 1, 2 and 4 s.
        Assert.Equal([0, 9, 19, 39], _said.Select(Untold));

        // Of another kind it is told at once.
        Throttled(logger, 2);
        Throttled(lines.CreateLogger("b"), 1);
        logger.Log(LogLevel.Warning, new(1), "text", new AmazonServiceException("expired", null, ErrorType.Sender, "ExpiredToken", "1", System.Net.HttpStatusCode.BadRequest), static (text, _) => text);
        Assert.Equal([0, 0, 0], _said.Skip(4).Select(Untold));

        _time.Advance(TimeSpan.FromHours(1));
        Throttled(logger, 1);
        _time.Advance(TimeSpan.FromSeconds(1));
        Throttled(logger, 1);
        Assert.Equal(9, _said.Count);
    }

    [Fact]
    public void Each_of_a_few_that_it_is_about_is_told_at_once()
    {
        using var lines = new AwsProblemLines(new Lines(_said), _time);
        var logger = lines.CreateLogger("a");
        for (var queue = 0; queue < 50; queue++)
        {
            Throttled(logger, 1, $"queue {queue % 25}");
        }

        Assert.Equal(Enumerable.Range(0, 10).Select(static queue => $"queue {queue}"), _said.Select(static line => line[..line.IndexOf(':', StringComparison.Ordinal)]));
        _time.Advance(TimeSpan.FromSeconds(1));
        Throttled(logger, 1, "queue 24");
        Assert.Equal(40, Untold(_said[^1]));
    }

    private static void Throttled(ILogger logger, int id, string said = "text") =>
        logger.Log(LogLevel.Warning, new(id), said, new AmazonServiceException("slow down", null, ErrorType.Sender, "ThrottlingException", "1", System.Net.HttpStatusCode.BadRequest), static (text, _) => text);

    private static int Untold(string line) =>
        line.LastIndexOf('(') is >= 0 and var at && line.EndsWith("told)", StringComparison.Ordinal) ? int.Parse(line[(at + 1)..line.IndexOf(' ', at)], System.Globalization.CultureInfo.InvariantCulture) : 0;

    private sealed class Lines(List<string> said) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => said.Add(formatter(state, exception));

        public void Dispose()
        {
        }
    }
}
