namespace OrleansInference.LocalAws.Wire;

/// <summary>An error that a service answers. The service's surface gives it its form on the wire.</summary>
/// <param name="status">HTTP status.</param>
/// <param name="code">AWS's name of the error.</param>
/// <param name="message">What is wrong.</param>
internal sealed class AwsFault(int status, string code, string message) : Exception(message)
{
    public int Status { get; } = status;

    public string Code { get; } = code;

    /// <summary>Further members of the error, such as the original status of a model's error.</summary>
    public IReadOnlyDictionary<string, object>? Members { get; init; }

    /// <summary>The error's name in the older query protocol, which some clients look for.</summary>
    public string? QueryCode { get; init; }
}
