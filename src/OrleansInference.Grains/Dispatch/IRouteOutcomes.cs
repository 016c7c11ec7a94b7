namespace OrleansInference.Dispatch;

/// <summary>Takes what became of a route that ended outside the dispatcher: a job. One per silo, in memory, safe for concurrent use.</summary>
public interface IRouteOutcomes
{
    /// <summary>Counts a job that ended, once, on the silo where its grain lives.</summary>
    /// <param name="view">The job as it ended.</param>
    /// <param name="endedAt">Unix ms of the end.</param>
    void JobEnded(JobView view, long endedAt);

    /// <summary>Counts a batch that ended as one request, once, on the silo where its grain lives.</summary>
    /// <param name="view">The batch as it ended.</param>
    void BatchEnded(BatchView view);

    /// <summary>A job that was held for its tenant's budget goes to its lane, of whose backlog it was no part until now.</summary>
    /// <param name="view">The job.</param>
    /// <param name="serviceMs">How long it is expected to take, in milliseconds.</param>
    void JobBegan(JobView view, double serviceMs);

    /// <summary>Records one latency sample of an endpoint for the model's statistics.</summary>
    /// <param name="model">The model.</param>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="phase">What was measured.</param>
    /// <param name="sizeClass">Size class of the input (<see cref="Latency.SizeClass"/>); counts for <see cref="LatencyPhase.Service"/> only.</param>
    /// <param name="milliseconds">How long it took, on the router's clock.</param>
    void Measured(ModelName model, EndpointName endpoint, LatencyPhase phase, int sizeClass, double milliseconds);
}
