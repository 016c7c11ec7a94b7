namespace OrleansInference.Budgets;

/// <summary>What a report changed, and the answer to it.</summary>
/// <param name="Grant">The answer; must be durable before it is sent.</param>
/// <param name="Settled">Units spent for good that were not known to be before.</param>
/// <param name="Returned">Units given back that were outstanding before.</param>
/// <param name="Corrected">Units that counted as unreported and are accounted for now: spent (in <paramref name="Settled"/>) or free again.</param>
/// <param name="CorrectedAt">Unix ms at which the corrected units counted.</param>
/// <param name="Unmet">What a waiting request needs and could not be granted.</param>
public readonly record struct EscrowReply(LeaseGrant Grant, long Settled = 0, long Returned = 0, long Corrected = 0, long CorrectedAt = 0, long Unmet = 0);

/// <summary>A lease whose holder fell silent.</summary>
/// <param name="Holder">The holder.</param>
/// <param name="LeaseId">The lease within the holder.</param>
/// <param name="Units">What was outstanding: spent, as far as anybody knows, or free again if the units are reusable.</param>
/// <param name="CountedAt">Unix ms by which every clock agrees that nothing more was spent from it.</param>
public readonly record struct ExpiredLease(string Holder, long LeaseId, long Units, long CountedAt);

/// <summary>
/// The owner's side of leases on a limited quantity: money of a tenant or slots of an endpoint. Units are out from the
/// moment they are granted until the holder reports them spent or returned, or has been silent so long that it can no
/// longer spend them. Reports carry cumulative counters, so lost, repeated, late and reordered ones do no harm. The
/// caller knows the limit: it says what is available and books the effects. Not thread-safe; call <see cref="Expire"/>
/// before each <see cref="Report"/>.
/// </summary>
public sealed class Escrow
{
    private const int MaxHolderLength = 256;

    private readonly List<LeaseRecord> _leases = [];
    private readonly List<EndedLease> _ended = [];
    private long _awaited;
    private long _awaitedUntil;

    /// <summary>Begins with no leases, or with those that were stored.</summary>
    public Escrow(EscrowOptions options, EscrowState? state = null)
    {
        Options = options ?? throw new ArgumentNullException(nameof(options));
        if (state is not null)
        {
            _leases.AddRange(state.Leases);
            _ended.AddRange(state.Ended);
        }
    }

    /// <summary>Times and bounds; may be replaced while leases are out.</summary>
    public EscrowOptions Options { get; set; }

    /// <summary>Open leases.</summary>
    public IReadOnlyList<LeaseRecord> Leases => _leases;

    /// <summary>Units out on leases.</summary>
    public long Outstanding
    {
        get
        {
            var sum = 0L;
            foreach (var lease in _leases)
            {
                sum = checked(sum + lease.Outstanding);
            }

            return sum;
        }
    }

    /// <summary>The escrow as it is to be stored.</summary>
    public EscrowState ToState() => new() { Leases = [.. _leases], Ended = [.. _ended] };

    /// <summary>
    /// Takes a holder's report and grants what it may have. <paramref name="available"/> are the units not granted to
    /// anybody before this report; negative if more is out than the limit now allows. With <paramref name="setAside"/> they, and what this report
    /// gives back, are kept for somebody who holds no lease.
    /// </summary>
    /// <exception cref="ArgumentException">The report is malformed.</exception>
    public EscrowReply Report(LeaseReport report, long now, long available, bool setAside = false)
    {
        Check(report);
        var index = Find(report.Holder, report.LeaseId);
        if (index < 0)
        {
            if (report.LeaseId <= HighestId(report.Holder))
            {
                return Correct(report);
            }

            if (report.Closing)
            {
                // Closed before its first report came: that one must not open it when it arrives.
                Remember(new() { Holder = report.Holder, LeaseId = report.LeaseId, Settled = report.Settled, EndedAt = now });
            }

            // What has counters and is not open has ended and was accounted for then: it must not be counted again.
            if (report.Closing || report.Settled > 0 || report.Returned > 0)
            {
                return new(Fence(report));
            }

            if (_leases.Count >= Options.MaxLeases)
            {
                return new(new() { LeaseId = report.LeaseId, RetryAfterMs = Options.LeaseMs }, Unmet: report.AtLeast);
            }

            index = _leases.Count;
            _leases.Add(new() { Holder = report.Holder, LeaseId = report.LeaseId });
        }

        var before = _leases[index];
        var isLate = report.Settled < before.Settled || report.Returned < before.Returned;
        var lease = Absorb(before, report, isLate);
        var (settled, returned) = (lease.Settled - before.Settled, lease.Returned - before.Returned);
        if (report.Closing)
        {
            // A holder that has closed spends no more, so a grant that it never received comes back too.
            returned += lease.Outstanding;
            _leases.RemoveAt(index);
            Remember(new() { Holder = lease.Holder, LeaseId = lease.LeaseId, Settled = lease.Settled, EndedAt = now });
            return new(Fence(report) with { Granted = lease.Granted }, settled, returned);
        }

        _leases[index] = lease;
        if (lease.Fenced || now >= lease.SpendUntil + Options.SkewMs && before.SpendUntil > 0)
        {
            _leases[index] = lease with { Fenced = true };
            return new(Fence(report) with { Granted = lease.Granted, SpendUntil = lease.SpendUntil }, settled, returned);
        }

        var keep = long.MaxValue;
        if (!isLate)
        {
            var share = EscrowShares.For(_leases, index, setAside ? Math.Min(0, available + returned) : available + returned, report.AtLeast, now < _awaitedUntil ? _awaited : 0, now);
            lease = lease with
            {
                Granted = checked(lease.Granted + share.Grant),
                SpendUntil = Math.Max(lease.SpendUntil, now + Options.LeaseMs),
                Unmet = share.Unmet,
                UnmetUntil = share.Unmet > 0 ? now + Options.LeaseMs : 0,
            };
            keep = share.Keep;
            _leases[index] = lease;
        }

        return new(new() { LeaseId = lease.LeaseId, Granted = lease.Granted, SpendUntil = lease.SpendUntil, Keep = keep }, settled, returned, Unmet: lease.Unmet);
    }

