using System.Diagnostics;

namespace OrleansInference.Demo;

/// <summary>Sends the requests at their times of arrival, whether or not earlier ones have been answered, and scores the answers.</summary>
internal sealed class Replay
{
    /// <summary>Requests waiting for an answer at most; beyond it the replay falls behind and says so.</summary>
    private const int MaxInFlight = 2000;

    private readonly DemoClient _client;
    private readonly DemoScore _score;
    private readonly JobFollower _jobs;
    private readonly Func<TenantId, string> _keyOf;
    private readonly double _speed;
    private readonly Stopwatch _watch = new();
    private long _latestMs;

    public Replay(DemoClient client, DemoScore score, JobFollower jobs, Func<TenantId, string> keyOf, double speed)
    {
        _client = client;
        _score = score;
        _jobs = jobs;
        _keyOf = keyOf;
        _speed = speed;
    }

    /// <summary>How long the replay has run, on the wall.</summary>
    public TimeSpan Elapsed => _watch.Elapsed;

    /// <summary>The furthest that a request left behind its time, on the wall.</summary>
    public TimeSpan Behind => TimeSpan.FromMilliseconds(Interlocked.Read(ref _latestMs));

    /// <summary>Runs the replay and waits for the answers; jobs are left to the follower.</summary>
    public async Task RunAsync(IReadOnlyList<DemoRequest> requests, CancellationToken cancellationToken)
    {
        using var slots = new SemaphoreSlim(MaxInFlight);
        var underWay = new List<Task>(requests.Count);
        _watch.Start();
        foreach (var request in requests)
        {
            var early = (request.Offset / _speed) - _watch.Elapsed;
            if (early > TimeSpan.FromMilliseconds(1))
            {
                await Task.Delay(early, cancellationToken);
            }

            await slots.WaitAsync(cancellationToken);
            var late = (long)(_watch.Elapsed - (request.Offset / _speed)).TotalMilliseconds;
            if (late > Interlocked.Read(ref _latestMs))
            {
                Interlocked.Exchange(ref _latestMs, late);
            }

            underWay.Add(SendAsync(request, slots, cancellationToken));
        }

        await Task.WhenAll(underWay);
        _watch.Stop();
    }

    private async Task SendAsync(DemoRequest request, SemaphoreSlim slots, CancellationToken cancellationToken)
    {
        _score.Sent(request.Class);
        try
        {
            var start = Stopwatch.GetTimestamp();
            var answer = await _client.InvokeAsync(_keyOf(request.Tenant), request, cancellationToken);
            if (answer.Problem is { } problem)
            {
                _score.Failed(request, problem, answer.Charge);
            }
            else if (answer.JobId is { } job)
            {
                _score.Accepted(answer.Lane!.Value);
                _jobs.Follow(answer.Endpoint, answer.Lane.Value, job, request);
            }
            else
            {
                _score.Answered(request, answer.Lane!.Value, answer.Charge, Stopwatch.GetElapsedTime(start).TotalMilliseconds * _speed);
            }
        }
        catch (Exception exception) when (exception is HttpRequestException || (exception is TaskCanceledException && !cancellationToken.IsCancellationRequested))
        {
            // The front door did not answer: an error like any other, and visible as one.
            _score.Failed(request, exception is HttpRequestException ? "NoConnection" : "NoAnswer", Money.Zero);
        }
        finally
        {
            slots.Release();
        }
    }
}
