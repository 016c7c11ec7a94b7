using Amazon.DynamoDBv2;
using Amazon.Runtime;

namespace OrleansInference.DynamoDB;

/// <summary>Which operation of DynamoDB's failed: exceptions of the SDK do not say so themselves.</summary>
public static class FailedOperation
{
    private const string Key = "OrleansInference.DynamoDB.Operation";
    private const string Request = "Request";

    /// <summary>The operation's name, such as <c>PutItem</c>; null if the exception is not one of a table's, or came from another silo.</summary>
    public static string? Of(Exception exception)
    {
        ArgumentNullException.ThrowIfNull(exception);
        return exception.Data[Key] as string;
    }

    /// <summary>Notes it with what a client throws.</summary>
    internal static void NoteOn(AmazonDynamoDBClient client) => client.ExceptionEvent += static (_, failed) =>
    {
        if (failed is WebServiceExceptionEventArgs { Exception: { } exception, Request: { } request } && request.GetType().Name is var name && name.EndsWith(Request, StringComparison.Ordinal))
        {
            exception.Data[Key] = name[..^Request.Length];
        }
    };
}
