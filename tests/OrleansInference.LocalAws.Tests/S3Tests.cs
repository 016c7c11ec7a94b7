using Amazon.S3;
using Amazon.S3.Model;

namespace OrleansInference.Tests;

public sealed class S3Tests
{
    [Theory]
    [InlineData(0, true)]
    [InlineData(100, true)]
    [InlineData(100, false)]
    [InlineData(1_000_000, true)]
    [InlineData(1_000_000, false)]
    public async Task An_object_comes_back_as_it_was_put(int size, bool chunked)
    {
        await using var aws = await LocalAwsFixture.StartAsync(new());
        await aws.S3.PutBucketAsync("payloads");
        var body = new byte[size];
        new Random(7).NextBytes(body);

        var put = await aws.S3.PutObjectAsync(new() { BucketName = "payloads", Key = "a b/ü+c%.json", InputStream = new MemoryStream(body), ContentType = "application/json", UseChunkEncoding = chunked, Metadata = { ["origin"] = "test" } });

        using var got = await aws.S3.GetObjectAsync("payloads", "a b/ü+c%.json");
        using var copy = new MemoryStream();
        await got.ResponseStream.CopyToAsync(copy);
        Assert.Equal(body, copy.ToArray());
        Assert.Equal(put.ETag, got.ETag);
        Assert.Equal("application/json", got.Headers.ContentType);
        Assert.Equal("test", got.Metadata["origin"]);
        Assert.Equal(size, (await aws.S3.GetObjectMetadataAsync("payloads", "a b/ü+c%.json")).ContentLength);
    }

    [Fact]
    public async Task Missing_objects_and_buckets_are_named_so()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new());
        await aws.S3.PutBucketAsync("payloads");

        var key = await Assert.ThrowsAsync<NoSuchKeyException>(() => aws.S3.GetObjectAsync("payloads", "none"));
        Assert.Equal("NoSuchKey", key.ErrorCode);
        var bucket = await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => aws.S3.GetObjectAsync("nowhere", "none"));
        Assert.Equal("NoSuchBucket", bucket.ErrorCode);
        var head = await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => aws.S3.GetObjectMetadataAsync("payloads", "none"));
        Assert.Equal(System.Net.HttpStatusCode.NotFound, head.StatusCode);
        await aws.S3.DeleteObjectAsync("payloads", "none");
    }
}
