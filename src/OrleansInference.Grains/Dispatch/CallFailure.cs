using OrleansInference.Capacity;
using OrleansInference.Invocation;
using OrleansInference.Leases;

namespace OrleansInference.Dispatch;

/// <summary>What it means that a call failed.</summary>
/// <param name="Problem">What the caller is told.</param>
/// <param name="End">What the endpoint's statistics are told.</param>
/// <param name="MayTryAnother">Whether another candidate may be tried.</param>
/// <param name="Ran">Whether it is known to have run, so that its use is paid for.</param>
internal readonly record struct CallFailure(InferenceProblem Problem, CallEnd End, bool MayTryAnother, bool Ran)
{
    private static readonly TimeSpan AfterThrottling = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AfterFailure = TimeSpan.FromSeconds(2);

    /// <summary>Reads it off the exception.</summary>
    /// <param name="exception">What the call ended in.</param>
    /// <param name="endpoint">Where.</param>
    /// <param name="longestMs">How long it might have run, in milliseconds.</param>
    /// <param name="wasSent">Whether it was sent.</param>
    /// <param name="callerGaveUp">Whether its cancellation is the caller's doing.</param>
    /// <param name="wasRelayed">Whether the caller was given any output.</param>
    public static CallFailure Of(Exception exception, EndpointName endpoint, long longestMs, bool wasSent, bool callerGaveUp, bool wasRelayed) => exception switch
    {
        OperationCanceledException or TimeoutException when callerGaveUp =>
            new(RequestPlanner.Problem(ProblemCode.Cancelled, "The caller gave up."), CallEnd.Unanswered, false, wasSent),
        OperationCanceledException or TimeoutException =>
            new(RequestPlanner.Problem(ProblemCode.DeadlineExceeded, $"Endpoint {endpoint} did not answer within the {longestMs / 1000.0:0.###} s that were left; allow a later deadline."), CallEnd.Unanswered, false, true),
        ModelCallException { Failure: ModelCallFailure.Model } failure =>
            new(new() { Code = ProblemCode.ModelError, Message = $"The model on endpoint {endpoint} failed: {failure.Message}", OriginalStatusCode = failure.OriginalStatusCode, OriginalMessage = failure.OriginalMessage }, CallEnd.Unanswered, false, wasRelayed || !failure.NotSent),
        ModelCallException { Failure: ModelCallFailure.Validation } failure =>
            new(RequestPlanner.Problem(ProblemCode.InvalidRequest, $"SageMaker refused the request to endpoint {endpoint}: {failure.Message}"), CallEnd.Unanswered, false, wasRelayed),
        ModelCallException { Failure: ModelCallFailure.Throttled or ModelCallFailure.NotReady } failure =>
            new(RequestPlanner.Problem(ProblemCode.Throttled, $"Endpoint {endpoint} takes no more requests now: {failure.Message}", AfterThrottling), CallEnd.Throttled, true, wasRelayed),
        ModelCallException failure =>
            new(RequestPlanner.Problem(ProblemCode.UpstreamUnavailable, $"Endpoint {endpoint} could not serve: {failure.Message}", AfterFailure), CallEnd.Failed, true, wasRelayed),
        _ => new(RequestPlanner.Problem(ProblemCode.Internal, $"The call of endpoint {endpoint} failed in the router{(wasRelayed ? "" : "; nothing was charged")}."), CallEnd.Failed, false, wasRelayed),
    };

    /// <summary>What the end of a call says about the endpoint: who gave up or ran out of time, or was throttled, does not know whether it serves.</summary>
    public static CallVerdict VerdictOf(CallEnd end, ProblemCode? problem) => end switch
    {
        CallEnd.Answered => CallVerdict.Healthy,
        CallEnd.Failed => CallVerdict.Faulty,
        CallEnd.Unanswered when problem is ProblemCode.ModelError or ProblemCode.InvalidRequest => CallVerdict.Healthy,
        _ => CallVerdict.None,
    };
}
