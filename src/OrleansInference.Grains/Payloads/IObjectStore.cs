namespace OrleansInference.Payloads;

/// <summary>An object read from the store.</summary>
public sealed record StoredObject(ReadOnlyMemory<byte> Body, string? ContentType)
{
    /// <summary>Bytes of the object, also where its body was too large to be read.</summary>
    public long Length { get; init; } = Body.Length;
}

/// <summary>An object that is being read.</summary>
/// <param name="Body">What is left of it.</param>
/// <param name="Length">Bytes of the object.</param>
/// <param name="ContentType">Its type; null if none is known.</param>
public sealed record OpenedObject(Stream Body, long Length, string? ContentType) : IAsyncDisposable
{
    /// <inheritdoc/>
    public ValueTask DisposeAsync() => Body.DisposeAsync();
}

/// <summary>S3, as far as it is used.</summary>
public interface IObjectStore
{
    /// <summary>Writes an object whole.</summary>
    Task PutAsync(string bucket, string key, ReadOnlyMemory<byte> body, string contentType, CancellationToken cancellationToken);

    /// <summary>Reads an object whole; null if there is none.</summary>
    Task<StoredObject?> GetAsync(string bucket, string key, CancellationToken cancellationToken);

    /// <summary>Reads an object whose body is of use only up to so many bytes: a larger one is not read, and has an empty body. Null if there is none.</summary>
    async Task<StoredObject?> GetAsync(string bucket, string key, long mostBytes, CancellationToken cancellationToken) =>
        await GetAsync(bucket, key, cancellationToken) is { } whole ? whole.Length <= mostBytes ? whole : whole with { Body = default } : null;

    /// <summary>Opens an object to be read from its beginning; null if there is none. The caller disposes it.</summary>
    async Task<OpenedObject?> OpenAsync(string bucket, string key, CancellationToken cancellationToken) =>
        await GetAsync(bucket, key, cancellationToken) is { } whole ? new(new MemoryStream(whole.Body.ToArray(), writable: false), whole.Length, whole.ContentType) : null;

    /// <summary>Whether the object exists.</summary>
    Task<bool> ExistsAsync(string bucket, string key, CancellationToken cancellationToken);

    /// <summary>Deletes an object; harmless if there is none.</summary>
    Task DeleteAsync(string bucket, string key, CancellationToken cancellationToken);

    /// <summary>Keys below a prefix, in order, at most 10,000.</summary>
    Task<IReadOnlyList<string>> ListAsync(string bucket, string prefix, CancellationToken cancellationToken);

    /// <summary>Creates the bucket unless it exists.</summary>
    Task EnsureBucketAsync(string bucket, CancellationToken cancellationToken);
}
