namespace OrleansInference.Aws.EventStreams;

/// <summary>A message of <c>application/vnd.amazon.eventstream</c>.</summary>
/// <param name="Headers">The headers, in order.</param>
/// <param name="Payload">The payload.</param>
public sealed record EventStreamMessage(IReadOnlyList<EventStreamHeader> Headers, ReadOnlyMemory<byte> Payload)
{
    /// <summary>MIME type of a stream of such messages.</summary>
    public const string StreamContentType = "application/vnd.amazon.eventstream";

    /// <summary>The most bytes a whole message may have here: 24 MiB of payload, 128 KiB of headers and the frame.</summary>
    public const int MaxLength = (24 << 20) + MaxHeadersLength + FrameLength;

    /// <summary>The most bytes its headers may have.</summary>
    public const int MaxHeadersLength = 128 << 10;

    internal const int PreludeLength = 12;
    internal const int FrameLength = PreludeLength + 4;

    /// <summary><c>:message-type</c>: <c>event</c>, <c>exception</c> or <c>error</c>.</summary>
    public string? MessageType => Text(":message-type");

    /// <summary><c>:event-type</c>: the name of an event, such as <c>PayloadPart</c>.</summary>
    public string? EventType => Text(":event-type");

    /// <summary><c>:exception-type</c>: the name of a modelled exception, such as <c>ModelStreamError</c>.</summary>
    public string? ExceptionType => Text(":exception-type");

    /// <summary><c>:error-code</c> of an exception that is not modelled.</summary>
    public string? ErrorCode => Text(":error-code");

    /// <summary><c>:error-message</c> of an exception that is not modelled.</summary>
    public string? ErrorMessage => Text(":error-message");

    /// <summary><c>:content-type</c> of the payload.</summary>
    public string? ContentType => Text(":content-type");

    /// <summary>The value of a text header, or null.</summary>
    public string? Text(string name)
    {
        for (var i = 0; i < Headers.Count; i++)
        {
            if (Headers[i].Name == name)
            {
                return Headers[i].Text;
            }
        }

        return null;
    }
}

/// <summary>Bytes that are not a well-formed event stream.</summary>
public sealed class EventStreamFormatException : FormatException
{
    /// <summary>Creates the exception.</summary>
    public EventStreamFormatException(string message)
        : base(message)
    {
    }
}
