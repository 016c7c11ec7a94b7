using OrleansInference.Jobs;

namespace OrleansInference.Batch;

/// <summary>
/// A batch window: Open → Closed → Running → Ended. It closes when it is full, when it has been open for as long as the
/// endpoint allows, or when waiting longer would risk the tightest deadline given the predicted time of the job. An input object
/// that failed is split and tried again, so that a bad record costs only itself. Works on the record in place: what changed is
/// to be stored before it is acted upon.
/// </summary>
public sealed partial class BatchWindow(WindowRecord record, WindowLimits limits)
{
    private readonly Dictionary<string, int> _byJob = record.Members.Select((member, index) => (member.JobKey, index)).ToDictionary(pair => pair.JobKey, pair => pair.index, StringComparer.Ordinal);
    private long _tightest = Tightest(record.Members);
    private long _bytes = record.Members.Sum(static member => member.Bytes);

    private EndpointDefinition Endpoint => record.Endpoint!.Endpoint;

    private int MostInstances => Math.Max(1, Endpoint.MaxInstances);

    /// <summary>Instances of the round's transform job; of an open window the most that it may have.</summary>
    public int Instances => record.Instances > 0 ? record.Instances : MostInstances;

    /// <summary>Where it stands.</summary>
    public WindowState State => record.State;

    /// <summary>Unix ms when it closes at the latest, as its members now are.</summary>
    public long ClosesAt
    {
        get
        {
            var latest = record.OpenedAt + (long)(Endpoint.WindowMaxSeconds * 1000);
            return record.Members.Count == 0 ? latest : Math.Min(latest, _tightest - PredictedMs(record.Members.Count, MostInstances));
        }
    }

    /// <summary>Unix ms when its members are expected to have their results, as it stands. A transform job that is late is expected to be as late again.</summary>
    /// <param name="now">Unix ms.</param>
    public long ExpectedAt(long now)
    {
        var members = record.State == WindowState.Open ? record.Members.Count : InRound;
        var takes = (long)(record.OverheadMs + ServiceOf(members, Instances) + (Endpoint.Prior.ServiceP99Seconds * 1000));
        return record.State switch
        {
            _ when record.Decided => now,
            WindowState.Open => Math.Max(now, ClosesAt) + takes,
            WindowState.Closed => Math.Max(now, record.NotBefore) + takes,
            _ when record.StartedAt + takes is var end && end > now => end,
            _ => now + Math.Max(limits.LookEveryMs, now - record.StartedAt - takes),
        };
    }

    private bool IsFull => record.Members.Count >= WindowLimits.MostMembersOf(Endpoint) || _bytes >= limits.MaxBytes;

    private int InRound => record.Objects.Sum(static members => members.Count);

    /// <summary>Whether every member's deadline has passed, so that no result is worth anything.</summary>
    public bool IsWorthless(long now) => record.Members.All(member => member.Deadline <= now);

