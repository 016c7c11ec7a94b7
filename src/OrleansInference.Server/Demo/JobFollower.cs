using System.Collections.Concurrent;
using System.Threading.Channels;

namespace OrleansInference.Demo;

/// <summary>
/// Waits for jobs to end and scores them. Jobs of an endpoint end roughly in the order they were accepted, so a few
/// waiters per endpoint that take them in order see every end soon, with a bounded number of calls.
/// </summary>
internal sealed class JobFollower : IDisposable
{
    private const int WaitersPerEndpoint = 4;
    private const int WaitSeconds = 20;
    private readonly DemoClient _client;
    private readonly DemoScore _score;
    private readonly Func<TenantId, string> _keyOf;
    private readonly ConcurrentDictionary<string, Line> _lines = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource _stop = new();

    public JobFollower(DemoClient client, DemoScore score, Func<TenantId, string> keyOf)
    {
        _client = client;
        _score = score;
        _keyOf = keyOf;
    }

    /// <summary>Follows a job until it has ended.</summary>
    public void Follow(string endpoint, Lane lane, string jobId, in DemoRequest request)
    {
        var line = _lines.GetOrAdd(endpoint, static _ => new());
        line.Start(this);
        line.Pending.Writer.TryWrite(new(jobId, lane, request));
    }

    /// <summary>Waits until every job that was handed in has ended. None may be handed in afterwards.</summary>
    public async Task DrainAsync(CancellationToken cancellationToken)
    {
        foreach (var line in _lines.Values)
        {
            line.Pending.Writer.TryComplete();
        }

        await Task.WhenAll(_lines.Values.SelectMany(line => line.Waiters)).WaitAsync(cancellationToken);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stop.Cancel();
        _stop.Dispose();
    }

    private async Task WaitAsync(ChannelReader<PendingJob> pending, CancellationToken cancellationToken)
    {
        await foreach (var job in pending.ReadAllAsync(cancellationToken))
        {
            JobView? view;
            do
            {
                view = await _client.GetJobAsync(_keyOf(job.Request.Tenant), job.JobId, WaitSeconds, cancellationToken);
            }
            while (view is { State: JobState.Accepted or JobState.Dispatched or JobState.Running });

            if (view is { State: JobState.Succeeded, EndedAt: { } endedAt })
            {
                _score.Answered(job.Request, view.Route.Lane, view.Route.Charge, (endedAt - view.AcceptedAt).TotalMilliseconds, job.Lane);
            }
            else
            {
                _score.Failed(job.Request, view?.Problem?.Code.ToString() ?? view?.State.ToString() ?? "JobLost", view?.Route.Charge ?? Money.Zero, job.Lane);
            }
        }
    }

    private readonly record struct PendingJob(string JobId, Lane Lane, DemoRequest Request);

    private sealed class Line
    {
        private readonly Lock _lock = new();

        public Channel<PendingJob> Pending { get; } = Channel.CreateUnbounded<PendingJob>();

        public Task[] Waiters { get; private set; } = [];

        public void Start(JobFollower follower)
        {
            lock (_lock)
            {
                if (Waiters.Length == 0)
                {
                    Waiters = [.. Enumerable.Range(0, WaitersPerEndpoint).Select(_ => follower.WaitAsync(Pending.Reader, follower._stop.Token))];
                }
            }
        }
    }
}
