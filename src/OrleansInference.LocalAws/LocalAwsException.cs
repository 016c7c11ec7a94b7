namespace OrleansInference.LocalAws;

/// <summary>The embedded AWS cannot start or take a catalog. The message names the thing and the remedy.</summary>
public sealed class LocalAwsException : Exception
{
    /// <summary>Creates the exception.</summary>
    public LocalAwsException(LocalAwsProblem problem, string message, Exception? innerException = null)
        : base(message, innerException) => Problem = problem;

    /// <summary>What is wrong.</summary>
    public LocalAwsProblem Problem { get; }
}

/// <summary>What keeps an embedded AWS from starting.</summary>
public enum LocalAwsProblem
{
    /// <summary>The catalog cannot be read or breaks its rules.</summary>
    Catalog = 0,

    /// <summary>The port is taken or not allowed.</summary>
    Port = 1,

    /// <summary>The data folder is in use, cannot be written, or is damaged.</summary>
    DataFolder = 2,
}
