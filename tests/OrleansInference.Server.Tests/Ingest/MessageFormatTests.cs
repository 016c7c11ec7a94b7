using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using OrleansInference.Ingest;

namespace OrleansInference.Tests.Ingest;

/// <summary>The messages of queues, and their published schema against the code that reads them.</summary>
public sealed class MessageFormatTests
{
    private const string Bucket = "orleans-inference";
    private static readonly DateTimeOffset Now = new(2029, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly QueueSettings Bound = new() { Queue = "requests", Tenant = new("acme"), ReplyQueues = ["answers"] };
    private static readonly QueueSettings Naming = new() { Queue = "requests", Tenants = ["acme", "globex"], Model = new("chat"), ReplyQueue = "answers" };

    [Fact]
    public void A_message_is_read_with_everything_that_it_says()
    {
        var request = Good("""
            {"model":"chat","class":"low","deadline":"5m","minQuality":0.5,"maxCharge":0.01,"lanes":["Async","Batch"],"inputTokens":1e2,"maxOutputTokens":"20",
             "idempotencyKey":"k","contentType":"application/json","accept":"text/plain","customAttributes":"a=b","body":{"inputs": "hé"},"replyQueue":"answers","correlationId":"c"}
            """);
        Assert.Equal("acme", request.Tenant.Value);
        Assert.Equal("chat", request.Model.Value);
        Assert.Equal(TrafficClass.Low, request.Class);
        Assert.Equal(TimeSpan.FromMinutes(5), request.Deadline);
        Assert.Equal(0.5, request.MinQuality);
        Assert.Equal(Money.FromDollars(0.01m), request.MaxCharge);
        Assert.Equal((1 << (int)Lane.Async) | (1 << (int)Lane.Batch), request.LaneMask);
        Assert.Equal(100, request.InputTokens);
        Assert.Equal(20, request.MaxOutputTokens);
        Assert.Equal("k", request.IdempotencyKey);
        Assert.Equal("text/plain", request.Accept);
        Assert.Equal("a=b", request.CustomAttributes);
        Assert.Equal("""{"inputs": "hé"}""", Encoding.UTF8.GetString(request.Body.Span));
        Assert.Equal(new ReplyTo { Queue = "answers", CorrelationId = "c" }, request.ReplyTo);
    }

    [Fact]
    public void A_message_may_name_a_webhook_in_place_of_the_queue_s_own_reply_queue_but_not_beside_one()
    {
        const string Named = """{"tenant":"acme","body":1,"webhook":"https://hooks.example.com/a","correlationId":"c"}""";
        var read = Read(Naming, Named);
        Assert.Empty(read.Problems);
        Assert.Equal(new ReplyTo { Webhook = "https://hooks.example.com/a", CorrelationId = "c" }, read.Request.ReplyTo);
        Assert.Equal(new ReplyTo { Queue = "answers", CorrelationId = "c" }, Read(Naming, Named.Replace("\"webhook\":\"https://hooks.example.com/a\",", "", StringComparison.Ordinal)).Request.ReplyTo);
        Assert.Contains(Read(Naming, Named.Replace("\"body\"", "\"replyQueue\":\"answers\",\"body\"", StringComparison.Ordinal)).Problems, static problem => problem.StartsWith("replyQueue:", StringComparison.Ordinal));
        Assert.Contains(Read(Naming, Named.Replace("https://", "", StringComparison.Ordinal)).Problems, static problem => problem.StartsWith("webhook:", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("""{"model":"chat","text":"\ud800"}""")]
    [InlineData("""{"model":"\udc00chat","body":1}""")]
    [InlineData("""{"model":"chat","body":1,"\ud800":1}""")]
    [InlineData("""{"model":"chat","body":1,"lanes":["\ud800"]}""")]
    [InlineData("""{"model":"chat","body":1,"deadline":"\ud800"}""")]
    public void Half_of_a_surrogate_pair_is_a_problem_and_not_a_fault_that_would_be_tried_again(string message)
    {
        var read = Read(Bound, message);
        Assert.Contains("surrogate", Assert.Single(read.Problems), StringComparison.Ordinal);
        Assert.Equal("acme", read.Request.Tenant.Value);
    }

    [Theory]
    [InlineData("class", "1", "a string")]
    [InlineData("idempotencyKey", "1", "a string")]
    [InlineData("webhook", "1", "a string")]
    [InlineData("lanes", "1", "an array of strings")]
    [InlineData("lanes", "[\"Async\",1]", "an array of strings")]
    [InlineData("deadline", "true", "a number or a string")]
    [InlineData("minQuality", "[1]", "a number or a string")]
    [InlineData("maxCharge", "{}", "a number or a string")]
    [InlineData("inputTokens", "null", "a number or a string")]
    [InlineData("maxOutputTokens", "false", "a number or a string")]
    public void A_member_of_another_form_is_refused_and_the_form_is_named(string member, string value, string wanted)
    {
        var problem = Assert.Single(Read(Bound, $$"""{"model":"chat","body":1,"{{member}}":{{value}}}""").Problems);
        Assert.Equal($"{member}: {wanted} is wanted.", problem);
    }

    [Fact]
    public void Without_a_key_a_message_has_its_id_for_one()
    {
        Assert.Equal("id-1", Good("""{"model":"chat","text":"x"}""").IdempotencyKey);
        Assert.Equal("x", Encoding.UTF8.GetString(Good("""{"model":"chat","text":"x"}""").Body.Span));
        Assert.Equal([0, 1, 2], Good("""{"model":"chat","base64":"AAEC"}""").Body.ToArray());
    }

    [Fact]
    public void A_deadline_counts_from_when_the_message_was_sent()
    {
        Assert.Equal(TimeSpan.FromSeconds(540), Read(Bound, """{"model":"chat","deadline":600,"body":1}""", age: 60).Request.Deadline);
        Assert.True(Read(Bound, """{"model":"chat","deadline":"10s","body":1}""", age: 60).IsLate);
        Assert.Equal(TimeSpan.FromHours(1), Read(Bound, """{"model":"chat","deadline":"2029-01-01T02:00:00+01:00","body":1}""", age: 60).Request.Deadline);
        Assert.True(Read(Bound, """{"model":"chat","deadline":"2028-12-31T23:59:59Z","body":1}""").IsLate);
        Assert.Null(Good("""{"model":"chat","body":1}""").Deadline);
    }

    [Fact]
    public void Everything_that_is_wrong_is_named_at_once()
    {
        var problems = Read(Bound, """
            {"tenant":"globex","model":7,"clas":"High","class":"Urgent","deadline":"soon","minQuality":2,"maxCharge":-1,"lanes":["Fast"],"inputTokens":1.5,"idempotencyKey":"",
             "replyQueue":"elsewhere","correlationId":"","body":1,"text":"x"}
            """).Problems;
        foreach (var name in (string[])["tenant", "model", "clas:", "class:", "deadline", "minQuality", "maxCharge", "lanes", "inputTokens", "idempotencyKey", "replyQueue", "correlationId", "body, text"])
        {
            Assert.Contains(problems, problem => problem.Contains(name, StringComparison.Ordinal));
        }

        Assert.Equal(13, problems.Count);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("""{"model":"chat","body":1""")]
    [InlineData("""{"model":"chat","model":"chat","body":1}""")]
    [InlineData("""{"model":"chat"}""")]
    [InlineData("""{"body":1}""")]
    [InlineData("""{"model":"chat","base64":"???"}""")]
    [InlineData("""{"model":"chat","inputLocation":"s3://orleans-inference/tenants/globex/x"}""")]
    [InlineData("""{"model":"chat","inputLocation":"s3://orleans-inference/tenants/acme/../globex/x"}""")]
    public void What_is_no_request_has_a_problem(string text) => Assert.Single(Read(Bound, text).Problems);

    [Fact]
    public void Only_a_queue_that_allows_it_lets_its_messages_name_their_tenant()
    {
        Assert.Equal("globex", Read(Naming, """{"tenant":"globex","body":1}""").Request.Tenant.Value);
        Assert.Equal("answers", Read(Naming, """{"tenant":"globex","body":1}""").Request.ReplyTo?.Queue);
        Assert.Single(Read(Naming, """{"tenant":"umbrella","body":1}""").Problems);
        Assert.Single(Read(Naming, """{"body":1}""").Problems);
        Assert.Empty(Read(Naming with { Tenants = ["*"] }, """{"tenant":"umbrella","body":1}""").Problems);
        Assert.Empty(Read(Bound, """{"tenant":"acme","model":"chat","body":1}""").Problems);
    }

    [Fact]
    public void The_schema_has_the_members_that_are_read_and_its_examples_are_good()
    {
        var schema = Schema();
        Assert.Equal(MessageFormat.Members.Order(StringComparer.Ordinal), schema.GetProperty("properties").EnumerateObject().Select(static member => member.Name).Order(StringComparer.Ordinal));
        var examples = schema.GetProperty("examples").EnumerateArray().ToList();
        Assert.NotEmpty(examples);
        foreach (var example in examples)
        {
            Assert.Empty(Violations(schema, example));
            Assert.Empty(Read(Bound, example.GetRawText()).Problems);
        }
    }

    [Theory]
    [InlineData("""{"model":"chat","body":1,"more":1}""")]
    [InlineData("""{"model":7,"body":1}""")]
    [InlineData("""{"model":"chat","class":"Urgent","body":1}""")]
    [InlineData("""{"model":"chat","class":1,"body":1}""")]
    [InlineData("""{"model":"chat","deadline":0,"body":1}""")]
    [InlineData("""{"model":"chat","deadline":31622401,"body":1}""")]
    [InlineData("""{"model":"chat","deadline":"soon","body":1}""")]
    [InlineData("""{"model":"chat","minQuality":1.5,"body":1}""")]
    [InlineData("""{"model":"chat","maxCharge":-1,"body":1}""")]
    [InlineData("""{"model":"chat","lanes":["Fast"],"body":1}""")]
    [InlineData("""{"model":"chat","lanes":[],"body":1}""")]
    [InlineData("""{"model":"chat","inputTokens":1.5,"body":1}""")]
    [InlineData("""{"model":"chat","maxOutputTokens":0,"body":1}""")]
    [InlineData("""{"model":"chat","idempotencyKey":"","body":1}""")]
    [InlineData("""{"model":"chat","idempotencyKey":"é","body":1}""")]
    [InlineData("""{"model":"chat","correlationId":"","body":1}""")]
    [InlineData("""{"model":"chat","inputLocation":"http://x"}""")]
    [InlineData("""{"model":"chat","text":1}""")]
    [InlineData("""{"model":"chat","body":1,"webhook":"hooks.example.com"}""")]
    [InlineData("""{"model":"chat","body":1,"webhook":"https://hooks.example.com","replyQueue":"answers"}""")]
    [InlineData("""{"model":"chat","text":"x","body":1}""")]
    [InlineData("""{"model":"chat"}""")]
    public void What_the_schema_refuses_is_refused_here_too(string text)
    {
        using var document = JsonDocument.Parse(text);
        Assert.NotEmpty(Violations(Schema(), document.RootElement));
        Assert.NotEmpty(Read(Bound, text).Problems);
    }

    private static ReadMessage Read(QueueSettings queue, string text, double age = 0) => new MessageFormat(queue, Bucket).Read(text, "id-1", TimeSpan.FromSeconds(age), Now);

    private static InferenceRequest Good(string text)
    {
        var read = Read(Bound, text);
        Assert.Empty(read.Problems);
        return read.Request;
    }

    private static JsonElement Schema([CallerFilePath] string here = "") =>
        JsonDocument.Parse(File.ReadAllText(Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", "..", "..", "docs", "queue-message.schema.json")))).RootElement;

    /// <summary>Checks a value by the words that the schema uses; one that it does not know fails.</summary>
    private static List<string> Violations(JsonElement schema, JsonElement value) => [.. schema.EnumerateObject().Where(word => !Holds(schema, word, value)).Select(static word => word.Name)];

    private static bool Holds(JsonElement schema, JsonProperty word, JsonElement value)
    {
        var isNumber = value.ValueKind == JsonValueKind.Number;
        var isText = value.ValueKind == JsonValueKind.String;
        var isList = value.ValueKind == JsonValueKind.Array;
        return word.Name switch
        {
            "$schema" or "title" or "description" or "examples" => true,
            "type" => (word.Value.ValueKind == JsonValueKind.Array ? word.Value.EnumerateArray() : Enumerable.Repeat(word.Value, 1)).Any(type => IsOf(type.GetString()!, value)),
            "additionalProperties" => value.EnumerateObject().All(member => schema.GetProperty("properties").TryGetProperty(member.Name, out _)),
            "properties" => word.Value.EnumerateObject().All(member => !value.TryGetProperty(member.Name, out var inner) || Violations(member.Value, inner).Count == 0),
            "required" => word.Value.EnumerateArray().All(name => value.TryGetProperty(name.GetString()!, out _)),
            "oneOf" => word.Value.EnumerateArray().Count(one => Violations(one, value).Count == 0) == 1,
            "not" => Violations(word.Value, value).Count > 0,
            "items" => !isList || value.EnumerateArray().All(item => Violations(word.Value, item).Count == 0),
            "enum" => word.Value.EnumerateArray().Any(one => one.GetString() == value.GetString()),
            "pattern" => !isText || Regex.IsMatch(value.GetString()!, word.Value.GetString()!, RegexOptions.None, TimeSpan.FromSeconds(1)),
            "minLength" => !isText || value.GetString()!.Length >= word.Value.GetInt32(),
            "maxLength" => !isText || value.GetString()!.Length <= word.Value.GetInt32(),
            "minItems" => !isList || value.GetArrayLength() >= word.Value.GetInt32(),
            "minimum" => !isNumber || value.GetDecimal() >= word.Value.GetDecimal(),
            "exclusiveMinimum" => !isNumber || value.GetDecimal() > word.Value.GetDecimal(),
            "maximum" => !isNumber || value.GetDecimal() <= word.Value.GetDecimal(),
            _ => throw new InvalidOperationException($"The schema uses '{word.Name}', which this test does not know."),
        };
    }

    private static bool IsOf(string type, JsonElement value) => type switch
    {
        "object" => value.ValueKind == JsonValueKind.Object,
        "array" => value.ValueKind == JsonValueKind.Array,
        "string" => value.ValueKind == JsonValueKind.String,
        "number" => value.ValueKind == JsonValueKind.Number,
        "integer" => value.ValueKind == JsonValueKind.Number && decimal.IsInteger(value.GetDecimal()),
        _ => false,
    };
}
