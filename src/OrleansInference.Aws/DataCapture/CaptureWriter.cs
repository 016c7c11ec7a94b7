using System.Globalization;
using System.Threading.Channels;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansInference.Payloads;
using OrleansInference.Telemetry;

namespace OrleansInference.Aws.DataCapture;

/// <summary>Writes captured calls to S3 behind the requests: those of an endpoint and variant that come within a minute share an object. What does not fit is left out and counted.</summary>
internal sealed partial class CaptureWriter : BackgroundService
{
    private const int Attempts = 4;
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(10);
    private readonly IObjectStore _objects;
    private readonly DataCaptureOptions _options;
    private readonly List<JsonPath> _redact;
    private readonly TimeProvider _time;
    private readonly ILogger<CaptureWriter> _logger;
    private readonly Channel<CapturedCall> _pending;
    private readonly Dictionary<(string Endpoint, string Variant, DateTimeOffset Hour), (MemoryStream Lines, DateTimeOffset Since)> _open = [];

    public CaptureWriter(IObjectStore objects, DataCaptureOptions options, TimeProvider time, ILogger<CaptureWriter> logger)
    {
        (_objects, _options, _time, _logger) = (objects, options, time, logger);
        _redact = [.. options.Redact.Select(static text => JsonPath.Parse(text, out var problem) ?? throw new ArgumentException($"'{text}': {problem}."))];
        _pending = Channel.CreateBounded<CapturedCall>(new BoundedChannelOptions(options.MaxPending) { SingleReader = true });
    }

    /// <summary>Takes a call to be written, or leaves it out if too many wait.</summary>
    public void Add(CapturedCall call)
    {
        if (!_pending.Writer.TryWrite(call))
        {
            RouterTelemetry.Captured("dropped", 1);
        }
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        _pending.Writer.TryComplete();
        if (ExecuteTask is { } writing)
        {
            await writing.WaitAsync(StopPatience, _time, cancellationToken).ContinueWith(static _ => { }, TaskScheduler.Default);
        }

        await base.StopAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var tick = TimeSpan.FromTicks(Math.Max(TimeSpan.FromMilliseconds(20).Ticks, _options.FlushEvery.Ticks / 10));
        while (!_pending.Reader.Completion.IsCompleted)
        {
            using (var wait = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken))
            {
                wait.CancelAfter(tick);
                try
                {
                    while (await _pending.Reader.WaitToReadAsync(wait.Token))
                    {
                        while (_pending.Reader.TryRead(out var call))
                        {
                            await AppendAsync(call, stoppingToken);
                        }
                    }
                }
                catch (OperationCanceledException) when (!stoppingToken.IsCancellationRequested)
                {
                    // Time to look what is due.
                }
            }

            await FlushAsync(_time.GetUtcNow() - _options.FlushEvery, stoppingToken);
        }

        await FlushAsync(DateTimeOffset.MaxValue, stoppingToken);
    }

    private async Task AppendAsync(CapturedCall call, CancellationToken cancellationToken)
    {
        if (LineOf(call) is not { } line)
        {
            RouterTelemetry.Captured("unredactable", 1);
            return;
        }

        var at = call.At.UtcDateTime;
        var key = (call.Endpoint, call.Variant, new DateTimeOffset(at.Year, at.Month, at.Day, at.Hour, 0, 0, TimeSpan.Zero));
        if (!_open.TryGetValue(key, out var open))
        {
            open = (new(), _time.GetUtcNow());
            _open[key] = open;
        }

        open.Lines.Write(line);
        if (open.Lines.Length >= _options.ObjectBytes)
        {
            await WriteAsync(key, cancellationToken);
        }
    }

    /// <summary>The line of a call; null if it cannot be made. What callers send must not end this service, and the server with it.</summary>
    private byte[]? LineOf(CapturedCall call)
    {
        try
        {
            return CaptureLine.Of(call, Guid.NewGuid(), _redact);
        }
        catch (Exception exception)
        {
            LogNoLine(exception, call.Endpoint);
            return null;
        }
    }

    private async Task FlushAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        foreach (var key in _open.Where(open => open.Value.Since <= before).Select(static open => open.Key).ToList())
        {
            await WriteAsync(key, cancellationToken);
        }
    }

    private async Task WriteAsync((string Endpoint, string Variant, DateTimeOffset Hour) key, CancellationToken cancellationToken)
    {
        _open.Remove(key, out var open);
        var name = string.Create(
            CultureInfo.InvariantCulture,
            $"{_options.Prefix.Trim('/')}/{key.Endpoint}/{key.Variant}/{key.Hour:yyyy/MM/dd/HH}/{_time.GetUtcNow():mm-ss-fff}-{Guid.NewGuid():N}.jsonl");
        var body = open.Lines.ToArray();
        var lines = body.AsSpan().Count((byte)'\n');
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await _objects.PutAsync(_options.Bucket, name, body, "application/jsonlines", cancellationToken);
                RouterTelemetry.Captured("written", lines);
                return;
            }
            catch (Exception exception) when (exception is not OperationCanceledException)
            {
                if (attempt == Attempts)
                {
                    LogLost(lines, key.Endpoint, _options.Bucket, exception.Message);
                    RouterTelemetry.Captured("failed", lines);
                    return;
                }
            }

            await Task.Delay(FirstPause * Math.Pow(2, attempt - 1), _time, cancellationToken);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "A call of endpoint {Endpoint} could not be written as a line and is left out of the capture.")]
    private partial void LogNoLine(Exception exception, string endpoint);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Lines} captured calls of endpoint {Endpoint} could not be written to bucket {Bucket} and are lost: {Problem}")]
    private partial void LogLost(int lines, string endpoint, string bucket, string problem);
}
