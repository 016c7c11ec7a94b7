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
    public async Task The_tags_of_a_bucket_are_kept_until_it_goes()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new());
        await aws.S3.PutBucketAsync("payloads");
        Assert.Equal("NoSuchTagSet", (await Assert.ThrowsAsync<AmazonS3Exception>(() => aws.S3.GetBucketTaggingAsync(new() { BucketName = "payloads" }))).ErrorCode);

        await aws.S3.PutBucketTaggingAsync("payloads", [new() { Key = "Gone", Value = "1" }]);
        await aws.S3.PutBucketTaggingAsync("payloads", [new() { Key = "CostCenter", Value = "42" }, new() { Key = "Application", Value = "a & b" }]);

        Assert.Equal([("Application", "a & b"), ("CostCenter", "42")], (await aws.S3.GetBucketTaggingAsync(new() { BucketName = "payloads" })).TagSet.Select(static tag => (tag.Key, tag.Value)));
        Assert.Equal("NoSuchBucket", (await Assert.ThrowsAsync<AmazonS3Exception>(() => aws.S3.PutBucketTaggingAsync("nowhere", [new() { Key = "a", Value = "1" }]))).ErrorCode);
        await aws.S3.DeleteBucketAsync("payloads");
        await aws.S3.PutBucketAsync("payloads");
        Assert.Equal("NoSuchTagSet", (await Assert.ThrowsAsync<AmazonS3Exception>(() => aws.S3.GetBucketTaggingAsync(new() { BucketName = "payloads" }))).ErrorCode);
    }

    [Fact]
    public async Task Lists_in_order_by_prefix_delimiter_and_page()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new());
        await aws.S3.PutBucketAsync("payloads");
        foreach (var key in (string[])["a/1", "a/2", "a/deep/3", "b", "a.txt", "a0", "ä", "c&<d>"])
        {
            await aws.S3.PutObjectAsync(new() { BucketName = "payloads", Key = key, ContentBody = key });
        }

        var all = await aws.S3.ListObjectsV2Async(new() { BucketName = "payloads" });
        Assert.Equal(["a.txt", "a/1", "a/2", "a/deep/3", "a0", "b", "c&<d>", "ä"], all.S3Objects.Select(o => o.Key));
        var folders = await aws.S3.ListObjectsV2Async(new() { BucketName = "payloads", Delimiter = "/", Prefix = "a" });
        Assert.Equal(["a.txt", "a0"], folders.S3Objects.Select(o => o.Key));
        Assert.Equal(["a/"], folders.CommonPrefixes);

        var paged = new List<string>();
        ListObjectsV2Response page;
        string? token = null;
        do
        {
            page = await aws.S3.ListObjectsV2Async(new() { BucketName = "payloads", Delimiter = "/", MaxKeys = 2, ContinuationToken = token });
            paged.AddRange((page.S3Objects ?? []).Select(o => o.Key).Concat(page.CommonPrefixes ?? []));
            token = page.NextContinuationToken;
        }
        while (page.IsTruncated == true);
        Assert.Equal(["a.txt", "a/", "a0", "b", "c&<d>", "ä"], paged);
    }

    [Fact]
    public async Task Deletes_many_reads_ranges_and_tells_buckets()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new());
        await aws.S3.PutBucketAsync("payloads");
        Assert.Contains("payloads", (await aws.S3.ListBucketsAsync()).Buckets.Select(b => b.BucketName));
        foreach (var key in (string[])["one", "two", "three"])
        {
            await aws.S3.PutObjectAsync(new() { BucketName = "payloads", Key = key, ContentBody = "0123456789" });
        }

        using var part = await aws.S3.GetObjectAsync(new GetObjectRequest { BucketName = "payloads", Key = "one", ByteRange = new(2, 4) });
        using var reader = new StreamReader(part.ResponseStream);
        Assert.Equal("234", await reader.ReadToEndAsync());
        var beyond = await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => aws.S3.GetObjectAsync(new GetObjectRequest { BucketName = "payloads", Key = "one", ByteRange = new(10, 20) }));
        Assert.Equal("InvalidRange", beyond.ErrorCode);

        var full = await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => aws.S3.DeleteBucketAsync("payloads"));
        Assert.Equal("BucketNotEmpty", full.ErrorCode);
        await aws.S3.DeleteObjectsAsync(new() { BucketName = "payloads", Objects = [new() { Key = "one" }, new() { Key = "two" }, new() { Key = "three" }, new() { Key = "none" }] });
        Assert.Equal(0, (await aws.S3.ListObjectsV2Async(new() { BucketName = "payloads" })).KeyCount);
        await aws.S3.DeleteBucketAsync("payloads");
    }

    [Fact]
    public async Task A_body_that_is_not_what_its_digest_says_is_refused()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new());

        using var response = await aws.SendAsync(HttpMethod.Put, "/orleans-inference/one", "body", service: "s3", headers: ("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="));

        Assert.Equal(System.Net.HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains("BadDigest", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        await Assert.ThrowsAsync<NoSuchKeyException>(() => aws.S3.GetObjectAsync("orleans-inference", "one"));
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
