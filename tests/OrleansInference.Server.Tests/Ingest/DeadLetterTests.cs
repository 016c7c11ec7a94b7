using System.Globalization;
using OrleansInference.Ingest;
using OrleansInference.Payloads;

namespace OrleansInference.Tests.Ingest;

/// <summary>What a copy in the dead-letter queue carries beside the message's body.</summary>
public sealed class DeadLetterTests
{
    private static readonly InferenceProblem Problem = new() { Code = ProblemCode.InvalidRequest, Message = "a\nb" };

    [Fact]
    public void It_says_why_and_where_from_and_keeps_what_its_sender_said_with_its_type()
    {
        var bytes = new MessageAttribute("Binary.x", null, new byte[] { 1, 2 });
        var attributes = AttributesOf("body", new() { ["Shard"] = new("Number.int", "7"), ["Trace"] = bytes, ["Reason"] = MessageAttribute.Of("the sender's own") });
        Assert.Equal(["MessageId", "Queue", "Reason", "Shard", "Trace"], attributes.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(MessageAttribute.Of("InvalidRequest: a b"), attributes["Reason"]);
        Assert.Equal(MessageAttribute.Of("m-1"), attributes["MessageId"]);
        Assert.Equal(MessageAttribute.Of("requests"), attributes["Queue"]);
        Assert.Equal(new("Number.int", "7"), attributes["Shard"]);
        Assert.Equal(bytes, attributes["Trace"]);
    }

    [Fact]
    public void It_has_no_more_attributes_than_a_message_may_have()
    {
        var attributes = AttributesOf("body", Enumerable.Range(0, 10).ToDictionary(static i => string.Create(CultureInfo.InvariantCulture, $"a{i}"), static _ => MessageAttribute.Of("x")));
        Assert.Equal(DeadLetter.MaxAttributes, attributes.Count);
        Assert.Equal(["MessageId", "Queue", "Reason", "a0", "a1", "a2", "a3", "a4", "a5", "a6"], attributes.Keys.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData(DeadLetter.TakenBytes, 0)]
    [InlineData(DeadLetter.TakenBytes - 40, 1)]
    [InlineData(DeadLetter.TakenBytes - 1_000, 3)]
    public void It_is_not_larger_than_a_queue_takes(int body, int fit) => Assert.Equal(fit, AttributesOf(new('x', body), []).Count);

    [Fact]
    public void The_copy_of_a_larger_message_is_no_larger_than_the_message()
    {
        // 100 bytes of attributes: a name of 4, a type of 6, a value of 90. The reason takes 31 of them, the id 18, the queue 19.
        var attributes = AttributesOf(new('x', DeadLetter.TakenBytes), new() { ["Text"] = MessageAttribute.Of(new('x', 90)) });
        Assert.Equal(["MessageId", "Queue", "Reason"], attributes.Keys.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData(140)]
    [InlineData(60)]
    [InlineData(30)]
    public void A_long_reason_is_shortened_and_not_left_out(int room)
    {
        var problem = new InferenceProblem { Code = ProblemCode.InvalidRequest, Message = new('ä', 3_000) };
        var body = new string('x', DeadLetter.TakenBytes - room);
        var attributes = AttributesOf(body, new() { ["MessageId"] = MessageAttribute.Of("the sender's") }, problem);
        Assert.StartsWith("InvalidRequest: ", attributes["Reason"].Text, StringComparison.Ordinal);
        Assert.InRange(DeadLetter.SizeOf(body, attributes), 0, DeadLetter.TakenBytes);
        Assert.NotEqual("the sender's", attributes.GetValueOrDefault("MessageId").Text);
    }

    [Fact]
    public void A_body_of_the_most_bytes_that_a_queue_took_once_has_its_reason_where_the_queue_takes_more()
    {
        var body = new string('x', DeadLetter.TakenBytes);
        Assert.Empty(AttributesOf(body, []));
        Assert.Equal(["MessageId", "Queue", "Reason"], AttributesOf(body, [], Problem, DeadLetter.MostBytes).Keys.Order(StringComparer.Ordinal));
    }

    private static IReadOnlyDictionary<string, MessageAttribute> AttributesOf(string body, Dictionary<string, MessageAttribute> sent, InferenceProblem? problem = null, int most = DeadLetter.TakenBytes) =>
        DeadLetter.AttributesOf(new("m-1", "r", body, 1, null, sent), "requests", problem ?? Problem, most);
}
