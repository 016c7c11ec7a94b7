using Amazon.Runtime;

namespace OrleansInference.DynamoDB;

/// <summary>
/// What AWS said of a call that it refused, in <see cref="Exception.Data"/>: of an exception that is sent to another silo type, message and data arrive, and most errors of AWS have no type of their own.
/// </summary>
public static class RefusalData
{
    private const string CodeKey = "aws-error-code";
    private const string StatusKey = "aws-http-status";

    /// <summary>Notes code and status of the exception in its data.</summary>
    public static void Note(AmazonServiceException exception)
    {
        ArgumentNullException.ThrowIfNull(exception);
        if (!string.IsNullOrEmpty(exception.ErrorCode))
        {
            exception.Data[CodeKey] = exception.ErrorCode;
        }

        if (exception.StatusCode != 0)
        {
            exception.Data[StatusKey] = (int)exception.StatusCode;
        }
    }

    /// <summary>AWS' name of the error, such as <c>AccessDeniedException</c>, of the exception itself or as noted; null if neither has one.</summary>
    public static string? CodeOf(AmazonServiceException exception)
    {
        ArgumentNullException.ThrowIfNull(exception);
        return string.IsNullOrEmpty(exception.ErrorCode) ? exception.Data[CodeKey] as string : exception.ErrorCode;
    }

    /// <summary>The HTTP status, of the exception itself or as noted; 0 if neither has one.</summary>
    public static int StatusOf(AmazonServiceException exception)
    {
        ArgumentNullException.ThrowIfNull(exception);
        return exception.StatusCode != 0 ? (int)exception.StatusCode : exception.Data[StatusKey] is int status ? status : 0;
    }
}
