using System.Text;
using System.Text.Json;
using OrleansInference.Batch;
using OrleansInference.Jobs;

namespace OrleansInference.Tests.Jobs;

public sealed class JobFormatTests
{
    private const string Id = "abcdefghijklmnopqrstuvwxyz";

    [Theory]
    [InlineData("""{"inferenceId":"acme/abcdefghijklmnopqrstuvwxyz"}""")]
    [InlineData("""{"inferenceId":"digest","responseParameters":{"outputLocation":"s3://b/out/jobs/acme/abcdefghijklmnopqrstuvwxyz/answer"}}""")]
    [InlineData("""{"responseParameters":{"failureLocation":"s3://b/jobs/acme/abcdefghijklmnopqrstuvwxyz/answer"}}""")]
    [InlineData("""{"requestParameters":{"inputLocation":"s3://b/jobs/acme/abcdefghijklmnopqrstuvwxyz/input-0"}}""")]
    public void A_notification_names_its_job_bare_or_in_an_envelope(string notification)
    {
        Assert.True(CompletionNotification.TryFindJob(notification, out var bare));
        Assert.True(CompletionNotification.TryFindJob(JsonSerializer.Serialize(new { Type = "Notification", Message = notification }), out var wrapped));
        Assert.Equal(new JobAddress(new("acme"), Id), bare);
        Assert.Equal(bare, wrapped);
    }

    [Theory]
    [InlineData("")]
    [InlineData("hello")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"Message":"hello"}""")]
    [InlineData("""{"Message":{"inferenceId":7}}""")]
    [InlineData("""{"inferenceId":"\ud800"}""")]
    [InlineData("""{"Message":"{\"inferenceId\":\"\\ud800\"}"}""")]
    [InlineData("""{"Message":"\udfff"}""")]
    [InlineData("""{"\ud800":1}""")]
    [InlineData("""{"inferenceId":"someone-elses","requestParameters":"no object"}""")]
    public void Anything_else_names_none(string message) => Assert.False(CompletionNotification.TryFindJob(message, out _));

    [Theory]
    [InlineData("a\nb\n", 2, "a|b")]
    [InlineData("a\nb", 2, "a|b")]
    [InlineData("a\r\nb\r\n", 2, "a|b")]
    [InlineData("{\n}", 1, "{\n}")]
    [InlineData("a\nb", 3, null)]
    [InlineData("a\nb\nc", 2, null)]
    [InlineData("", 1, null)]
    public void An_output_object_is_a_line_for_each_record_or_nothing(string body, int records, string? lines)
    {
        var found = WindowFiles.Lines(Encoding.UTF8.GetBytes(body), records);
        Assert.Equal(lines, found is null ? null : string.Join('|', found.Select(line => Encoding.UTF8.GetString(line.Span))));
    }

    [Theory]
    [InlineData("{\n  \"a\": [1.50, \"x\\ny\"]\r\n}\n", "{\"a\":[1.50,\"x\\ny\"]}")]
    [InlineData(" 7 ", "7")]
    public void A_batch_input_is_one_line_and_the_same_json(string body, string line)
    {
        Assert.True(BatchInput.TryCompact(Encoding.UTF8.GetBytes(body), out var compact, out _));
        Assert.Equal(line, Encoding.UTF8.GetString(compact.Span));
    }

    [Theory]
    [InlineData("")]
    [InlineData("hello")]
    [InlineData("{} {}")]
    [InlineData("{\"a\":")]
    public void What_is_not_one_json_value_is_refused_with_the_reason(string body)
    {
        Assert.False(BatchInput.TryCompact(Encoding.UTF8.GetBytes(body), out _, out var problem));
        Assert.Contains("one JSON value", problem, StringComparison.Ordinal);
    }
}
