using Microsoft.Extensions.Logging;

namespace OrleansInference.Batch;

// Its progress, as whoever asks is told.
internal sealed partial class BatchGrain
{
    // Each time is a call to S3.
    private const long CountEveryMs = 1_000;

    private static readonly TimeSpan CountPatience = TimeSpan.FromSeconds(2);

    private long _countedAt;

    /// <summary>
    /// Counts for whoever asks what the transform job has put out since it was looked at, which may be a minute ago, so that progress is not behind the results.
    /// Between other steps: of what these change and have not stored yet nothing is shown.
    /// </summary>
    private async Task CountOutputsAsync()
    {
        if (_machine is not { Record: { MayRun: true, StartedAt: > 0, Ending: null } record } || Clock.Now < _countedAt + CountEveryMs)
        {
            return;
        }

        _countedAt = Clock.Now;
        using var late = new CancellationTokenSource(CountPatience, Clock.TimeProvider);
        try
        {
            var outputs = await files.OutputsAsync(_address, record, late.Token);
            if (_view is { EndedAt: null } view && _machine is { Record: { MayRun: true, Ending: null } present } machine && present.Round == record.Round)
            {
                _outputs = outputs;
                _view = view with { Done = machine.ToView(outputs)!.Done };
            }
        }
        catch (Exception exception)
        {
            // What was counted last is told.
            LogNotCounted(exception, _address.Key);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Batch {Batch}: its outputs could not be counted.")]
    private partial void LogNotCounted(Exception exception, string batch);
}
