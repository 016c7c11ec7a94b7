using OrleansInference.Queueing;

namespace OrleansInference.Jobs;

// Deferred to slots of a real-time endpoint that are free anyway.
public sealed partial class JobMachine
{
    /// <summary>Whether it is served by a real-time endpoint, when that has a slot to spare.</summary>
    public bool IsDeferred => Record.Specification.Route.Lane == Lane.Realtime;

    /// <summary>Whether its call may begin: it has been handed over and has not ended.</summary>
    public bool MayServe => IsDeferred && IsWaiting && Record.Ending is null;

    /// <summary>The last moment at which its call should begin, Unix ms.</summary>
    public long LastBegin => DeferredTurns.LastBegin(Record.Specification.Deadline, ServiceMs);

    /// <summary>Slot-milliseconds that its call is expected to take, at least 1.</summary>
    public int ServiceMs => (int)Math.Clamp(
        Record.Specification.ServiceMs > 0 ? Record.Specification.ServiceMs : Record.Endpoint.Endpoint.Prior.ServiceP50Seconds * 1000, 1, int.MaxValue);

    /// <summary>The endpoint knows of it: it waits for its turn, until its deadline is so near that it no longer does.</summary>
    /// <param name="output"><c>s3://</c> address where its result will be.</param>
    /// <param name="now">Unix ms.</param>
    public void Deferred(string output, long now) => Record = Record with
    {
        State = JobState.Dispatched,
        ExpectedOutput = output,
        DispatchedAt = now,
        CheckedAt = 0,
        NotBefore = 0,
        HastenAt = InLineAt(now),
    };

    /// <summary>The endpoint gives no turns (any more): it goes into line at a moment of its own in the first half of the time that is left.</summary>
    /// <param name="now">Unix ms.</param>
    public void NoTurns(long now)
    {
        if (MayServe)
        {
            var soon = now + (long)(Math.Max(0, Record.Specification.Deadline - now) * (Spread - 0.5));
            Record = Record with { HastenAt = Record.HastenAt > 0 ? Math.Min(Record.HastenAt, soon) : soon };
        }
    }

    /// <summary>No slot was free after all: it goes on waiting for its turn. In line it goes again when half of the time that is left has passed; with less than a call left nothing can be done.</summary>
    /// <param name="now">Unix ms.</param>
    public void StillDeferred(long now)
    {
        if (MayServe)
        {
            Record = Record with { State = JobState.Dispatched, HastenAt = Record.Specification.Deadline - now > ServiceMs ? InLineAt(now) : 0 };
        }
    }

    /// <summary>The model answered, and the result is stored.</summary>
    /// <param name="answer">What the answer's body tells about its use.</param>
    /// <param name="location"><c>s3://</c> address of the answer.</param>
    /// <param name="contentType">MIME type of the answer.</param>
    /// <param name="serviceMs">Milliseconds that the call took.</param>
    /// <param name="now">Unix ms.</param>
    public void Served(AnswerUse answer, string location, string? contentType, double serviceMs, long now)
    {
        if (MayServe)
        {
            // How long it was put off says nothing about how long others wait for a slot.
            End(new()
            {
                State = JobState.Succeeded,
                At = now,
                Charge = ChargeOf(answer, serviceMs),
                OutputLocation = location,
                ContentType = contentType,
                ServiceMs = serviceMs,
            });
        }
    }

    /// <summary>The call came to nothing: it is tried again if that may help, within the deadline; else the job has failed.</summary>
    /// <param name="problem">What went wrong.</param>
    /// <param name="mayPass">Whether trying again may help.</param>
    /// <param name="ran">Whether the model is known to have run, so that its use is charged if this ends the job.</param>
    /// <param name="serviceMs">Milliseconds that the call took.</param>
    /// <param name="chance">Uniform in 0..1.</param>
    /// <param name="now">Unix ms.</param>
    public void ServeFailed(InferenceProblem problem, bool mayPass, bool ran, double serviceMs, double chance, long now)
    {
        ArgumentNullException.ThrowIfNull(problem);
        if (!MayServe)
        {
            return;
        }

        var failures = Record.Failures + 1;
        var notBefore = now + Backoff.DelayMs(failures, chance);
        if (mayPass && notBefore < Record.Specification.Deadline)
        {
            Record = Record with { State = JobState.Accepted, Failures = failures, NotBefore = notBefore };
            return;
        }

        End(new() { State = JobState.Failed, At = now, Problem = problem, Charge = ran ? ChargeOf(default, serviceMs) : Money.Zero });
    }

    // Those that came together do not go into line together.
    private long InLineAt(long now)
    {
        var deadline = Record.Specification.Deadline;
        var at = deadline - (long)((0.5 + Spread) * (deadline - HastenFrom));
        return at > now ? at : now + Math.Max(1, (deadline - now) / 2);
    }

    /// <summary>What a call of it that was answered is charged, at most its charge cap.</summary>
    /// <param name="answer">What the answer's body tells about its use.</param>
    /// <param name="serviceMs">Milliseconds that the call took.</param>
    public Money ChargeOf(AnswerUse answer, double serviceMs) =>
        JobCharge.Of(Record.Endpoint.Endpoint, Record.Specification, answer, serviceMs, Record.Specification.Route.ChargeCap);
}
