using System.Collections.Immutable;
using OrleansInference.Dispatch;
using OrleansInference.Hosting;
using OrleansInference.Leases;

namespace OrleansInference.Limits;

/// <summary>That a request was let in, or why not. To be given back when the request has ended.</summary>
/// <param name="Refusal">Why not; null if it was let in.</param>
/// <param name="First">What it holds of a limit on requests in flight.</param>
/// <param name="Second">And of a second.</param>
internal readonly record struct DoorPass(InferenceProblem? Refusal, HeldLease? First, HeldLease? Second)
{
    /// <summary>The request has ended.</summary>
    public void Leave()
    {
        First?.Settle(1, 0);
        Second?.Settle(1, 0);
    }
}

/// <summary>The place of a request that was let in: kept until the request has ended and so has every call that was made for it.</summary>
internal sealed class DoorPlace(DoorPass pass)
{
    private int _holds = 1;

    /// <summary>A call goes on after its request has ended.</summary>
    public void Keep() => Interlocked.Increment(ref _holds);

    /// <summary>The request, or a call that went on, has ended.</summary>
    public void Leave()
    {
        if (Interlocked.Decrement(ref _holds) == 0)
        {
            pass.Leave();
        }
    }
}

/// <summary>A tenant's limits at the door of this silo.</summary>
internal sealed class TenantLimits(TenantId tenant, ITenantLimitsGrain grain, LeaseHolderIdentity holder, RouterClock clock)
{
    private static readonly TimeSpan Moment = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private volatile DoorLimit[] _limits = [];
    private readonly List<DoorLimit> _former = [];

    /// <summary>Whether there are none.</summary>
    public bool IsEmpty => _limits.Length == 0;

    /// <summary>Takes the limits as they are configured; those that have not changed go on.</summary>
    public void Configure(ImmutableArray<LimitDefinition> definitions)
    {
        var limits = _limits;
        var wanted = definitions.IsDefault ? [] : definitions;
        if (wanted.Length == limits.Length && wanted.All(definition => Array.Exists(limits, limit => limit.Definition == definition)))
        {
            return;
        }

        lock (_lock)
        {
            limits = _limits;
            DoorLimit[] next = [.. wanted.Select(definition => Array.Find(limits, limit => limit.TryTake(definition)) ?? new(definition, grain, holder, clock)).OrderBy(static limit => limit.Definition.Class is null)];
            _former.AddRange(limits.Except(next));
            _limits = next;
        }
    }

    /// <summary>Lets a request in, or says why not and when to come back.</summary>
    /// <param name="trafficClass">Its class.</param>
    /// <param name="deadline">Its deadline, Unix ms: as long as an owner is moving to another silo, it is asked again until then.</param>
    /// <param name="cancellationToken">The caller gives up.</param>
    /// <exception cref="OperationCanceledException">The caller gave up.</exception>
    public async ValueTask<DoorPass> EnterAsync(TrafficClass trafficClass, long deadline, CancellationToken cancellationToken)
    {
        var lost = new LostCalls(clock, deadline);
        HeldLease? first = null, second = null;
        InferenceProblem? refusal = null;
        try
        {
            // Requests in flight first: what a rate has given is gone.
            var limits = _limits;
            foreach (var limit in limits)
            {
                if (!limit.AppliesTo(trafficClass))
                {
                    continue;
                }

                bool isAdmitted;
                HeldLease? held;
                while (true)
                {
                    try
                    {
                        (isAdmitted, held) = await limit.EnterAsync(cancellationToken);
                        break;
                    }
                    catch (Exception exception) when (lost.MayRepeat(exception))
                    {
                        // What it granted meanwhile is told with the next report.
                    }

                    await lost.PauseAsync(cancellationToken);
                }

                (first, second) = held is null ? (first, second) : first is null ? (held, second) : (first, held);
                if (!isAdmitted)
                {
                    return new(refusal = Refuse($"as many requests of {Of(limit)} as may are in flight ({limit.Definition.MaxInFlight}); come back when some have ended", Moment), null, null);
                }
            }

            // Those of one class first: what they refuse must not use up what is for all.
            foreach (var limit in limits)
            {
                if (!limit.AppliesTo(trafficClass))
                {
                    continue;
                }

                bool isTaken;
                while (true)
                {
                    try
                    {
                        isTaken = await limit.TakeAsync(cancellationToken);
                        break;
                    }
                    catch (Exception exception) when (lost.MayRepeat(exception))
                    {
                        // Should the lost call have taken one, that one is gone: rather too few than too many.
                    }

                    await lost.PauseAsync(cancellationToken);
                }

                if (!isTaken)
                {
                    return new(refusal = Refuse($"requests of {Of(limit)} come faster than {limit.Definition.RequestsPerSecond} a second, with {DoorLimit.BurstOf(limit.Definition)} at once; slow down", TimeSpan.FromMilliseconds(limit.RetryAfterMs())), null, null);
                }
            }

            return new(null, first, second);
        }
        catch
        {
            refusal = Refuse("the limits could not be looked up", Moment);
            throw;
        }
        finally
        {
            if (refusal is not null)
            {
                new DoorPass(null, first, second).Leave();
            }
        }
    }

    /// <summary>What is left of the limits that are for a class.</summary>
    public ImmutableArray<LimitQuota> Quotas(TrafficClass trafficClass)
    {
        var quotas = new List<LimitQuota>();
        foreach (var limit in _limits)
        {
            if (limit.AppliesTo(trafficClass))
            {
                limit.AddQuotas(quotas);
            }
        }

        return [.. quotas];
    }

    /// <summary>Reports at the beat; gives all of it back if <paramref name="closing"/>.</summary>
    public async Task BeatAsync(bool closing)
    {
        DoorLimit[] former;
        lock (_lock)
        {
            // As long as requests that were let in by one are in flight, its owner is told of them.
            _former.RemoveAll(static limit => limit.IsOver);
            former = [.. _former];
        }

        await Task.WhenAll([.. _limits.Select(limit => limit.BeatAsync(closing)), .. former.Select(static limit => limit.BeatAsync(closing: true))]);
    }

    private static string Of(DoorLimit limit) => limit.Definition.Class is { } only ? $"class {only}" : "all classes";

    private InferenceProblem Refuse(string why, TimeSpan retryAfter) =>
        new() { Code = ProblemCode.Throttled, Message = $"Tenant '{tenant}': {why}.", RetryAfter = retryAfter };
}
