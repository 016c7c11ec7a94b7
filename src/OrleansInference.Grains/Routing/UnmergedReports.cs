namespace OrleansInference.Routing;

/// <summary>
/// A silo's latency reports on a model that no snapshot has shown to be merged yet: a grain that was lost with its silo takes them again.
/// Bounded; the oldest go first. Safe for concurrent use.
/// </summary>
internal sealed class UnmergedReports(string holder)
{
    private const int MaxReports = 120;
    private readonly Lock _lock = new();
    private readonly Queue<LatencyReport> _reports = new();
    private string? _activation;
    private long _sentUpTo;

    /// <summary>What an earlier activation had published, to be offered to the present one; null if there is nothing to offer.</summary>
    public LatencyRecovery? Recovery { get; private set; }

    /// <summary>Keeps a report until it is merged.</summary>
    public void Add(LatencyReport report)
    {
        lock (_lock)
        {
            _reports.Enqueue(report);
            if (_reports.Count > MaxReports)
            {
                _reports.Dequeue();
            }
        }
    }

    /// <summary>What is to be sent now, in order.</summary>
    public LatencyReport[] ToSend()
    {
        lock (_lock)
        {
            return [.. _reports.Where(report => report.Sequence > _sentUpTo)];
        }
    }

    /// <summary>The present activation has a report.</summary>
    public void Sent(LatencyReport report)
    {
        lock (_lock)
        {
            _sentUpTo = Math.Max(_sentUpTo, report.Sequence);
        }
    }

    /// <summary>The present activation has what was offered.</summary>
    public void Recovered(LatencyRecovery recovery)
    {
        lock (_lock)
        {
            Recovery = Recovery == recovery ? null : Recovery;
        }
    }

    /// <summary>A snapshot came in place of <paramref name="before"/>.</summary>
    public void Took(RoutingSnapshot snapshot, RoutingSnapshot? before)
    {
        lock (_lock)
        {
            if (snapshot.Activation != _activation)
            {
                // Another activation: it has what was stored, and what the silos know beyond that.
                Recovery = _activation is not null && snapshot.Activation is not null && before is { Latency.IsEmpty: false }
                    ? new() { Version = before.Version, Latency = before.Latency, Reported = before.Reported }
                    : null;
                (_activation, _sentUpTo) = (snapshot.Activation, 0);
            }

            var merged = snapshot.Reported.GetValueOrDefault(holder);
            while (_reports.TryPeek(out var report) && report.Sequence <= merged)
            {
                _reports.Dequeue();
            }
        }
    }
}
