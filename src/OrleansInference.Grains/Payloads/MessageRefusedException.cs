namespace OrleansInference.Payloads;

/// <summary>A queue does not take a message as it is, however often it is sent: it is too large, or has a wrong attribute.</summary>
public sealed class MessageRefusedException(string message, Exception? innerException = null) : Exception(message, innerException);
