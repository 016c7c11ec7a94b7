namespace OrleansInference.Aws.ControlPlane;

/// <summary>A control-plane call of SageMaker that failed, after its repetitions.</summary>
public sealed class SageMakerException : Exception
{
    /// <summary>Creates the exception.</summary>
    public SageMakerException(string operation, string errorType, int? status, string message, Exception? innerException = null)
        : base($"{operation}: {message}", innerException)
    {
        Operation = operation;
        ErrorType = errorType;
        Status = status;
    }

    /// <summary>The operation, such as <c>DescribeEndpoint</c>.</summary>
    public string Operation { get; }

    /// <summary>SageMaker's name of the error, such as <c>ValidationException</c>; empty if it gave none.</summary>
    public string ErrorType { get; }

    /// <summary>HTTP status; null if there was no answer.</summary>
    public int? Status { get; }

    /// <summary>
    /// Whether SageMaker does not know what the call names. Most operations say so with a validation error, told apart by its message alone.
    /// </summary>
    internal bool IsNotFound => ErrorType is "ResourceNotFound" or "ResourceNotFoundException"
        || (IsValidation && Message.Contains("could not find", StringComparison.OrdinalIgnoreCase));

    internal bool IsValidation => ErrorType is "ValidationException" or "ValidationError";

    internal bool IsInUse => ErrorType is "ResourceInUse" or "ResourceInUseException";
}
