using System.Net;
using System.Runtime.InteropServices;
using Amazon.S3;
using Amazon.S3.Model;
using OrleansInference.Payloads;

namespace OrleansInference.Aws.Payloads;

/// <summary>Objects in S3, through the official SDK.</summary>
internal sealed class S3ObjectStore(IAmazonS3 s3, CreationTags creation) : IObjectStore
{
    private const int MaxListed = 10_000;

    /// <summary>The largest input that SageMaker takes from S3.</summary>
    private const int MaxObjectBytes = 1 << 30;

    public async Task PutAsync(string bucket, string key, ReadOnlyMemory<byte> body, string contentType, CancellationToken cancellationToken)
    {
        using var stream = MemoryMarshal.TryGetArray(body, out var segment)
            ? new MemoryStream(segment.Array!, segment.Offset, segment.Count, writable: false)
            : new MemoryStream(body.ToArray(), writable: false);
        await s3.PutObjectAsync(
            new() { BucketName = bucket, Key = key, InputStream = stream, ContentType = contentType, AutoCloseStream = false, UseChunkEncoding = false },
            cancellationToken).ConfigureAwait(false);
    }

    public async Task<StoredObject?> GetAsync(string bucket, string key, CancellationToken cancellationToken) =>
        await GetAsync(bucket, key, MaxObjectBytes, cancellationToken).ConfigureAwait(false) is not { } found ? null
            : found.Length <= MaxObjectBytes ? found
            : throw new InvalidDataException($"The object '{key}' has {found.Length} bytes: at most {MaxObjectBytes} are read.");

    public async Task<StoredObject?> GetAsync(string bucket, string key, long mostBytes, CancellationToken cancellationToken)
    {
        try
        {
            using var response = await s3.GetObjectAsync(new GetObjectRequest { BucketName = bucket, Key = key }, cancellationToken).ConfigureAwait(false);
            if (response.ContentLength > mostBytes)
            {
                return new(default, response.Headers.ContentType) { Length = response.ContentLength };
            }

            var body = new byte[response.ContentLength];
            await response.ResponseStream.ReadExactlyAsync(body, cancellationToken).ConfigureAwait(false);
            return new(body, response.Headers.ContentType);
        }
        catch (AmazonS3Exception failure) when (IsNoSuchObject(failure))
        {
            return null;
        }
    }

    public async Task<OpenedObject?> OpenAsync(string bucket, string key, CancellationToken cancellationToken)
    {
        try
        {
            // The stream owns its response.
            var response = await s3.GetObjectAsync(new GetObjectRequest { BucketName = bucket, Key = key }, cancellationToken).ConfigureAwait(false);
            return new(response.ResponseStream, response.ContentLength, response.Headers.ContentType);
        }
        catch (AmazonS3Exception failure) when (IsNoSuchObject(failure))
        {
            return null;
        }
    }

    public async Task<bool> ExistsAsync(string bucket, string key, CancellationToken cancellationToken)
    {
        try
        {
            await s3.GetObjectMetadataAsync(new GetObjectMetadataRequest { BucketName = bucket, Key = key }, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (AmazonS3Exception failure) when (IsNoSuchObject(failure))
        {
            return false;
        }
    }

    public Task DeleteAsync(string bucket, string key, CancellationToken cancellationToken) =>
        s3.DeleteObjectAsync(new() { BucketName = bucket, Key = key }, cancellationToken);

    public async Task<IReadOnlyList<string>> ListAsync(string bucket, string prefix, CancellationToken cancellationToken)
    {
        var keys = new List<string>();
        var request = new ListObjectsV2Request { BucketName = bucket, Prefix = prefix };
        while (true)
        {
            var page = await s3.ListObjectsV2Async(request, cancellationToken).ConfigureAwait(false);
            keys.AddRange((page.S3Objects ?? []).Take(MaxListed - keys.Count).Select(entry => entry.Key));
            if (page.IsTruncated != true || keys.Count >= MaxListed)
            {
                return keys;
            }

            request.ContinuationToken = page.NextContinuationToken;
        }
    }

    public async Task EnsureBucketAsync(string bucket, CancellationToken cancellationToken)
    {
        // Asked first, since a deployment whose buckets exist should not need the right to create any.
        try
        {
            await s3.HeadBucketAsync(new() { BucketName = bucket }, cancellationToken).ConfigureAwait(false);
        }
        catch (AmazonS3Exception failure) when (failure.StatusCode == HttpStatusCode.NotFound)
        {
            try
            {
                await s3.PutBucketAsync(new PutBucketRequest { BucketName = bucket, UseClientRegion = true }, cancellationToken).ConfigureAwait(false);
                await TagAsync(bucket, cancellationToken).ConfigureAwait(false);
            }
            catch (AmazonS3Exception race) when (race.ErrorCode == "BucketAlreadyOwnedByYou")
            {
                // Another silo was faster.
            }
        }
    }

    private async Task TagAsync(string bucket, CancellationToken cancellationToken)
    {
        if (creation.Tags.Count == 0)
        {
            return;
        }

        try
        {
            await s3.PutBucketTaggingAsync(bucket, [.. creation.Tags.OrderBy(static tag => tag.Key, StringComparer.Ordinal).Select(static tag => new Tag { Key = tag.Key, Value = tag.Value })], cancellationToken).ConfigureAwait(false);
        }
        catch (AmazonS3Exception failure)
        {
            // The bucket itself is there, and can be used.
            creation.Untagged("Bucket", bucket, failure.Message, "s3:PutBucketTagging");
        }
    }

    private static bool IsNoSuchObject(AmazonS3Exception failure) => failure.StatusCode == HttpStatusCode.NotFound && failure.ErrorCode != "NoSuchBucket";
}