    /// <summary>Opens a window that has never been.</summary>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="nonce">Letters and digits that no window had before.</param>
    /// <param name="overheadMs">Measured overhead of this endpoint's transform jobs; null before the first.</param>
    /// <param name="now">Unix ms.</param>
    public void Open(EndpointConfiguration endpoint, string nonce, double? overheadMs, long now)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        record.Endpoint = endpoint;
        record.Nonce = nonce;
        record.OpenedAt = now;
        record.OverheadMs = overheadMs ?? endpoint.Endpoint.Prior.ColdStartSeconds * 1000;
    }

    /// <summary>Adds a member; false if the window takes no more. One that is in stays in.</summary>
    public bool Join(WindowMember member, long now)
    {
        ArgumentNullException.ThrowIfNull(member);
        if (_byJob.ContainsKey(member.JobKey))
        {
            return true;
        }

        // A tight deadline closes the window with its bearer in it: what comes after takes the next one.
        if (record.State != WindowState.Open || IsFull || (record.Members.Count > 0 && now >= ClosesAt))
        {
            return false;
        }

        _byJob.Add(member.JobKey, record.Members.Count);
        record.Members.Add(new()
        {
            JobKey = member.JobKey,
            InputKey = member.InputKey,
            Bytes = member.Bytes,
            Deadline = member.Deadline,
            ChargeCap = member.ChargeCap.Nanos,
            InputTokens = member.InputTokens,
        });
        _tightest = Math.Min(_tightest, member.Deadline);
        _bytes += member.Bytes;
        return true;
    }

    /// <summary>Takes a member out if the window is still open.</summary>
    public bool Leave(string jobKey)
    {
        if (record.State != WindowState.Open || !_byJob.Remove(jobKey, out var index))
        {
            return false;
        }

        record.Members.RemoveAt(index);
        for (var i = index; i < record.Members.Count; i++)
        {
            _byJob[record.Members[i].JobKey] = i;
        }

        _tightest = Tightest(record.Members);
        _bytes = record.Members.Sum(static member => member.Bytes);
        return true;
    }

    /// <summary>The action that is due next, and when.</summary>
    public WindowStep Next() => record.State switch
    {
        WindowState.Open => new(WindowAction.Close, IsFull ? record.OpenedAt : Math.Max(record.OpenedAt, ClosesAt)),
        WindowState.Closed => record.Decided ? new(WindowAction.Tell, record.NotBefore) : new(WindowAction.Start, record.NotBefore),
        WindowState.Running => record.Decided ? new(WindowAction.Tell, record.NotBefore) : new(WindowAction.Look, Math.Max(record.NotBefore, TransformRounds.NextLook(limits, record.StartedAt, record.CheckedAt))),
        _ => new(WindowAction.Purge, record.NotBefore),
    };

    /// <summary>Takes no more members and plans the first round.</summary>
    /// <param name="now">Unix ms.</param>
    public void Close(long now)
    {
        record.State = WindowState.Closed;
        record.Instances = FewestFor(record.Members, now);
        record.Objects = Pack(record.Members.Count);
        record.Decided = record.Members.Count == 0;
    }

    /// <summary>The transform job's name: the same for the same round, and no other's.</summary>
    /// <param name="prefix">The deployment's prefix.</param>
    public string TransformJob(string prefix) => TransformRounds.Name(prefix, Endpoint.Name, record.Nonce, record.Round);

    /// <summary>The round's transform job was started.</summary>
    public void Started(long now)
    {
        record.State = WindowState.Running;
        record.StartedAt = now;
        record.CheckedAt = 0;
        Passed();
    }

    /// <summary>The transform job still runs.</summary>
    public void StillRuns(long now)
    {
        record.CheckedAt = now;
        record.Failures = 0;
    }

    /// <summary>The transform job does not exist after all: the round begins anew.</summary>
    public void Vanished()
    {
        record.State = WindowState.Closed;
        Passed();
    }

    /// <summary>The step under way failed; it is tried again. Of a transform job that nobody waits for and that cannot be asked about, the window is rid in the end.</summary>
    /// <returns>Whether the window's rounds are over by this, which is to be stored.</returns>
    public bool Failed(double chance, long now)
    {
        record.Failures++;
        record.NotBefore = now + Backoff.DelayMs(record.Failures, chance);
        if (record.Decided || record.State is not (WindowState.Closed or WindowState.Running) || record.Failures < limits.LooksInVain || !IsWorthless(now - limits.OverdueMs))
        {
            return false;
        }

        Refused("What became of the transform job could not be found out.");
        return true;
    }

    /// <summary>Whether what cannot be read of an ended transform job's output now is to be given up: nobody waits for it any more, and it has been tried in vain for some seconds.</summary>
    public bool IsLastLook(long now) => IsWorthless(now) && record.Failures >= limits.LooksInVain;

    /// <summary>No member can be served: SageMaker does not take the job.</summary>
    public void Refused(string why)
    {
        Fail(record.Objects.SelectMany(static members => members), why);
        Decide();
    }

    /// <summary>
    /// The round's transform job has ended. Members of transformed objects get their outcome, failed objects are split for the next
    /// round, unless their records are not to blame; a member that failed alone, or whose deadline is past, has failed.
    /// </summary>
    /// <param name="outcomes">One per object of the round.</param>
    /// <param name="began">Unix ms when its instances began.</param>
    /// <param name="tookMs">How long they were billed.</param>
    /// <param name="cost">What AWS bills for them.</param>
    /// <param name="now">Unix ms.</param>
    public void RoundEnded(IReadOnlyList<ObjectOutcome> outcomes, long began, long tookMs, Money cost, long now)
    {
        ArgumentNullException.ThrowIfNull(outcomes);
        record.Cost = checked(record.Cost + cost.Nanos);
        Charge(outcomes, began, tookMs);

        List<List<int>> next = [];
        var last = record.Round + 1 >= limits.MaxRounds;
        foreach (var (members, outcome) in record.Objects.Zip(outcomes))
        {
            if (outcome.Uses is not null)
            {
                continue;
            }

            if (last || (members.Count == 1 && !outcome.MayPass))
            {
                Fail(members, RecordFailure.Of(outcome.Failure, members.Count, outcome.MayPass));
                continue;
            }

            Fail(members.Where(index => record.Members[index].Deadline <= now), "The deadline passed while the record's transform job was being repeated.");
            var left = members.Where(index => record.Members[index].Outcome is null).ToList();
            next.AddRange(left.Chunk(TransformRounds.PartOf(limits, left.Count, outcome.MayPass)).Select(static part => part.ToList()));
        }

        if (next.Count == 0)
        {
            Decide();
            return;
        }

        record.Round++;
        record.Instances = Math.Min(next.Count, FewestFor([.. next.SelectMany(static part => part).Select(index => record.Members[index])], now));
        record.Objects = next;
        record.State = WindowState.Closed;
        Passed();
    }

    /// <summary>Every member knows its outcome and the cost is booked.</summary>
    public void End()
    {
        record.State = WindowState.Ended;
        Passed();
    }

    /// <summary>What each member is told, in order.</summary>
    public IReadOnlyList<(string JobKey, WindowResult Result)> Results()
    {
        var costs = WindowShares.Split(record.Cost, [.. record.Members.Select(Weight)]);
        return
        [
            .. record.Members.Select((member, index) => (member.JobKey, new WindowResult
            {
                OutputKey = member.Outcome is { Failure: null } && JobAddress.TryParse(member.JobKey, out var address) ? address.OutputKey : null,
                Failure = member.Outcome?.Failure,
                Charge = Money.FromNanos(member.Outcome?.Charge ?? 0),
                ServiceMs = member.Outcome?.ServiceMs ?? 0,
                StartedAt = member.Outcome?.StartedAt ?? 0,
                Cost = Money.FromNanos(costs[index]),
            })),
        ];
    }

    private static long Weight(StoredMember member) => 1 + (long)member.InputTokens;

    /// <summary>
    /// A transform job reports one time for all its records. A member whose answer does not tell its own is charged for its share
    /// of the slots' time, by input tokens, but at most for the endpoint's declared 99th percentile: it does not pay for the start.
    /// </summary>
    private void Charge(IReadOnlyList<ObjectOutcome> outcomes, long began, long tookMs)
    {
        var members = record.Objects.SelectMany(static members => members).ToList();
        var slotMs = (long)Math.Min(long.MaxValue / 2, (double)Math.Max(0, tookMs) * Instances * Math.Max(1, Endpoint.ConcurrencyPerInstance));
        var shares = members.Zip(WindowShares.Split(slotMs, [.. members.Select(index => Weight(record.Members[index]))])).ToDictionary(static pair => pair.First, static pair => pair.Second);
        foreach (var (indexes, outcome) in record.Objects.Zip(outcomes))
        {
            if (outcome.Uses is not { } uses)
            {
                continue;
            }

            foreach (var (index, use) in indexes.Zip(uses))
            {
                var member = record.Members[index];
                var service = use.ServiceMs > 0 ? use.ServiceMs : Math.Min(shares[index], Endpoint.Prior.ServiceP99Seconds * 1000);
                record.Members[index] = member with
                {
                    Outcome = new()
                    {
                        Charge = JobCharge.Of(Endpoint, member.InputTokens, member.Bytes, use, service, Money.FromNanos(member.ChargeCap)).Nanos,
                        ServiceMs = use.ServiceMs,
                        StartedAt = began,
                    },
                };
            }
        }
    }

    private void Fail(IEnumerable<int> members, string why)
    {
        foreach (var index in members.ToList())
        {
            record.Members[index] = record.Members[index] with { Outcome = new() { Failure = why } };
        }
    }

    private void Decide()
    {
        record.Decided = true;
        record.Objects = [];
        Passed();
    }

    private void Passed()
    {
        record.Failures = 0;
        record.NotBefore = 0;
    }
}
