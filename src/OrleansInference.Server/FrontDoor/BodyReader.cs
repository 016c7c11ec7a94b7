namespace OrleansInference.FrontDoor;

/// <summary>Reads request bodies whole, never more than a limit.</summary>
internal static class BodyReader
{
    /// <summary>The most that a caller can make us set aside before it has sent that much.</summary>
    private const int FirstBuffer = 1 << 20;
    private const int UnknownLengthBuffer = 16 << 10;

    /// <summary>The body; refused if it is longer than <paramref name="limit"/> bytes.</summary>
    public static async ValueTask<ReadOnlyMemory<byte>> ReadAsync(HttpRequest request, long limit, CancellationToken cancellationToken)
    {
        if (request.ContentLength is { } length && length > limit)
        {
            throw new RefusedException(Refusal.TooLarge(limit));
        }

        if (request.ContentLength == 0)
        {
            return default;
        }

        // One byte more than announced, so that the end is seen without growing.
        var buffer = new byte[Math.Min(request.ContentLength + 1 ?? UnknownLengthBuffer, FirstBuffer)];
        var filled = 0;
        while (true)
        {
            int read;
            try
            {
                read = await request.Body.ReadAsync(buffer.AsMemory(filled), cancellationToken);
            }
            catch (BadHttpRequestException exception) when (exception.StatusCode == StatusCodes.Status413PayloadTooLarge)
            {
                // The web server's own limit came first: a body without a length is cut there.
                throw new RefusedException(Refusal.TooLarge(limit));
            }

            if (read == 0)
            {
                return buffer.AsMemory(0, filled);
            }

            filled += read;
            if (filled > limit)
            {
                throw new RefusedException(Refusal.TooLarge(limit));
            }

            if (filled == buffer.Length)
            {
                Array.Resize(ref buffer, (int)Math.Min(Math.Max(2L * buffer.Length, UnknownLengthBuffer), Math.Min(limit + 1, Array.MaxLength)));
            }
        }
    }
}
