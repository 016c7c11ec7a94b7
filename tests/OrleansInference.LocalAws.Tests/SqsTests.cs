using System.Globalization;
using Amazon.SQS;
using Amazon.SQS.Model;

namespace OrleansInference.Tests;

public sealed class SqsTests
{
    [Fact]
    public async Task A_message_is_received_once_until_its_visibility_ends_and_never_after_deletion()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new());
        var queue = (await aws.Sqs.CreateQueueAsync("work")).QueueUrl;
        Assert.Equal(queue, (await aws.Sqs.GetQueueUrlAsync("work")).QueueUrl);

        // The client itself compares the digests of body and attributes.
        var sent = await aws.Sqs.SendMessageAsync(new()
        {
            QueueUrl = queue,
            MessageBody = "hällo",
            MessageAttributes = new() { ["kind"] = new() { DataType = "String", StringValue = "test" }, ["raw"] = new() { DataType = "Binary", BinaryValue = new MemoryStream([1, 2, 3]) } },
        });

        var first = Assert.Single((await ReceiveAsync(aws, queue)).Messages);
        Assert.Equal("hällo", first.Body);
        Assert.Equal(sent.MessageId, first.MessageId);
        Assert.Equal("test", first.MessageAttributes["kind"].StringValue);
        Assert.Equal([1, 2, 3], first.MessageAttributes["raw"].BinaryValue.ToArray());
        Assert.Equal("1", first.Attributes["ApproximateReceiveCount"]);
        Assert.Empty((await ReceiveAsync(aws, queue)).Messages ?? []);

        await aws.Sqs.ChangeMessageVisibilityAsync(queue, first.ReceiptHandle, 0);
        var second = Assert.Single((await ReceiveAsync(aws, queue)).Messages);
        Assert.Equal("2", second.Attributes["ApproximateReceiveCount"]);

        // A late receipt deletes nothing.
        await aws.Sqs.DeleteMessageAsync(queue, first.ReceiptHandle);
        Assert.Equal(1, (await aws.Sqs.GetQueueAttributesAsync(queue, ["All"])).ApproximateNumberOfMessagesNotVisible);
        await aws.Sqs.DeleteMessageAsync(queue, second.ReceiptHandle);
        Assert.Equal(0, (await aws.Sqs.GetQueueAttributesAsync(queue, ["All"])).ApproximateNumberOfMessagesNotVisible);
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(1, false)]
    public async Task A_message_has_at_most_the_bytes_of_its_queue_with_the_names_types_and_values_of_its_attributes(int more, bool isTaken)
    {
        await using var aws = await LocalAwsFixture.StartAsync(new());
        var queue = (await aws.Sqs.CreateQueueAsync(new CreateQueueRequest { QueueName = "work", Attributes = new() { ["MaximumMessageSize"] = "1024" } })).QueueUrl;
        var request = new SendMessageRequest
        {
            QueueUrl = queue,
            MessageBody = new('x', 1_024 - 14 - 13 + more),
            MessageAttributes = new() { ["kind"] = new() { DataType = "String", StringValue = "good" }, ["raw"] = new() { DataType = "Binary", BinaryValue = new MemoryStream([1, 2, 3, 4]) } },
        };
        if (isTaken)
        {
            await aws.Sqs.SendMessageAsync(request);
            return;
        }

        var refused = await Assert.ThrowsAsync<AmazonSQSException>(() => aws.Sqs.SendMessageAsync(request));
        Assert.Equal("InvalidParameterValue", refused.ErrorCode);
    }

    [Fact]
    public async Task A_queue_keeps_the_tags_that_it_was_created_with()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new());
        var queue = (await aws.Sqs.CreateQueueAsync(new CreateQueueRequest { QueueName = "work", Tags = new() { ["CostCenter"] = "42" } })).QueueUrl;
        await aws.Sqs.CreateQueueAsync(new CreateQueueRequest { QueueName = "work", Tags = new() { ["CostCenter"] = "43" } });
        Assert.Equal(new() { ["CostCenter"] = "42" }, (await aws.Sqs.ListQueueTagsAsync(new ListQueueTagsRequest { QueueUrl = queue })).Tags);

        await aws.Sqs.DeleteQueueAsync(queue);
        queue = (await aws.Sqs.CreateQueueAsync("work")).QueueUrl;
        Assert.Empty((await aws.Sqs.ListQueueTagsAsync(new ListQueueTagsRequest { QueueUrl = queue })).Tags ?? []);
    }

    [Fact]
    public async Task A_long_poll_ends_when_a_message_arrives()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new());
        var queue = (await aws.Sqs.CreateQueueAsync("work")).QueueUrl;

        var poll = aws.Sqs.ReceiveMessageAsync(new ReceiveMessageRequest { QueueUrl = queue, WaitTimeSeconds = 20 });
        await aws.Sqs.SendMessageAsync(queue, "now");

        Assert.Equal("now", Assert.Single((await poll.WaitAsync(TimeSpan.FromSeconds(15))).Messages).Body);
    }

    [Fact]
    public async Task A_message_received_too_often_goes_to_the_dead_letter_queue()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new());
        var dead = (await aws.Sqs.CreateQueueAsync("dead")).QueueUrl;
        var arn = (await aws.Sqs.GetQueueAttributesAsync(dead, ["QueueArn"])).QueueARN;
        var queue = (await aws.Sqs.CreateQueueAsync("work")).QueueUrl;
        await aws.Sqs.SetQueueAttributesAsync(queue, new() { ["RedrivePolicy"] = $$"""{"deadLetterTargetArn":"{{arn}}","maxReceiveCount":2}""", ["VisibilityTimeout"] = "0" });
        await aws.Sqs.SendMessageAsync(queue, "poison");

        Assert.Single((await ReceiveAsync(aws, queue)).Messages);
        Assert.Single((await ReceiveAsync(aws, queue)).Messages);
        Assert.Empty((await ReceiveAsync(aws, queue)).Messages ?? []);

        Assert.Equal("poison", Assert.Single((await ReceiveAsync(aws, dead)).Messages).Body);
    }

    [Fact]
    public async Task Batches_answer_entry_by_entry()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new());
        var queue = (await aws.Sqs.CreateQueueAsync("work")).QueueUrl;

        var sent = await aws.Sqs.SendMessageBatchAsync(queue, [.. Enumerable.Range(0, 10).Select(i => new SendMessageBatchRequestEntry(i.ToString(CultureInfo.InvariantCulture), $"message {i}"))]);
        Assert.Equal(10, sent.Successful.Count);

        var received = await aws.Sqs.ReceiveMessageAsync(new ReceiveMessageRequest { QueueUrl = queue, MaxNumberOfMessages = 10 });
        Assert.Equal(Enumerable.Range(0, 10).Select(i => $"message {i}"), received.Messages.Select(m => m.Body));

        var deleted = await aws.Sqs.DeleteMessageBatchAsync(queue, [new("good", received.Messages[0].ReceiptHandle), new("bad", "nonsense")]);
        Assert.Equal("good", Assert.Single(deleted.Successful).Id);
        Assert.Equal("ReceiptHandleIsInvalid", Assert.Single(deleted.Failed).Code);

        await aws.Sqs.PurgeQueueAsync(queue);
        Assert.Equal(0, (await aws.Sqs.GetQueueAttributesAsync(queue, ["All"])).ApproximateNumberOfMessagesNotVisible);
    }

    [Fact]
    public async Task Missing_queues_and_bad_parameters_are_named_so()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new());
        await Assert.ThrowsAsync<QueueDoesNotExistException>(() => aws.Sqs.GetQueueUrlAsync("nowhere"));
        var queue = (await aws.Sqs.CreateQueueAsync("work")).QueueUrl;
        Assert.Equal([queue], (await aws.Sqs.ListQueuesAsync("wo")).QueueUrls);
        await Assert.ThrowsAsync<ReceiptHandleIsInvalidException>(() => aws.Sqs.DeleteMessageAsync(queue, "nonsense"));
        var tooMany = await Assert.ThrowsAnyAsync<AmazonSQSException>(() => aws.Sqs.ReceiveMessageAsync(new ReceiveMessageRequest { QueueUrl = queue, MaxNumberOfMessages = 11 }));
        Assert.Equal("InvalidParameterValue", tooMany.ErrorCode);
        await Assert.ThrowsAsync<QueueNameExistsException>(() => aws.Sqs.CreateQueueAsync(new CreateQueueRequest { QueueName = "work", Attributes = new() { ["VisibilityTimeout"] = "7" } }));
    }

    private static Task<ReceiveMessageResponse> ReceiveAsync(LocalAwsFixture aws, string queue) => aws.Sqs.ReceiveMessageAsync(new ReceiveMessageRequest
    {
        QueueUrl = queue,
        MessageAttributeNames = ["All"],
        MessageSystemAttributeNames = ["All"],
    });
}
