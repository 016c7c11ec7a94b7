namespace OrleansInference.Routing;

/// <summary>The rules that need no prediction. The first that applies is the reason.</summary>
internal static class CandidateFilter
{
    public static DropReason Apply(RoutingOptions options, Candidate candidate, in RouteRequest request, in CandidateLoad load)
    {
        var endpoint = candidate.Endpoint;
        if ((request.Excluded & (1UL << candidate.Index)) != 0)
        {
            return DropReason.Excluded;
        }

        if (endpoint.Draining)
        {
            return DropReason.Draining;
        }

        if (!candidate.Healthy || load.BreakerOpen)
        {
            return DropReason.Unhealthy;
        }

        if (request.LaneMask != 0 && (request.LaneMask & (1 << (int)candidate.Lane)) == 0)
        {
            return DropReason.Lane;
        }

        if (request.AsJob && candidate.Lane == Lane.Realtime && !Quoter.MayDefer(options, candidate, request, load))
        {
            return DropReason.Lane;
        }

        if (candidate.Quality < request.MinQuality)
        {
            return DropReason.Quality;
        }

        if (request.Streaming && !endpoint.Streaming)
        {
            return DropReason.Streaming;
        }

        if (request.PayloadBytes > endpoint.MaxPayloadBytes)
        {
            return DropReason.Payload;
        }

        if (candidate.Lane is Lane.Async or Lane.Batch && !request.CanDefer && request.InlineWaitMs <= 0)
        {
            return DropReason.CannotDefer;
        }

        return endpoint.MaxInstances <= 0 ? DropReason.NoCapacity : DropReason.None;
    }
}
