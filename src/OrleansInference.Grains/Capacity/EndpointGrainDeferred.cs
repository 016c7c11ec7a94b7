using Microsoft.Extensions.Logging;
using OrleansInference.Queueing;

namespace OrleansInference.Capacity;

// Jobs that wait for slots which are free anyway.
internal sealed partial class EndpointGrain
{
    // What a job that has its turn may take beside its call: a slot that it has to wait for after all, its input and its result.
    private const long TurnMs = 300_000;

    // Within that time all jobs have registered again with an actor that was started anew.
    private const double RegisteredMs = 3_600_000;

    private readonly DeferredTurns _turns = new();
    private long _deferredBefore;
    private long _begunAt;
    private bool _hasFailedTurn;

    public Task<bool> Defer(DeferredJob job)
    {
        RequireAlive();
        if (!TakesDeferred || string.IsNullOrEmpty(job.JobKey) || !_turns.TryAdd(job.JobKey, Math.Max(0, job.LastBegin), job.ServiceMs, Clock.Now))
        {
            return Task.FromResult(false);
        }

        GiveTurns();
        return Task.FromResult(true);
    }

    public Task DeferredEnded(string jobKey, bool hasFailed)
    {
        RequireAlive();
        ArgumentException.ThrowIfNullOrEmpty(jobKey);
        _hasFailedTurn = hasFailed;
        _turns.Ended(jobKey);
        GiveTurns();
        return Task.CompletedTask;
    }

    private bool TakesDeferred => _configuration is { Endpoint: { TakesDeferred: true, Draining: false } };

    private long DeferredMarginMs => DeferredTurns.MarginMs(_configuration!.Endpoint.Prior.ColdStartSeconds);

    /// <summary>Work that waits; until all have registered again that is at least what did before the actor was started anew, less and less.</summary>
    private long DeferredWorkMs(long now) =>
        Math.Max(_turns.WorkMs, (long)(_deferredBefore * Math.Max(0, 1 - ((now - _begunAt) / RegisteredMs))));

    private void BeginTurns(EndpointGrainState stored) => (_deferredBefore, _begunAt) = (stored.DeferredWorkMs, Clock.Now);

    /// <summary>
    /// Lets as many jobs begin as there are slots that nobody else has or waits for, and that are not kept for the urgent class. While a silo's circuit breaker keeps calls off,
    /// or what was called last was not served, it is one at each poll, which shows when that is over.
    /// </summary>
    private void GiveTurns(bool isPoll = false)
    {
        if (_turns.Waiting == 0 || _slots is null || HasFailed || !TakesDeferred)
        {
            return;
        }

        var isBlocked = _hasFailedTurn || _slots.OpenBreakers.Any();
        if (isBlocked && !isPoll)
        {
            return;
        }

        // Those whose turn has come have a slot, or will have one in a moment; some have one whose turn was forgotten.
        var others = _slots.InFlight - _slots.DeferredInFlight + _slots.Waiting.Sum();
        var free = _slots.Limit - _slots.Headroom - others - Math.Max(_turns.Begun, _slots.DeferredInFlight);
        var now = Clock.Now;
        for (free = isBlocked ? Math.Min(free, 1) : free; free > 0 && _turns.TryBegin(now, out var job); free--)
        {
            _ = BeginAsync(job);
        }
    }

    private async Task BeginAsync(string job)
    {
        try
        {
            if (!await GrainFactory.GetGrain<IJobGrain>(job).Begin())
            {
                _turns.Ended(job);
                GiveTurns();
            }
        }
        catch (Exception exception)
        {
            // It may have been on a silo that has died: it comes again.
            LogNotBegun(exception, job);
            _hasFailedTurn = true;
            _turns.Back(job, Clock.Now);
        }
    }

    private void RecallTurns(long now)
    {
        if (_turns.Begun > 0)
        {
            _turns.Recall(now - TurnMs - (long)(_configuration!.Endpoint.MaxServiceSeconds * 1000), now);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job}, whose turn had come, could not be told.")]
    private partial void LogNotBegun(Exception exception, string job);
}
