using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Simulator.Decisions;

/// <summary>
/// Told what becomes of each request, and why. A world has one or none (<see cref="World.Log"/>); the world tells how each request ended, a policy tells what it
/// decided and from what, if it wants to: <c>world.Log?.Decided(request.Number, …)</c>, so that nothing is put together when nobody reads it.
/// </summary>
public interface IDecisionLog
{
    /// <summary>A policy has decided something of a request that is under way; it may do so more than once.</summary>
    /// <param name="number">The request's <see cref="Request.Number"/>.</param>
    /// <param name="decision">What, and from what.</param>
    void Decided(long number, LoggedDecision decision);

    /// <summary>A request that no lane can serve has come; no policy is told of it.</summary>
    /// <param name="number">It counts with the requests.</param>
    /// <param name="arrival">The request.</param>
    /// <param name="deadlineUs">Microseconds.</param>
    void Infeasible(long number, in Arrival arrival, long deadlineUs);

    /// <summary>A request's service has ended.</summary>
    /// <param name="request">The request.</param>
    /// <param name="pool">Where.</param>
    /// <param name="nowUs">Microseconds.</param>
    void Ended(in Request request, Pool pool, long nowUs);

    /// <summary>A request was given up before its service began.</summary>
    /// <param name="request">The request.</param>
    /// <param name="nowUs">Microseconds.</param>
    void Missed(in Request request, long nowUs);
}
