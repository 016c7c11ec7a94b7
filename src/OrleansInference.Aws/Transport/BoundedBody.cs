namespace OrleansInference.Aws.Transport;

/// <summary>Reads a body whole, up to a limit.</summary>
internal static class BoundedBody
{
    /// <summary>The body.</summary>
    /// <exception cref="HttpRequestException">It is longer than the limit, or breaks off.</exception>
    public static async Task<byte[]> ReadAsync(HttpContent content, int limit, CancellationToken cancellationToken)
    {
        await content.LoadIntoBufferAsync(limit, cancellationToken).ConfigureAwait(false);
        return await content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false);
    }
}
