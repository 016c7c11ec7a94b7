using System.Net;
using Amazon.Runtime;
using Amazon.S3;

namespace OrleansInference.Tests;

public sealed class AuthenticationTests
{
    [Fact]
    public async Task Any_well_formed_signature_is_accepted_and_none_is_not()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new(), LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime));

        using var signed = await aws.SendAsync(HttpMethod.Post, "/endpoints/chat-rt/invocations", LocalAwsFixture.Body(), credentials: new("AKIDOTHER", "whatever"));
        Assert.Equal(HttpStatusCode.OK, signed.StatusCode);

        using var http = new HttpClient();
        using var content = new StringContent(LocalAwsFixture.Body());
        using var unsigned = await http.PostAsync(new Uri(aws.Server.Address, "/endpoints/chat-rt/invocations"), content);
        Assert.Equal(HttpStatusCode.Forbidden, unsigned.StatusCode);
        Assert.Equal("MissingAuthenticationTokenException", unsigned.Headers.GetValues("x-amzn-ErrorType").Single());
    }

    [Fact]
    public async Task With_a_key_pair_only_its_signatures_are_accepted()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new() { AccessKey = LocalAwsFixture.Credentials }, LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime));

        using var right = await aws.InvokeAsync("chat-rt", LocalAwsFixture.Body());
        Assert.Equal(HttpStatusCode.OK, right.StatusCode);
        await aws.S3.PutObjectAsync(new() { BucketName = "orleans-inference", Key = "a b", ContentBody = "text" });
        Assert.Equal("work", (await aws.Sqs.CreateQueueAsync("work")).QueueUrl.Split('/')[^1]);

        using var wrong = await aws.SendAsync(HttpMethod.Post, "/endpoints/chat-rt/invocations", LocalAwsFixture.Body(), credentials: new(LocalAwsFixture.Credentials.AccessKeyId, "guess"));
        Assert.Equal(HttpStatusCode.Forbidden, wrong.StatusCode);
        Assert.Equal("InvalidSignatureException", wrong.Headers.GetValues("x-amzn-ErrorType").Single());

        using var s3 = new AmazonS3Client(
            new BasicAWSCredentials(LocalAwsFixture.Credentials.AccessKeyId, "guess"),
            new AmazonS3Config { ServiceURL = aws.Server.Address.ToString(), ForcePathStyle = true, AuthenticationRegion = "us-east-1", MaxErrorRetry = 0 });
        var refused = await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => s3.PutObjectAsync(new() { BucketName = "orleans-inference", Key = "other", ContentBody = "text" }));
        Assert.Equal("SignatureDoesNotMatch", refused.ErrorCode);
    }

    [Fact]
    public async Task The_record_of_invocations_is_there_for_anyone()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new(), LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime));
        using var call = await aws.InvokeAsync("chat-rt", LocalAwsFixture.Body());
        using var http = new HttpClient();

        using var record = System.Text.Json.JsonDocument.Parse(await http.GetStringAsync(new Uri(aws.Server.Address, "/_local/invocations")));

        Assert.Equal(1, record.RootElement.GetProperty("counts").GetProperty("chat-rt").GetProperty("completed").GetInt32());
        Assert.Equal("InvokeEndpoint", record.RootElement.GetProperty("records")[0].GetProperty("operation").GetString());
    }
}
