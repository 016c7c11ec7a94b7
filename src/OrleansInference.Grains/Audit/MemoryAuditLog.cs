namespace OrleansInference.Audit;

/// <summary>An audit log that keeps the last records in memory and the sums of all: for tests, and for hosts that bring none of their own.</summary>
public sealed class MemoryAuditLog : IAuditLog
{
    private readonly Lock _lock = new();
    private readonly Queue<AuditRecord> _records = new();
    private readonly HashSet<string> _told = [];
    private readonly Dictionary<TenantId, (long Records, Money Charged)> _sums = [];
    private readonly int _capacity;

    /// <summary>A log that keeps the last <paramref name="capacity"/> records, at least 1.</summary>
    public MemoryAuditLog(int capacity = 100_000)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        _capacity = capacity;
    }

    /// <summary>The last records, oldest first.</summary>
    public IReadOnlyList<AuditRecord> Records
    {
        get
        {
            lock (_lock)
            {
                return [.. _records];
            }
        }
    }

    /// <summary>Ended reservations and charges of every tenant since the log began.</summary>
    public IReadOnlyDictionary<TenantId, (long Records, Money Charged)> Sums
    {
        get
        {
            lock (_lock)
            {
                return new Dictionary<TenantId, (long, Money)>(_sums);
            }
        }
    }

    /// <inheritdoc/>
    public void Append(AuditRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        lock (_lock)
        {
            if (record.Reservation is { } told && !_told.Add(told))
            {
                return;
            }

            if (_records.Count == _capacity && _records.Dequeue().Reservation is { } oldest)
            {
                _told.Remove(oldest);
            }

            _records.Enqueue(record);
            if (record.Kind != AuditKind.Share)
            {
                var (records, charged) = _sums.GetValueOrDefault(record.Tenant);
                _sums[record.Tenant] = (records + 1, charged + record.Charge);
            }
        }
    }

    /// <inheritdoc/>
    public Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
