using OrleansInference.Latency;

namespace OrleansInference.Routing;

/// <summary>How long requests take on each of a model's candidates by their tokens, as far as this process has seen calls there. Safe for concurrent use.</summary>
public sealed class ServiceFits
{
    private readonly ServiceFit[] _own;
    private readonly ServiceFit?[] _like;

    /// <summary>Reads from where the endpoints' calls are recorded.</summary>
    /// <param name="table">The model's routing table.</param>
    /// <param name="recorder">Where calls are recorded.</param>
    public ServiceFits(RoutingTable table, LatencyRecorder recorder)
    {
        ArgumentNullException.ThrowIfNull(table);
        ArgumentNullException.ThrowIfNull(recorder);
        _own = [.. table.Candidates.Select(candidate => recorder.SeriesOf(candidate.Endpoint.Name).Fit)];
        _like = [.. table.Candidates.Select(candidate => LikeOf(table, candidate) is { } like ? _own[like.Index] : null)];
    }

    /// <summary>Takes a call that ended.</summary>
    /// <param name="candidate">Index of the candidate that served it.</param>
    /// <param name="inputTokens">Input tokens.</param>
    /// <param name="maxOutputTokens">The most output tokens that it asked for.</param>
    /// <param name="milliseconds">How long it took.</param>
    public void Observe(int candidate, int inputTokens, int maxOutputTokens, double milliseconds) => _own[candidate].Observe(inputTokens, maxOutputTokens, milliseconds);

    /// <summary>How long a request is expected to take.</summary>
    /// <param name="candidate">Index of the candidate.</param>
    /// <param name="inputTokens">Input tokens.</param>
    /// <param name="maxOutputTokens">The most output tokens that it asks for.</param>
    public ServiceEstimate Estimate(int candidate, int inputTokens, int maxOutputTokens)
    {
        var own = _own[candidate].Estimate(inputTokens, maxOutputTokens);
        return own.Ms > 0 || _like[candidate] is not { } like ? own : like.Estimate(inputTokens, maxOutputTokens);
    }

    // Instances of an async endpoint are started when there is work, and nothing is known of them yet: on a real-time endpoint of the same variant and type of instance it takes as long.
    private static Candidate? LikeOf(RoutingTable table, Candidate candidate) => candidate.Lane != Lane.Async ? null : table.Candidates.FirstOrDefault(other =>
        other.Lane == Lane.Realtime && other.Variant == candidate.Variant && other.Endpoint.InstanceType == candidate.Endpoint.InstanceType);
}
