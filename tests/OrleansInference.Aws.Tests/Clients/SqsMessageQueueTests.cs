using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using OrleansInference.Payloads;

namespace OrleansInference.Tests.Clients;

public sealed class SqsMessageQueueTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    private static readonly (string Name, string Value) JsonType = ("Content-Type", "application/x-amz-json-1.0");

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_missing_queue_is_created_only_if_asked_for(bool create)
    {
        await using var aws = await ScriptedAws.StartAsync((request, context) => Operation(request) == "GetQueueUrl"
            ? ScriptedAws.AnswerAsync(context, 400, """{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"none"}""", JsonType)
            : AnswerAsync(context, """{"QueueUrl":"http://x/q"}"""));

        var url = await aws.Client<IMessageQueue>().ResolveAsync("q", create, None);

        Assert.Equal(create ? "http://x/q" : null, url);
        Assert.Equal(create ? ["GetQueueUrl", "CreateQueue"] : ["GetQueueUrl"], aws.Requests.Select(Operation));
        Assert.Null(aws.SignatureProblem);
        Assert.Equal("sqs", aws.Service);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_queue_that_is_created_has_its_tags_or_it_is_said_why_not(bool denied)
    {
        await using var aws = await ScriptedAws.StartAsync((request, context) => (Operation(request), denied && request.Text.Contains("CostCenter", StringComparison.Ordinal)) switch
        {
            ("GetQueueUrl", _) => ScriptedAws.AnswerAsync(context, 400, """{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"none"}""", JsonType),
            (_, true) => ScriptedAws.AnswerAsync(context, 403, """{"__type":"com.amazonaws.sqs#AccessDeniedException","message":"not authorized to perform: sqs:tagqueue"}""", JsonType),
            _ => AnswerAsync(context, """{"QueueUrl":"http://x/q"}"""),
        });

        var url = await aws.Client<IMessageQueue>(tags: new Dictionary<string, string> { ["CostCenter"] = "42" }).ResolveAsync("q", create: true, None);

        Assert.Equal("http://x/q", url);
        Assert.Equal("""{"CostCenter":"42"}""", Member(aws.Requests[1], "tags").GetRawText());
        Assert.Equal(denied ? 3 : 2, aws.Requests.Count);
        if (denied)
        {
            Assert.DoesNotContain("tags", aws.Requests[2].Text, StringComparison.Ordinal);
            var warning = Assert.Single(aws.Warnings);
            Assert.Contains("Queue q was created without tags", warning, StringComparison.Ordinal);
            Assert.Contains("sqs:TagQueue", warning, StringComparison.Ordinal);
        }
        else
        {
            Assert.Empty(aws.Warnings);
        }
    }

    [Fact]
    public async Task An_existing_queue_is_found()
    {
        await using var aws = await ScriptedAws.StartAsync((_, context) => AnswerAsync(context, """{"QueueUrl":"http://x/q"}"""));

        Assert.Equal("http://x/q", await aws.Client<IMessageQueue>().ResolveAsync("q", create: true, None));

        Assert.Equal("q", Member(aws.SingleRequest("sqs"), "QueueName").GetString());
    }

    [Fact]
    public async Task Messages_are_received_with_how_often_they_were_before()
    {
        await using var aws = await ScriptedAws.StartAsync((_, context) => AnswerAsync(context,
            $$$$"""{"Messages":[{"MessageId":"m","ReceiptHandle":"r","Body":"hello","MD5OfBody":"{{{{Md5("hello")}}}}","Attributes":{"ApproximateReceiveCount":"3","SentTimestamp":"1700000000000"},"MessageAttributes":{"Shard":{"DataType":"Number.int","StringValue":"7"}}}]}"""));

        var messages = await aws.Client<IMessageQueue>().ReceiveAsync(Url(aws), 10, TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(29.5), None);

        var message = Assert.Single(messages);
        Assert.Equal(("m", "r", "hello", 3, DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_000)), (message.MessageId, message.ReceiptHandle, message.Body, message.ReceiveCount, message.SentAt));
        Assert.Equal(new("Number.int", "7"), Assert.Single(message.Attributes).Value);
        var request = aws.SingleRequest("sqs");
        Assert.Equal("AmazonSQS.ReceiveMessage", request.Header("X-Amz-Target"));
        Assert.Equal(10, Member(request, "MaxNumberOfMessages").GetInt32());
        Assert.Equal(20, Member(request, "WaitTimeSeconds").GetInt32());
        Assert.Equal(30, Member(request, "VisibilityTimeout").GetInt32());
        Assert.Equal(["All"], Member(request, "MessageAttributeNames").EnumerateArray().Select(static name => name.GetString()));
        Assert.Equal(["ApproximateReceiveCount", "SentTimestamp"], Member(request, "MessageSystemAttributeNames").EnumerateArray().Select(static name => name.GetString()));
    }

    [Fact]
    public async Task An_empty_queue_gives_nothing()
    {
        await using var aws = await ScriptedAws.StartAsync((_, context) => AnswerAsync(context, "{}"));

        Assert.Empty(await aws.Client<IMessageQueue>().ReceiveAsync(Url(aws), 1, TimeSpan.Zero, TimeSpan.FromSeconds(30), None));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(11, 0)]
    [InlineData(1, 21)]
    [InlineData(1, -1)]
    public async Task What_SQS_would_refuse_is_refused_at_the_door(int max, int wait)
    {
        await using var aws = await ScriptedAws.StartAsync((_, context) => AnswerAsync(context, "{}"));

        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() =>
            aws.Client<IMessageQueue>().ReceiveAsync(Url(aws), max, TimeSpan.FromSeconds(wait), TimeSpan.FromSeconds(30), None));

        Assert.Empty(aws.Requests);
    }

    [Fact]
    public async Task Messages_are_sent_deleted_and_kept_invisible()
    {
        await using var aws = await ScriptedAws.StartAsync((request, context) => AnswerAsync(context, Operation(request) == "SendMessage"
            ? $$"""{"MessageId":"m","MD5OfMessageBody":"{{Md5("body")}}"}"""
            : "{}"));
        var queue = aws.Client<IMessageQueue>();

        await queue.SendAsync(Url(aws), "body", new Dictionary<string, MessageAttribute>
        {
            ["Reason"] = MessageAttribute.Of("none"),
            ["Trace"] = new("Binary.otel", null, new byte[] { 1, 2 }),
        }, None);
        await queue.ChangeVisibilityAsync(Url(aws), "r", TimeSpan.FromMinutes(2), None);
        await queue.DeleteAsync(Url(aws), "r", None);

        Assert.Equal(["SendMessage", "ChangeMessageVisibility", "DeleteMessage"], aws.Requests.Select(Operation));
        Assert.Equal("body", Member(aws.Requests[0], "MessageBody").GetString());
        Assert.Equal(
            """{"Reason":{"DataType":"String","StringValue":"none"},"Trace":{"BinaryValue":"AQI=","DataType":"Binary.otel"}}""",
            Member(aws.Requests[0], "MessageAttributes").GetRawText());
        Assert.Equal(120, Member(aws.Requests[1], "VisibilityTimeout").GetInt32());
        Assert.Equal("r", Member(aws.Requests[2], "ReceiptHandle").GetString());
        Assert.All(aws.Requests, request => Assert.Equal(Url(aws), Member(request, "QueueUrl").GetString()));
        Assert.Null(aws.SignatureProblem);
    }

    [Fact]
    public async Task A_message_that_a_queue_will_never_take_is_told_from_one_that_it_may_take_later()
    {
        await using var aws = await ScriptedAws.StartAsync((_, context) => ScriptedAws.AnswerAsync(
            context, 400, """{"__type":"com.amazonaws.sqs#InvalidParameterValue","message":"One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes."}""", JsonType));

        var refused = await Assert.ThrowsAsync<MessageRefusedException>(() => aws.Client<IMessageQueue>().SendAsync(Url(aws), "body", new Dictionary<string, MessageAttribute>(), None));

        Assert.Contains("shorter than 262144", refused.Message, StringComparison.Ordinal);
    }

    private static string Url(ScriptedAws aws) => new Uri(aws.Address, "/123456789012/q").AbsoluteUri;

    private static string Operation(WireRequest request) => request.Header("X-Amz-Target")!.Split('.')[1];

#pragma warning disable CA5351 // SQS's protocol says MD5.
    private static string Md5(string text) => Convert.ToHexStringLower(MD5.HashData(Encoding.UTF8.GetBytes(text)));
#pragma warning restore CA5351

    private static Task AnswerAsync(HttpContext context, string json) => ScriptedAws.AnswerAsync(context, 200, json, JsonType);

    private static JsonElement Member(WireRequest request, string name)
    {
        using var json = JsonDocument.Parse(request.Body);
        return json.RootElement.GetProperty(name).Clone();
    }
}
