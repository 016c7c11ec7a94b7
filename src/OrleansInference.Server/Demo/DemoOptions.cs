namespace OrleansInference.Demo;

/// <summary>The demo's command line.</summary>
internal sealed record DemoOptions
{
    public const double DefaultSpeed = 10;
    public const double DefaultMinutes = 18;
    public const double MaxMinutes = 60;

    /// <summary>How many times faster than life the replay, the router's clock and the embedded AWS run; 1..200.</summary>
    public double Speed { get; init; } = DefaultSpeed;

    /// <summary>Minutes of the trace to replay, above 0 and at most <see cref="MaxMinutes"/>.</summary>
    public double Minutes { get; init; } = DefaultMinutes;

    /// <summary>Folder for the ledger and the embedded AWS; null makes a new one below the temporary folder.</summary>
    public string? DataFolder { get; init; }

    /// <summary>Port of the front door on 127.0.0.1; 0 picks a free one.</summary>
    public int Port { get; init; } = 8080;

    /// <summary>Whether to end after the summary.</summary>
    public bool Exit { get; init; }
}
