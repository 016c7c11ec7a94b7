namespace OrleansInference.Simulator.Scenarios;

/// <summary>What is wrong with a scenario or its trace, and what to do.</summary>
/// <param name="File">The file.</param>
/// <param name="Where">JSON path or line in it.</param>
/// <param name="What">What is wrong there, and what to do.</param>
public sealed record ScenarioProblem(string File, string Where, string What)
{
    /// <inheritdoc/>
    public override string ToString() => Where.Length == 0 ? $"{File}: {What}" : $"{File}: {Where}: {What}";
}

/// <summary>A scenario or its trace cannot be used. Carries every problem found.</summary>
public sealed class ScenarioException : Exception
{
    /// <summary>Creates the exception.</summary>
    public ScenarioException(IReadOnlyList<ScenarioProblem> problems, Exception? inner = null)
        : base(string.Join(Environment.NewLine, problems), inner) => Problems = problems;

    /// <summary>Creates the exception of one problem.</summary>
    public ScenarioException(string file, string where, string what, Exception? inner = null)
        : this([new ScenarioProblem(file, where, what)], inner)
    {
    }

    /// <summary>Every problem, at least one.</summary>
    public IReadOnlyList<ScenarioProblem> Problems { get; }
}
