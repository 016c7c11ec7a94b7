namespace OrleansInference.DynamoDB;

/// <summary>A table is missing or is not laid out as it must be, or an item does not fit into it; the message says what to do.</summary>
public sealed class TableException : Exception
{
    /// <summary>Creates it.</summary>
    public TableException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
