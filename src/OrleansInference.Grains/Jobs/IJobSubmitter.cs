namespace OrleansInference.Jobs;

/// <summary>A request that is to become a job: everything that was decided about it.</summary>
public sealed record JobSubmission
{
    /// <summary>The request, with its body or its <see cref="InferenceRequest.InputLocation"/>.</summary>
    public required InferenceRequest Request { get; init; }

    /// <summary>The decided route: endpoint, variant, lane, class, decision id and charge cap. No charge yet.</summary>
    public required RouteTaken Route { get; init; }

    /// <summary>Unix ms of arrival.</summary>
    public required long AcceptedAt { get; init; }

    /// <summary>Unix ms after which the answer is worthless.</summary>
    public required long Deadline { get; init; }

    /// <summary>Size class of the request, for the model's latency statistics.</summary>
    public int SizeClass { get; init; }

    /// <summary>Whether the job is to wait when the budget does not allow it now, as long as it can still be answered in time.</summary>
    public bool MayHold { get; init; }

    /// <summary>Milliseconds that its call is expected to take; 0: as the endpoint's prior says.</summary>
    public double ServiceMs { get; init; }
}

/// <summary>Makes requests into durable jobs.</summary>
public interface IJobSubmitter
{
    /// <summary>
    /// Stores the input, then begins the job: reserves its charge cap in the tenant's ledger, persists it, starts its lane.
    /// Answers the job's id once it is durable, or a problem. The same tenant, idempotency key and body answer the same job;
    /// another body under the same key is an <see cref="ProblemCode.IdempotencyConflict"/>. Never throws for what a caller may
    /// do wrong or for what AWS may do.
    /// </summary>
    Task<InferenceOutcome> SubmitAsync(JobSubmission submission, CancellationToken cancellationToken);
}
