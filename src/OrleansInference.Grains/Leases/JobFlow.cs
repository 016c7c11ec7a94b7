namespace OrleansInference.Leases;

/// <summary>
/// What this silo knows of an async endpoint's backlog ahead of its published status: jobs that are being handed over, and
/// changes that were told after the status was taken or are not told yet. Safe for concurrent use; bounded.
/// </summary>
internal sealed class JobFlow
{
    // More than the reports between two statuses; the oldest are in every status by then.
    private const int MaxReports = 64;

    private readonly Lock _lock = new();
    private readonly Queue<Report> _reports = new();
    private int _untold;

    /// <summary>Jobs came (positive) or ended (negative).</summary>
    public void Changed(int jobs) => Interlocked.Add(ref _untold, jobs);

    /// <summary>Begins to tell the owner of <paramref name="jobs"/> of the changes.</summary>
    public Report Telling(int jobs)
    {
        var report = new Report(this, jobs);
        lock (_lock)
        {
            if (jobs != 0)
            {
                Changed(-jobs);
                _reports.Enqueue(report);
                if (_reports.Count > MaxReports)
                {
                    _reports.Dequeue();
                }
            }
        }

        return report;
    }

    /// <summary>The changes that a status taken at <paramref name="statusAt"/> cannot contain.</summary>
    public int UncountedAt(long statusAt)
    {
        lock (_lock)
        {
            while (_reports.TryPeek(out var oldest) && oldest.ToldAt < statusAt)
            {
                _reports.Dequeue();
            }

            var sum = Volatile.Read(ref _untold);
            foreach (var report in _reports)
            {
                sum += report.ToldAt >= statusAt ? report.Jobs : 0;
            }

            return sum;
        }
    }

    /// <summary>Changes told in one message.</summary>
    internal sealed class Report(JobFlow flow, int jobs)
    {
        public int Jobs { get; private set; } = jobs;

        public long ToldAt { get; private set; } = long.MaxValue;

        /// <summary>The owner answered at <paramref name="now"/>: a status from later on has it.</summary>
        public void Done(long now)
        {
            lock (flow._lock)
            {
                ToldAt = now;
            }
        }

        /// <summary>The owner may not have got it: it is told again.</summary>
        public void Undo()
        {
            lock (flow._lock)
            {
                flow.Changed(Jobs);
                Jobs = 0;
                ToldAt = long.MinValue;
            }
        }
    }
}
