using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

/// <summary>What came of a run.</summary>
/// <param name="InstanceHours">From in service to release.</param>
/// <param name="InTime">Share of requests that waited no longer than allowed.</param>
/// <param name="MeanWaitMs">Mean wait for a slot.</param>
/// <param name="Changes">Changes of the wanted instances.</param>
/// <param name="BackAndForth">Changes that took back, within five minutes, what the one before did.</param>
internal readonly record struct EndpointRun(double InstanceHours, double InTime, double MeanWaitMs, int Changes, int BackAndForth);

/// <summary>
/// An endpoint in virtual time: requests in order of arrival, instances that take their time to come, one change at a time as SageMaker allows, and a
/// rule that is asked every five seconds.
/// </summary>
internal sealed class VirtualEndpoint(EndpointDefinition endpoint, long startMs, long patienceMs = long.MaxValue, int instances = 1, long releaseMs = 10_000)
{
    private const long PollMs = 5_000;
    /// <summary>When a run begins: at midnight.</summary>
    public const long Epoch = 1_700_000_000_000 / 86_400_000 * 86_400_000;

    /// <summary>Replays requests until the end of the last one's minute.</summary>
    /// <param name="requests">When each arrives and how long it takes, in milliseconds, in order of arrival.</param>
    /// <param name="waitMs">The wait that is fine.</param>
    /// <param name="observe">The rule: instances wanted.</param>
    /// <param name="untilMs">Goes on until then; 0: until a minute after the last request.</param>
    public EndpointRun Run(IReadOnlyList<(long At, long ServiceMs)> requests, double waitMs, Func<CapacityObservation, int> observe, long untilMs = 0)
    {
        var end = Math.Max(untilMs, requests[^1].At + 60_000);
        var running = new PriorityQueue<long, long>();
        var waiting = new Queue<(long At, long ServiceMs)>();
        var (inService, desired, updatingUntil) = (instances, instances, 0L);
        var (next, arrivals, completions, busyMs) = (0, 0, 0, 0L);
        var (instanceMs, inTime, waited, changes, backAndForth) = (0.0, 0, 0.0, 0, 0);
        var (lastChange, lastSign) = (long.MinValue / 2, 0);
        var ended = 0;
        for (var poll = 0L; poll <= end; poll += PollMs)
        {
            // Everything until this poll, in order: ends free slots, arrivals take or wait for them.
            while (true)
            {
                var arrival = next < requests.Count ? requests[next].At : long.MaxValue;
                var completion = running.TryPeek(out _, out var at) ? at : long.MaxValue;
                var provisioned = updatingUntil > 0 ? updatingUntil : long.MaxValue;
                var now = Math.Min(Math.Min(arrival, completion), provisioned);
                if (now > poll)
                {
                    break;
                }

                if (provisioned == now)
                {
                    (inService, updatingUntil) = (desired, 0);
                }
                else if (completion == now)
                {
                    busyMs += running.Dequeue();
                    completions++;
                }
                else
                {
                    waiting.Enqueue(requests[next++]);
                    arrivals++;
                }

                while (waiting.Count > 0 && running.Count < inService * endpoint.ConcurrencyPerInstance)
                {
                    var (from, service) = waiting.Dequeue();
                    if (now - from > patienceMs)
                    {
                        continue;
                    }

                    waited += now - from;
                    inTime += now - from <= waitMs ? 1 : 0;
                    ended++;
                    running.Enqueue(service, now + service);
                }
            }

            while (waiting.TryPeek(out var oldest) && poll - oldest.At > patienceMs)
            {
                waiting.Dequeue();
            }

            var wanted = observe(new()
            {
                Now = Epoch + poll,
                InService = inService,
                Reported = desired,
                InFlight = running.Count,
                Waiting = endpoint.Lane == Lane.Async ? running.Count + waiting.Count : waiting.Count,
                Arrivals = arrivals,
                Completions = completions,
                BusyMs = endpoint.Lane == Lane.Async ? 0 : busyMs,
                Hold = updatingUntil > 0 ? "updating" : null,
            });
            (arrivals, completions, busyMs) = (0, 0, 0);
            if (wanted != desired && updatingUntil == 0)
            {
                var sign = Math.Sign(wanted - desired);
                changes++;
                backAndForth += sign != lastSign && lastSign != 0 && poll - lastChange < 300_000 ? 1 : 0;
                (lastChange, lastSign) = (poll, sign);
                desired = wanted;
                if (sign < 0)
                {
                    inService = desired;
                }

                updatingUntil = poll + (sign > 0 ? startMs : releaseMs);
            }

            instanceMs += inService * (double)PollMs;
        }

        return new(instanceMs / 3_600_000, (double)inTime / requests.Count, waited / Math.Max(1, ended), changes, backAndForth);
    }
}
