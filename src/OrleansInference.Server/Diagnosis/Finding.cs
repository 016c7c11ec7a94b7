namespace OrleansInference.Diagnosis;

/// <summary>How a dependency was found.</summary>
public enum FindingState
{
    /// <summary>As it must be.</summary>
    Ok,

    /// <summary>Usable, but not as it should be.</summary>
    Warning,

    /// <summary>Not usable.</summary>
    Wrong,
}

/// <summary>What was found of one dependency.</summary>
/// <param name="Dependency">What was tried, such as <c>DynamoDB table OrleansSilos</c>.</param>
/// <param name="State">How it was found.</param>
/// <param name="Detail">What was found, in one line.</param>
/// <param name="Remedy">How to mend it; empty if there is nothing to mend.</param>
public sealed record Finding(string Dependency, FindingState State, string Detail, string Remedy = "");
