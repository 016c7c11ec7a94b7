namespace OrleansInference.Jobs;

// A member of a batch window that will be late goes to a faster lane.
public sealed partial class JobMachine
{
    /// <summary>It is to have a faster lane, if the ledger grants the money.</summary>
    public void Hastening(JobLane faster)
    {
        if (IsBatch && IsWaiting && Record.Ending is null)
        {
            Record = Record with { Faster = faster };
        }
    }

    /// <summary>It stays in its window for now: that is in time, there is no faster lane, or the budget does not cover one.</summary>
    public void Stays(long now)
    {
        // Half of the time that is left may tell more; with less than one call left nothing can be done.
        var left = Record.Specification.Deadline - now;
        Record = Record with { Faster = null, HastenAt = left > Record.Endpoint.Endpoint.Prior.ServiceP50Seconds * 1000 ? now + Math.Max(1, left / 2) : 0 };
    }

    /// <summary>The ledger has reserved the charge cap of the faster lane: the job goes there. Should its window answer first after all, that counts.</summary>
    /// <param name="admittedAt">Unix ms at which its charge counts, by the ledger.</param>
    public void Moved(long admittedAt)
    {
        if (Record is not { Faster: { } faster, Ending: null })
        {
            return;
        }

        var specification = Record.Specification;
        Record = Record with
        {
            Specification = specification with { Route = faster.Route },
            Endpoint = faster.Endpoint,
            ReservationId = faster.ReservationId,
            ReservedAt = admittedAt,
            Before = new(specification.Route, Record.Endpoint, Record.ReservationId),
            Faster = null,
            HastenAt = 0,
            State = JobState.Accepted,
            CheckedAt = 0,
            Failures = 0,
            NotBefore = 0,
        };
    }

    // From then on not even a window of its own would be in time. One that has less from the beginning looks halfway.
    private long HastenFirst(long now) => HastenFrom > now ? HastenFrom : now + Math.Max(1, (Record.Specification.Deadline - now) / 2);

    private long HastenFrom
    {
        get
        {
            var prior = Record.Endpoint.Endpoint.Prior;
            return Record.Specification.Deadline - (long)(((1.25 * prior.ColdStartSeconds) + (3 * prior.ServiceP99Seconds)) * 1000);
        }
    }
}