    /// <summary>
    /// Takes the report of a holder that spends without a limit: counts what it spent and grants nothing. When a limit
    /// comes, the lease is fenced at its next <see cref="Report"/> because it has spent more than it was granted.
    /// </summary>
    /// <returns>Units spent that were not known before.</returns>
    /// <exception cref="ArgumentException">The report is malformed.</exception>
    public long Count(LeaseReport report, long now)
    {
        Check(report);
        var index = Find(report.Holder, report.LeaseId);
        if (index >= 0)
        {
            var lease = _leases[index];
            var settled = Math.Max(lease.Settled, report.Settled);
            lease = lease with
            {
                Settled = settled,
                Returned = Math.Max(lease.Returned, Math.Min(report.Returned, lease.Granted - Math.Min(lease.Granted, settled))),
                Granted = Math.Max(lease.Granted, settled),
                Pending = report.Pending,
                SpendUntil = Math.Max(lease.SpendUntil, now + Options.LeaseMs),
            };
            var delta = settled - _leases[index].Settled;
            _leases[index] = lease;
            if (report.Closing)
            {
                _leases.RemoveAt(index);
                Remember(new() { Holder = lease.Holder, LeaseId = lease.LeaseId, Settled = settled, EndedAt = now });
            }

            return delta;
        }

        var ended = _ended.FindIndex(e => e.LeaseId == report.LeaseId && e.Holder == report.Holder);
        if (ended >= 0)
        {
            var delta = Math.Max(0, report.Settled - _ended[ended].Settled - _ended[ended].Unreported);
            _ended[ended] = _ended[ended] with { Settled = _ended[ended].Settled + delta, EndedAt = now };
            return delta;
        }

        if (report.LeaseId <= HighestId(report.Holder) || _leases.Count >= Options.MaxLeases)
        {
            return 0;
        }

        _leases.Add(new() { Holder = report.Holder, LeaseId = report.LeaseId, Granted = report.Settled, Settled = report.Settled, Pending = report.Pending, SpendUntil = now + Options.LeaseMs });
        return report.Settled;
    }

    /// <summary>Ends the leases of holders that have been silent so long that they cannot spend any more.</summary>
    public IReadOnlyList<ExpiredLease> Expire(long now)
    {
        List<ExpiredLease>? expired = null;
        for (var i = _leases.Count - 1; i >= 0; i--)
        {
            var lease = _leases[i];
            var spentBy = lease.SpendUntil + Options.SkewMs;
            if (now < spentBy + (Options.Reusable ? Options.LongestCallMs : 0))
            {
                continue;
            }

            _leases.RemoveAt(i);
            Remember(new()
            {
                Holder = lease.Holder,
                LeaseId = lease.LeaseId,
                Settled = lease.Settled,
                Unreported = Options.Reusable ? 0 : lease.Outstanding,
                CountedAt = spentBy,
                EndedAt = now,
            });
            (expired ??= []).Add(new(lease.Holder, lease.LeaseId, lease.Outstanding, spentBy));
        }

        if (_ended.Count > 0 && _ended[0].EndedAt + Options.RememberMs <= now)
        {
            _ended.RemoveAll(e => e.EndedAt + Options.RememberMs <= now);
        }

        return expired ?? (IReadOnlyList<ExpiredLease>)[];
    }

