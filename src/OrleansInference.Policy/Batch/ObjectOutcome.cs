using OrleansInference.Jobs;

namespace OrleansInference.Batch;

/// <summary>What an input object came to: a line per member, or nothing.</summary>
/// <param name="Uses">What each member's line tells of its use, in order; null if the object was not transformed.</param>
/// <param name="Failure">Why not.</param>
/// <param name="MayPass">Whether its records are not to blame, so that it is tried again as it is: AWS failed, or the transform job was stopped.</param>
public sealed record ObjectOutcome(IReadOnlyList<AnswerUse>? Uses, string? Failure, bool MayPass = false);
