using OrleansInference.Audit;

namespace OrleansInference.Benchmarks.Routing;

/// <summary>An audit log that only adds up: a host's own writes its records on another thread.</summary>
internal sealed class SummedAudit : IAuditLog
{
    private long _charged;

    public Money Charged => Money.FromNanos(Volatile.Read(ref _charged));

    public void Append(AuditRecord record) => Interlocked.Add(ref _charged, record.Charge.Nanos);

    public Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