    /// <summary>
    /// Somebody who holds no lease waits for units and was refused: for a lease's length, holders are asked to give back
    /// what they can spare. Forgotten on a restart; who still waits asks again.
    /// </summary>
    public void Await(long units, long now) =>
        (_awaited, _awaitedUntil) = (now < _awaitedUntil ? Math.Max(_awaited, units) : units, now + Options.LeaseMs);

    /// <summary>
    /// Grants units to a holder that has not just reported; null if it has no lease open that may be spent from. The lease is not renewed by it. The caller
    /// answers for it that so many are available.
    /// </summary>
    public LeaseRecord? Give(string holder, long units, long now)
    {
        for (var i = _leases.Count - 1; i >= 0; i--)
        {
            var lease = _leases[i];
            if (lease.Holder == holder && !lease.Fenced && now < lease.SpendUntil)
            {
                return _leases[i] = lease with { Granted = checked(lease.Granted + units) };
            }
        }

        return null;
    }

    /// <summary>Renews no lease of this holder any more: it is believed dead. What is out stays out until the leases end.</summary>
    public void Fence(string holder)
    {
        for (var i = 0; i < _leases.Count; i++)
        {
            if (_leases[i].Holder == holder)
            {
                _leases[i] = _leases[i] with { Fenced = true };
            }
        }
    }

    private static LeaseGrant Fence(LeaseReport report) => new() { LeaseId = report.LeaseId, Fenced = true };

    // The counters only rise, so the larger value is the later one, whatever order the messages came in.
    private static LeaseRecord Absorb(LeaseRecord lease, LeaseReport report, bool isLate)
    {
        var settled = Math.Max(lease.Settled, report.Settled);
        var returned = Math.Max(lease.Returned, Math.Min(report.Returned, Math.Max(0, lease.Granted - settled)));
        var isImpossible = report.Settled > lease.Granted || report.Returned > lease.Granted - report.Settled;
        lease = lease with { Settled = settled, Returned = returned, Fenced = lease.Fenced || isImpossible };
        return isLate ? lease : lease with
        {
            Pending = Math.Min(report.Pending, lease.Outstanding),
            Wanted = report.Wanted,
        };
    }

    // A holder that was thought dead and closes its lease tells the truth about it, once.
    private EscrowReply Correct(LeaseReport report)
    {
        var i = _ended.FindIndex(e => e.LeaseId == report.LeaseId && e.Holder == report.Holder);
        if (i < 0 || !report.Closing || report.Pending > 0)
        {
            return new(Fence(report));
        }

        var ended = _ended[i];
        var settled = Math.Max(0, report.Settled - ended.Settled);
        _ended[i] = ended with { Settled = ended.Settled + settled, Unreported = 0 };
        return new(Fence(report), settled, 0, ended.Unreported, ended.CountedAt);
    }

    private static void Check(LeaseReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        if (string.IsNullOrEmpty(report.Holder) || report.Holder.Length > MaxHolderLength)
        {
            throw new ArgumentException($"A lease report must name its holder in 1 to {MaxHolderLength} characters.", nameof(report));
        }

        if (report.LeaseId < 1)
        {
            throw new ArgumentException($"Lease {report.LeaseId} of '{report.Holder}': a lease's number must be 1 or more.", nameof(report));
        }

        if ((report.Settled | report.Returned | report.Pending | report.Wanted | report.AtLeast) < 0)
        {
            throw new ArgumentException($"Lease {report.LeaseId} of '{report.Holder}': counters cannot be negative.", nameof(report));
        }

        if (report.Closing && report.Pending > 0)
        {
            throw new ArgumentException($"Lease {report.LeaseId} of '{report.Holder}' cannot close while {report.Pending} units are reserved.", nameof(report));
        }
    }

    private int Find(string holder, long leaseId)
    {
        for (var i = 0; i < _leases.Count; i++)
        {
            if (_leases[i].LeaseId == leaseId && _leases[i].Holder == holder)
            {
                return i;
            }
        }

        return -1;
    }

    private long HighestId(string holder)
    {
        var highest = 0L;
        foreach (var lease in _leases)
        {
            highest = lease.Holder == holder ? Math.Max(highest, lease.LeaseId) : highest;
        }

        foreach (var lease in _ended)
        {
            highest = lease.Holder == holder ? Math.Max(highest, lease.LeaseId) : highest;
        }

        return highest;
    }

    private void Remember(EndedLease lease)
    {
        if (_ended.Count >= Options.MaxRemembered)
        {
            _ended.RemoveAt(0);
        }

        _ended.Add(lease);
    }
}
