using System.Net.Sockets;
using Orleans.Runtime.Messaging;

namespace OrleansInference.Diagnosis;

/// <summary>What a silo that cannot be reached leaves in the logs of the others, in one line: the cause is not where the stack is.</summary>
internal static class SiloProblem
{
    /// <summary>The line; null if the exception tells of something else.</summary>
    /// <param name="exception">What was logged.</param>
    /// <param name="category">Who logged it: what the runtime says of a connection is of one between silos.</param>
    /// <param name="kind">What kind of problem it is.</param>
    public static string? Of(Exception exception, string category, out string kind)
    {
        var isOfRuntime = category.StartsWith("Orleans.", StringComparison.Ordinal);
        for (var cause = exception; cause is not null; cause = cause.InnerException)
        {
            if (cause is SiloUnavailableException or ConnectionFailedException or OrleansMessageRejectionException
                || (isOfRuntime && (cause is SocketException or IOException or TimeoutException or OperationCanceledException)))
            {
                kind = cause.GetType().Name;
                return $"{kind}: {AwsProblem.Line(cause.Message)}";
            }
        }

        kind = "";
        return null;
    }
}
