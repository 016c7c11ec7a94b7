using OrleansInference.Hosting;

namespace OrleansInference.LocalAws.Models;

/// <summary>One invocation of a simulated endpoint or model, as it ended.</summary>
/// <param name="Endpoint">SageMaker's name of the endpoint (of the model, for a transform job).</param>
/// <param name="Operation">InvokeEndpoint, InvokeEndpointWithResponseStream, InvokeEndpointAsync or TransformJob.</param>
/// <param name="InferenceId">Inference id, or the transform job's name.</param>
/// <param name="CustomAttributes">Custom attributes as sent.</param>
/// <param name="ReceivedAt">Unix ms on the models' clock when it reached the endpoint.</param>
/// <param name="StartedAt">When a slot began to serve it; null if none did.</param>
/// <param name="EndedAt">When it was answered.</param>
/// <param name="InputTokens">Tokens read.</param>
/// <param name="OutputTokens">Tokens written.</param>
/// <param name="Outcome">Completed, or AWS's name of the error, or Cancelled.</param>
public sealed record InvocationRecord(
    string Endpoint, string Operation, string? InferenceId, string? CustomAttributes, long ReceivedAt, long? StartedAt, long EndedAt, int InputTokens, int OutputTokens, string Outcome);

/// <summary>Counts of one endpoint since the server started.</summary>
public sealed record InvocationCounts
{
    /// <summary>Invocations under way, waiting or being served.</summary>
    public int InFlight { get; init; }

    /// <summary>The most that were under way at once.</summary>
    public int MaxInFlight { get; init; }

    /// <summary>Invocations holding a slot.</summary>
    public int Serving { get; init; }

    /// <summary>The most that held a slot at once.</summary>
    public int MaxServing { get; init; }

    /// <summary>Invocations that ended, well or not.</summary>
    public long Total { get; init; }

    /// <summary>Those that ended well.</summary>
    public long Completed { get; init; }

    /// <summary>Those refused by throttling.</summary>
    public long Throttled { get; init; }

    /// <summary>Those that ended in another error, or were cancelled.</summary>
    public long Failed { get; init; }

    /// <summary>Serverless starts from cold.</summary>
    public long ColdStarts { get; init; }

    /// <summary>Seconds of slots in use, on the models' clock.</summary>
    public double ServiceSeconds { get; init; }
}

/// <summary>What was invoked, for those who check from outside what a router did.</summary>
internal sealed class InvocationLog(RouterClock clock)
{
    /// <summary>Records kept; older ones are dropped.</summary>
    public const int MaxRecords = 20_000;

    private readonly Dictionary<string, InvocationCounts> _counts = new(StringComparer.Ordinal);
    private readonly Queue<InvocationRecord> _records = new();
    private readonly Lock _gate = new();

    public IReadOnlyDictionary<string, InvocationCounts> Counts()
    {
        lock (_gate)
        {
            return new Dictionary<string, InvocationCounts>(_counts, StringComparer.Ordinal);
        }
    }

    public IReadOnlyList<InvocationRecord> Records()
    {
        lock (_gate)
        {
            return [.. _records];
        }
    }

    /// <summary>An invocation reached its endpoint.</summary>
    public Entry Open(string endpoint, string operation, string? inferenceId, string? customAttributes)
    {
        lock (_gate)
        {
            var counts = Counts_NeedsLock(endpoint);
            _counts[endpoint] = counts with { InFlight = counts.InFlight + 1, MaxInFlight = Math.Max(counts.MaxInFlight, counts.InFlight + 1) };
        }

        return new(this, endpoint, operation, inferenceId, customAttributes);
    }

    private long Now => clock.Now;

    private InvocationCounts Counts_NeedsLock(string endpoint) => _counts.GetValueOrDefault(endpoint) ?? new();

    /// <summary>One invocation under way. Disposing it ends it, as cancelled unless its outcome was told.</summary>
    internal sealed class Entry(InvocationLog log, string endpoint, string operation, string? inferenceId, string? customAttributes) : IDisposable
    {
        private readonly long _received = log.Now;
        private long? _started;
        private string _outcome = "Cancelled";
        private ModelRun? _run;
        private bool _ended;

        public void ColdStart()
        {
            lock (log._gate)
            {
                var counts = log.Counts_NeedsLock(endpoint);
                log._counts[endpoint] = counts with { ColdStarts = counts.ColdStarts + 1 };
            }
        }

        /// <summary>A slot serves it from now on.</summary>
        public void Start()
        {
            lock (log._gate)
            {
                _started = log.Now;
                var counts = log.Counts_NeedsLock(endpoint);
                log._counts[endpoint] = counts with { Serving = counts.Serving + 1, MaxServing = Math.Max(counts.MaxServing, counts.Serving + 1) };
            }
        }

        public void Ran(ModelRun run) => _run = run;

        public void End(string outcome) => _outcome = outcome;

        public void Dispose()
        {
            if (_ended)
            {
                return;
            }

            _ended = true;
            lock (log._gate)
            {
                var now = log.Now;
                var counts = log.Counts_NeedsLock(endpoint);
                var completed = _outcome == "Completed";
                var throttled = _outcome == "ThrottlingException";
                log._counts[endpoint] = counts with
                {
                    InFlight = counts.InFlight - 1,
                    Serving = counts.Serving - (_started is null ? 0 : 1),
                    Total = counts.Total + 1,
                    Completed = counts.Completed + (completed ? 1 : 0),
                    Throttled = counts.Throttled + (throttled ? 1 : 0),
                    Failed = counts.Failed + (completed || throttled ? 0 : 1),
                    ServiceSeconds = counts.ServiceSeconds + (_started is { } started ? (now - started) / 1000.0 : 0),
                };
                if (log._records.Count == MaxRecords)
                {
                    log._records.Dequeue();
                }

                log._records.Enqueue(new(endpoint, operation, inferenceId, customAttributes, _received, _started, now, _run?.InputTokens ?? 0, completed ? _run?.OutputTokens ?? 0 : 0, _outcome));
            }
        }
    }
}
