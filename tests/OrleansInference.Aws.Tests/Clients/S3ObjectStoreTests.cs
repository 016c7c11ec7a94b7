using System.Text;
using Amazon.S3;
using Microsoft.AspNetCore.Http;
using OrleansInference.Payloads;

namespace OrleansInference.Tests.Clients;

public sealed class S3ObjectStoreTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Theory]
    [InlineData("jobs/a b/ü+1.json", "/bucket/jobs/a%20b/%C3%BC%2B1.json")]
    [InlineData("plain", "/bucket/plain")]
    public async Task PutObject_sends_the_whole_body_in_path_style_with_its_hash_signed(string key, string target)
    {
        await using var aws = await ScriptedAws.StartAsync(200, "", ("ETag", "\"e\""));
        var body = Encoding.UTF8.GetBytes("xx{\"inputs\":1}yy");

        await aws.Client<IObjectStore>().PutAsync("bucket", key, body.AsMemory(2, body.Length - 4), "application/json", None);

        var request = aws.SingleRequest("s3");
        Assert.Equal(("PUT", target), (request.Method, request.Target));
        Assert.Equal("{\"inputs\":1}", request.Text);
        Assert.Equal("application/json", request.Header("Content-Type"));
        Assert.Equal(64, request.Header("X-Amz-Content-Sha256")!.Length);
    }

    [Fact]
    public async Task GetObject_reads_body_and_type()
    {
        await using var aws = await ScriptedAws.StartAsync((_, context) =>
        {
            context.Response.ContentType = "text/csv";
            context.Response.ContentLength = 3;
            return context.Response.WriteAsync("a,b");
        });

        var stored = await aws.Client<IObjectStore>().GetAsync("bucket", "k", None);

        Assert.Equal("a,b", Encoding.UTF8.GetString(stored!.Body.Span));
        Assert.Equal("text/csv", stored.ContentType);
        Assert.Equal("/bucket/k", aws.SingleRequest("s3").Target);
    }

    [Theory]
    [InlineData(3, "a,b")]
    [InlineData(2, "")]
    public async Task An_object_that_is_larger_than_wanted_comes_without_its_body(long most, string body)
    {
        await using var aws = await ScriptedAws.StartAsync((_, context) =>
        {
            context.Response.ContentType = "text/csv";
            context.Response.ContentLength = 3;
            return context.Response.WriteAsync("a,b");
        });

        var stored = await aws.Client<IObjectStore>().GetAsync("bucket", "k", most, None);
        Assert.Equal((body, 3, "text/csv"), (Encoding.UTF8.GetString(stored!.Body.Span), stored.Length, stored.ContentType));
    }

    [Fact]
    public async Task A_missing_object_is_null_but_a_missing_bucket_is_an_error()
    {
        await using var missing = await ScriptedAws.StartAsync(404, "<Error><Code>NoSuchKey</Code><Message>m</Message></Error>", ("Content-Type", "application/xml"));
        Assert.Null(await missing.Client<IObjectStore>().GetAsync("bucket", "k", None));
        Assert.Null(await missing.Client<IObjectStore>().GetAsync("bucket", "k", 10, None));

        await using var bucketless = await ScriptedAws.StartAsync(404, "<Error><Code>NoSuchBucket</Code><Message>m</Message></Error>", ("Content-Type", "application/xml"));
        await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => bucketless.Client<IObjectStore>().GetAsync("bucket", "k", None));
    }

    [Theory]
    [InlineData(200, true)]
    [InlineData(404, false)]
    public async Task Existence_is_asked_with_HEAD(int status, bool exists)
    {
        await using var aws = await ScriptedAws.StartAsync((_, context) =>
        {
            context.Response.StatusCode = status;
            return Task.CompletedTask;
        });

        Assert.Equal(exists, await aws.Client<IObjectStore>().ExistsAsync("bucket", "k", None));

        Assert.Equal("HEAD", aws.SingleRequest("s3").Method);
    }

    [Fact]
    public async Task Deleting_sends_DELETE()
    {
        await using var aws = await ScriptedAws.StartAsync((_, context) =>
        {
            context.Response.StatusCode = 204;
            return Task.CompletedTask;
        });

        await aws.Client<IObjectStore>().DeleteAsync("bucket", "k", None);

        Assert.Equal(("DELETE", "/bucket/k"), (aws.SingleRequest("s3").Method, aws.Requests[0].Target));
    }

    [Fact]
    public async Task Listing_follows_pages_and_stops_at_ten_thousand()
    {
        var pages = 0;
        await using var aws = await ScriptedAws.StartAsync((_, context) =>
        {
            var page = Interlocked.Increment(ref pages);
            var contents = string.Concat(Enumerable.Range((page - 1) * 3000, 3000).Select(i => $"<Contents><Key>p/{i:D6}</Key><Size>1</Size></Contents>"));
            return ScriptedAws.AnswerAsync(context, 200,
                $"<ListBucketResult><Name>bucket</Name><IsTruncated>true</IsTruncated><NextContinuationToken>t{page}</NextContinuationToken>{contents}</ListBucketResult>",
                ("Content-Type", "application/xml"));
        });

        var keys = await aws.Client<IObjectStore>().ListAsync("bucket", "p/", None);

        Assert.Equal(Enumerable.Range(0, 10_000).Select(i => $"p/{i:D6}"), keys);
        Assert.Equal(4, aws.Requests.Count);
        Assert.Contains("continuation-token=t3", aws.Requests[3].Target, StringComparison.Ordinal);
        Assert.Contains("prefix=p%2F", aws.Requests[0].Target, StringComparison.Ordinal);
        Assert.Null(aws.SignatureProblem);
    }

    [Fact]
    public async Task An_empty_listing_is_empty()
    {
        await using var aws = await ScriptedAws.StartAsync(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", ("Content-Type", "application/xml"));

        Assert.Empty(await aws.Client<IObjectStore>().ListAsync("bucket", "p/", None));
    }

    [Theory]
    [InlineData(true, "HEAD")]
    [InlineData(false, "HEAD,PUT")]
    public async Task A_bucket_is_created_only_if_it_is_missing(bool exists, string methods)
    {
        await using var aws = await ScriptedAws.StartAsync((request, context) =>
        {
            context.Response.StatusCode = request.Method == "HEAD" && !exists ? 404 : 200;
            return Task.CompletedTask;
        });

        await aws.Client<IObjectStore>().EnsureBucketAsync("bucket", None);

        Assert.Equal(methods, string.Join(',', aws.Requests.Select(request => request.Method)));
        Assert.All(aws.Requests, request => Assert.Equal("/bucket", request.Target.TrimEnd('/')));
        Assert.Null(aws.SignatureProblem);
    }

    [Fact]
    public async Task A_bucket_that_another_silo_creates_meanwhile_is_fine()
    {
        await using var aws = await ScriptedAws.StartAsync((request, context) => request.Method == "HEAD"
            ? ScriptedAws.AnswerAsync(context, 404, "")
            : ScriptedAws.AnswerAsync(context, 409, "<Error><Code>BucketAlreadyOwnedByYou</Code><Message>m</Message></Error>", ("Content-Type", "application/xml")));

        await aws.Client<IObjectStore>().EnsureBucketAsync("bucket", None);

        Assert.Equal(2, aws.Requests.Count);
    }

    [Theory]
    [InlineData(204, 0)]
    [InlineData(403, 1)]
    [InlineData(501, 1)]
    public async Task A_bucket_that_is_created_has_its_tags_or_it_is_said_why_not(int status, int warnings)
    {
        await using var aws = await ScriptedAws.StartAsync((request, context) => (request.Method, request.Target.Contains("tagging", StringComparison.Ordinal)) switch
        {
            ("HEAD", _) => ScriptedAws.AnswerAsync(context, 404, ""),
            (_, false) => ScriptedAws.AnswerAsync(context, 200, ""),
            _ => ScriptedAws.AnswerAsync(context, status, status == 204 ? "" : "<Error><Code>AccessDenied</Code><Message>not authorized</Message></Error>", ("Content-Type", "application/xml")),
        });

        await aws.Client<IObjectStore>(options => options.MaxAttempts = 1, new Dictionary<string, string> { ["CostCenter"] = "42" }).EnsureBucketAsync("bucket", None);

        Assert.Contains("<Tag><Key>CostCenter</Key><Value>42</Value></Tag>", aws.Requests[^1].Text, StringComparison.Ordinal);
        Assert.Equal(3, aws.Requests.Count);
        Assert.Null(aws.SignatureProblem);
        Assert.Equal(warnings, aws.Warnings.Count(static warning => warning.Contains("Bucket bucket was created without tags", StringComparison.Ordinal) && warning.Contains("s3:PutBucketTagging", StringComparison.Ordinal)));
    }
}
