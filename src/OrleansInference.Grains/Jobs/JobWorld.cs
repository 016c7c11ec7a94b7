using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OrleansInference.Audit;
using OrleansInference.Batch;
using OrleansInference.Dispatch;
using OrleansInference.Hosting;
using OrleansInference.Payloads;
using OrleansInference.Routing;

namespace OrleansInference.Jobs;

/// <summary>What the jobs of a silo touch beyond their own state. One per silo.</summary>
internal sealed class JobWorld(
    IGrainFactory grains,
    AsyncLane asyncLane,
    BatchLane batchLane,
    DeferredLane deferredLane,
    IObjectStore objects,
    IRouteOutcomes outcomes,
    JobReplies replies,
    RequestPlanner planner,
    RoutingDirectory directory,
    RouterClock clock,
    IOptions<OrleansInferenceOptions> options,
    IServiceProvider services)
{
    private const int MaxEndpoints = 10_000;
    private const int AsyncLaneBit = 1 << (int)Lane.Async;

    private static readonly TimeSpan EndpointsFor = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<EndpointName, (EndpointConfiguration Configuration, long At)> _endpoints = new();
    private readonly GrainsOf<ITenantGrain> _tenants = new(grains);
    private readonly IAuditLog? _audit = services.GetService<IAuditLog>();

    public ITenantGrain TenantOf(JobAddress address) => _tenants[address.Tenant.Value];

    /// <summary>The lane of jobs that wait for a slot of a real-time endpoint.</summary>
    public DeferredLane Deferred => deferredLane;

    public IJobLane LaneOf(JobRecord record) => record.Specification.Route.Lane switch
    {
        Lane.Batch => batchLane,
        Lane.Realtime => deferredLane,
        _ => asyncLane,
    };

    /// <summary>What a job keeps of the endpoint's configuration, at most seconds old; null if there is none of that name.</summary>
    public async Task<EndpointConfiguration?> FindEndpointAsync(EndpointName name)
    {
        var now = clock.TimeProvider.GetTimestamp();
        if (_endpoints.TryGetValue(name, out var known) && clock.TimeProvider.GetElapsedTime(known.At, now) < EndpointsFor)
        {
            return known.Configuration;
        }

        var view = await grains.GetGrain<IEndpointGrain>(name.Value).GetView();
        if (view is null)
        {
            _endpoints.TryRemove(name, out _);
            return null;
        }

        if (_endpoints.Count >= MaxEndpoints)
        {
            _endpoints.Clear();
        }

        var kept = JobRecord.Keep(view.Configuration);
        _endpoints[name] = (kept, now);
        return kept;
    }

    /// <summary>A faster lane for a member of a window that will be late, decided as for a new request of the time that is left; null if the window is not late, or no lane is in time.</summary>
    public async Task<JobLane?> FindFasterAsync(JobRecord record)
    {
        var specification = record.Specification;
        var request = specification.Request;
        var left = specification.Deadline - clock.Now;
        if (left <= 0 || (request.LaneMask != 0 && (request.LaneMask & AsyncLaneBit) == 0) || !await batchLane.IsLateAsync(record))
        {
            return null;
        }

        // What a silo knows for its decisions is gathered outside of any grain.
        var (route, name) = await Task.Run(() => DecideFasterAsync(specification, left));
        return route is not null && await FindEndpointAsync(name) is { } endpoint ? new(route, endpoint, $"{record.ReservationId}/{route.DecisionId}") : null;
    }

    private async Task<(RouteTaken? Route, EndpointName Endpoint)> DecideFasterAsync(JobSpecification specification, long left)
    {
        var (plan, _) = await planner.PlanAsync(
            specification.Request with
            {
                Body = default,
                InputLocation = null,
                IdempotencyKey = null,
                Class = specification.Route.Class,
                Deadline = TimeSpan.FromMilliseconds(left),
                InputTokens = JobCharge.InputTokens(specification),
                LaneMask = AsyncLaneBit,
                Delivery = Delivery.Either,
            },
            Manner.Job);
        if (plan is null)
        {
            return default;
        }

        plan.Route = plan.Route with { PayloadBytes = specification.BodyLength };
        var routed = await planner.DecideAsync(plan);
        return routed is { Decision.HasRoute: true, Decision.ProbabilityInTime: > 0, Candidate: { } candidate }
            ? (plan.RouteOn(candidate, routed.Decision, routed.ChargeCap, Money.Zero), candidate.Endpoint.Name)
            : default;
    }

    /// <summary>Appends the end of the reservation for a lane that the job does not have (any more), and waits until that is durable.</summary>
    public async Task AuditLaneAsync(JobAddress address, JobRecord record, JobLane lane, EndedReservation ended)
    {
        if (_audit is null)
        {
            return;
        }

        _audit.Append(new()
        {
            Kind = AuditKind.Release,
            Tenant = address.Tenant,
            Request = address.Key,
            Decision = lane.Route.DecisionId,
            Model = record.Specification.Request.Model,
            Class = lane.Route.Class,
            Lane = lane.Route.Lane,
            Endpoint = lane.Route.Endpoint,
            Cap = ended.Amount,
            Charge = Money.Zero,
            ReservedAt = ended.AdmittedAt,
            EndedAt = clock.Now,
            ArrivedAt = record.Specification.AcceptedAt,
            Deadline = record.Specification.Deadline,
            Reservation = lane.ReservationId,
        });
        await _audit.FlushAsync(CancellationToken.None);
    }

    /// <summary>Appends the ended reservation to the audit log and waits until it is durable.</summary>
    public async Task AuditAsync(JobAddress address, JobRecord record)
    {
        if (_audit is null)
        {
            return;
        }

        var (specification, ending) = (record.Specification, record.Ending!);
        _audit.Append(new()
        {
            Kind = ending.Charge > Money.Zero ? AuditKind.Settle : AuditKind.Release,
            Tenant = address.Tenant,
            Request = address.Key,
            Decision = specification.Route.DecisionId,
            Model = specification.Request.Model,
            Class = specification.Route.Class,
            Lane = specification.Route.Lane,
            Endpoint = specification.Route.Endpoint,
            Cap = specification.Route.ChargeCap,
            Charge = ending.Charge,
            ReservedAt = record.ReservedAt > 0 ? record.ReservedAt : ending.At,
            EndedAt = ending.At,
            ArrivedAt = specification.AcceptedAt,
            Deadline = specification.Deadline,
            ServiceMs = ending.ServiceMs,
            InputTokens = JobCharge.InputTokens(specification),
            Problem = ending.Problem?.Code,
            Reservation = record.ReservationId,
        });
        await _audit.FlushAsync(CancellationToken.None);
    }

    /// <summary>Appends the end of a reservation whose job never became durable, and waits until that is durable.</summary>
    public async Task AuditReleaseAsync(JobAddress address, string reservation, JobReminder reminder, EndedReservation ended)
    {
        if (_audit is null)
        {
            return;
        }

        _audit.Append(new()
        {
            Kind = AuditKind.Release,
            Tenant = address.Tenant,
            Request = address.Key,
            Decision = reminder.DecisionId,
            Model = reminder.Model,
            Class = reminder.Class,
            Lane = reminder.Lane,
            Endpoint = reminder.Endpoint,
            Cap = ended.Amount,
            Charge = Money.Zero,
            ReservedAt = ended.AdmittedAt,
            EndedAt = clock.Now,
            ArrivedAt = reminder.AcceptedAt,
            Deadline = reminder.Deadline,
            Problem = ProblemCode.Unavailable,
            Reservation = reservation,
        });
        await _audit.FlushAsync(CancellationToken.None);
    }

    /// <summary>A job that was held goes to its lane.</summary>
    public void TellFunded(JobMachine machine) => outcomes.JobBegan(machine.ToView(), machine.ServiceMs);

    /// <summary>Tells the end to the queue or the webhook that the request named.</summary>
    public Task<ReplyOutcome> ReplyAsync(JobMachine machine)
    {
        var specification = machine.Record.Specification;

        // Of two jobs that have one id after another, one's message is not the other's.
        var id = string.Create(CultureInfo.InvariantCulture, $"{machine.Record.JobId}-{specification.AcceptedAt}");
        return replies.TellAsync(JobReply.Of(machine.ToView(), specification.Request), specification.Request.ReplyTo!, id, CancellationToken.None);
    }

    /// <summary>Counts the ended job and its latency.</summary>
    public void Tell(JobMachine machine)
    {
        var record = machine.Record;
        var ending = record.Ending!;
        outcomes.JobEnded(machine.ToView(), ending.At);
        var (model, endpoint) = (record.Specification.Request.Model, record.Specification.Route.Endpoint);
        if (ending.ServiceMs > 0)
        {
            outcomes.Measured(model, endpoint, LatencyPhase.Service, record.Specification.SizeClass, ending.ServiceMs);
        }

        if (ending.WaitMs >= 0)
        {
            outcomes.Measured(model, endpoint, LatencyPhase.QueueWait, 0, ending.WaitMs);
        }

        directory.Attend(model);
    }

    /// <summary>Counts the ended batch, as one request.</summary>
    public void Tell(BatchView ended) => outcomes.BatchEnded(ended);

    /// <summary>Counts the latencies of the records that a transform job of a batch has answered, each as that of a job of the batch lane.</summary>
    /// <param name="specification">The batch.</param>
    /// <param name="pieces">What its objects came to.</param>
    /// <param name="readyAt">Unix ms from which it waited for the lane.</param>
    /// <param name="began">Unix ms when the transform job's instances began.</param>
    public void Tell(BatchSpecification specification, IReadOnlyList<PieceOutcome> pieces, long readyAt, long began)
    {
        var (model, endpoint) = (specification.Request.Model, specification.Route.Endpoint);
        var wait = Math.Max(0, began - readyAt);
        foreach (var sample in pieces.SelectMany(static piece => piece.Samples))
        {
            outcomes.Measured(model, endpoint, LatencyPhase.QueueWait, 0, wait);
            if (sample is { SizeClass: >= 0, ServiceMs: > 0 })
            {
                outcomes.Measured(model, endpoint, LatencyPhase.Service, sample.SizeClass, sample.ServiceMs);
            }
        }

        directory.Attend(model);
    }

    /// <summary>Stores the input of a job that is to be accepted.</summary>
    public Task StoreInputAsync(JobSpecification specification, JobInput input) =>
        objects.PutAsync(options.Value.PayloadBucket, specification.InputKey, input.Body, specification.Request.ContentType, CancellationToken.None);

    /// <summary>Deletes an object; one that is left costs storage until the bucket's own lifecycle rule takes it.</summary>
    public Task DeleteAsync(S3Address address) =>
        address.Key.Length == 0 ? Task.CompletedTask : objects.DeleteAsync(address.Bucket, address.Key, CancellationToken.None);

    /// <summary>Deletes everything stored for a job.</summary>
    public async Task DeleteAllAsync(JobAddress address, JobRecord record)
    {
        await objects.DeleteBelowAsync(options.Value.PayloadBucket, address.Prefix, CancellationToken.None);
        foreach (var location in new[] { record.ExpectedOutput, record.ExpectedFailure })
        {
            if (S3Address.TryParse(location, out var found))
            {
                await DeleteAsync(found);
            }
        }
    }
}
