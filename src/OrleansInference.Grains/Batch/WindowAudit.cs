using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Audit;
using OrleansInference.Hosting;
using OrleansInference.Jobs;

namespace OrleansInference.Batch;

/// <summary>
/// Records what each member had of its window's bill. The window does that and not the jobs: members that were cancelled or moved, or are deleted already, were in the
/// transform job as the others were, and the shares add up to the bill whatever became of them.
/// </summary>
internal sealed class WindowAudit(RouterClock clock, IServiceProvider services)
{
    private readonly IAuditLog? _log = services.GetService<IAuditLog>();

    /// <summary>Appends the shares, each once however often this is repeated, and waits until they are durable.</summary>
    /// <param name="transformJob">The window's last transform job.</param>
    /// <param name="record">A window whose members have their outcomes.</param>
    /// <param name="results">What its members are told, in their order.</param>
    public async Task ShareAsync(string transformJob, WindowRecord record, IReadOnlyList<(string JobKey, WindowResult Result)> results)
    {
        if (_log is null || record.Cost == 0)
        {
            return;
        }

        var now = clock.Now;
        foreach (var (member, (_, result)) in record.Members.Zip(results))
        {
            if (JobAddress.TryParse(member.JobKey, out var address))
            {
                _log.Append(new()
                {
                    Kind = AuditKind.Share,
                    Tenant = address.Tenant,
                    Request = member.JobKey,
                    Decision = transformJob,
                    Model = record.Endpoint!.Model,
                    Class = TrafficClass.Low,
                    Lane = Lane.Batch,
                    Endpoint = record.Endpoint.Endpoint.Name,
                    Cap = Money.Zero,
                    Charge = Money.Zero,
                    Cost = result.Cost,
                    ReservedAt = now,
                    EndedAt = now,
                    Deadline = member.Deadline,
                    InputTokens = member.InputTokens,
                    Problem = result.Failure is null ? null : ProblemCode.ModelError,
                    Reservation = $"{transformJob}/{member.JobKey}",
                });
            }
        }

        await _log.FlushAsync(CancellationToken.None);
    }
}
