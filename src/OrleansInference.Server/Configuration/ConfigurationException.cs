namespace OrleansInference.Configuration;

/// <summary>The configuration cannot be used. Carries every problem found, each with its file and key and what to do.</summary>
public sealed class ConfigurationException : Exception
{
    /// <summary>Creates the exception.</summary>
    public ConfigurationException(IReadOnlyList<string> problems)
        : base(string.Join(Environment.NewLine, problems)) => Problems = problems;

    /// <summary>Every problem, at least one.</summary>
    public IReadOnlyList<string> Problems { get; }
}
