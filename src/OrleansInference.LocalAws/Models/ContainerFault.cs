namespace OrleansInference.LocalAws.Models;

/// <summary>The simulated container answered with an error of its own.</summary>
/// <param name="status">HTTP status of the container; 0 if it did not answer in time.</param>
/// <param name="message">What the container said.</param>
internal sealed class ContainerFault(int status, string message) : Exception(message)
{
    public int Status { get; } = status;

    /// <summary>The container did not answer within the time allowed.</summary>
    public static ContainerFault TimedOut() =>
        new(0, "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again.");
}
