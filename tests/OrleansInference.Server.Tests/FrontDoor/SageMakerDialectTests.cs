using System.Net;
using System.Text;
using System.Text.Json;
using OrleansInference.Aws.EventStreams;

namespace OrleansInference.Tests.FrontDoor;

public sealed class SageMakerDialectTests
{
    private const string Invoke = "/endpoints/chat/invocations";
    private static readonly byte[] Body = "{\"inputs\":\"hi\"}"u8.ToArray();

    [Fact]
    public async Task A_signed_call_is_answered_with_the_route()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var response = await host.PostSignedAsync(Invoke, key, Body);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(Body, await response.Content.ReadAsByteArrayAsync());
        Assert.Equal("AllTraffic", response.Headers.GetValues("x-Amzn-Invoked-Production-Variant").Single());
        Assert.Equal(
            "input-tokens=3;output-tokens=5;lane=Realtime;endpoint=chat-rt;variant=full;charge=0.00125;decision-id=d-1",
            response.Headers.GetValues("X-Amzn-SageMaker-Custom-Attributes").Single());
        Assert.Equal("0.00125", response.Headers.GetValues("X-Inference-Charge").Single());
        Assert.Equal("acme", host.Dispatcher.Last!.Tenant.Value);
        Assert.Equal("chat", host.Dispatcher.Last.Model.Value);
    }

    [Fact]
    public async Task Attributes_of_the_router_are_taken_and_others_go_on_to_the_model()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var response = await host.PostSignedAsync(Invoke, key, Body, headers:
        [
            ("X-Amzn-SageMaker-Custom-Attributes", "trace=9; class=low;deadline=1500ms;min-quality=0.8;max-charge=0.01;idempotency-key=abc;lanes=Realtime,batch;x"),
            ("X-Amzn-SageMaker-Inference-Id", "i-1"),
        ]);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var request = host.Dispatcher.Last!;
        Assert.Equal("trace=9;x", request.CustomAttributes);
        Assert.Equal(TrafficClass.Low, request.Class);
        Assert.Equal(TimeSpan.FromSeconds(1.5), request.Deadline);
        Assert.Equal(0.8, request.MinQuality);
        Assert.Equal(Money.FromNanos(10_000_000), request.MaxCharge);
        Assert.Equal("abc", request.IdempotencyKey);
        Assert.Equal((1 << (int)Lane.Realtime) | (1 << (int)Lane.Batch), request.LaneMask);
        Assert.Equal("i-1", request.InferenceId);
        Assert.Equal(Delivery.Inline, request.Delivery);
    }

    [Theory]
    [InlineData("class=urgent", "class")]
    [InlineData("deadline=soon", "deadline")]
    [InlineData("deadline=-1", "deadline")]
    [InlineData("deadline=NaN", "deadline")]
    [InlineData("min-quality=NaN", "min-quality")]
    [InlineData("min-quality=2", "min-quality")]
    [InlineData("max-charge=-0.1", "max-charge")]
    [InlineData("lanes=Fast", "lanes")]
    [InlineData("input-tokens=1.5", "input-tokens")]
    [InlineData("input-tokens=100000001", "input-tokens")]
    [InlineData("max-output-tokens=0", "max-output-tokens")]
    [InlineData("idempotency-key=", "idempotency-key")]
    public async Task An_attribute_that_does_not_parse_is_named(string attribute, string name)
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var response = await host.PostSignedAsync(Invoke, key, Body, headers: [("X-Amzn-SageMaker-Custom-Attributes", attribute)]);
        var message = await ExpectAsync(response, HttpStatusCode.BadRequest, "ValidationError");
        Assert.StartsWith($"{name} in X-Amzn-SageMaker-Custom-Attributes", message, StringComparison.Ordinal);
        Assert.Null(host.Dispatcher.Last);
    }

    [Fact]
    public async Task Every_bad_attribute_is_named_and_a_misspelt_header_of_the_router_too()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var attributes = await host.PostSignedAsync(Invoke, key, Body, headers: [("X-Amzn-SageMaker-Custom-Attributes", "class=urgent;unknown=passes;deadline=soon")]);
        var message = await ExpectAsync(attributes, HttpStatusCode.BadRequest, "ValidationError");
        Assert.Contains("class in X-Amzn-SageMaker-Custom-Attributes", message, StringComparison.Ordinal);
        Assert.Contains("deadline in X-Amzn-SageMaker-Custom-Attributes", message, StringComparison.Ordinal);
        Assert.DoesNotContain("unknown", message, StringComparison.Ordinal);
        using var header = await host.PostSignedAsync(Invoke, key, Body, headers: [("X-Inference-Clas", "High")]);
        Assert.StartsWith("X-Inference-Clas: there is no such header. In SageMaker's dialect the router takes pairs in X-Amzn-SageMaker-Custom-Attributes: class, ", await ExpectAsync(header, HttpStatusCode.BadRequest, "ValidationError"), StringComparison.Ordinal);
        Assert.Null(host.Dispatcher.Last);
    }

    [Fact]
    public async Task A_wrong_secret_is_an_invalid_signature()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var response = await host.PostSignedAsync(Invoke, key, Body, secret: new('x', 40));
        await ExpectAsync(response, HttpStatusCode.Forbidden, "InvalidSignatureException");
        Assert.Null(host.Dispatcher.Last);
    }

    [Fact]
    public async Task A_signature_for_another_region_is_refused_as_AWS_does()
    {
        await using var host = await FrontDoorHost.StartAsync();
        using var response = await host.PostSignedAsync(Invoke, await host.IssueAsync(), Body, region: "eu-west-9");
        Assert.StartsWith("Credential should be scoped to a valid region, not 'eu-west-9'.", await ExpectAsync(response, HttpStatusCode.Forbidden, "InvalidSignatureException"), StringComparison.Ordinal);
        Assert.Null(host.Dispatcher.Last);
    }

    [Theory]
    [InlineData(-6)]
    [InlineData(6)]
    public async Task A_clock_off_by_more_than_five_minutes_is_refused(int minutes)
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var response = await host.PostSignedAsync(Invoke, key, Body, DateTimeOffset.UtcNow.AddMinutes(minutes));
        Assert.StartsWith("Signature expired", await ExpectAsync(response, HttpStatusCode.Forbidden, "InvalidSignatureException"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task No_signature_at_all_is_a_missing_token()
    {
        await using var host = await FrontDoorHost.StartAsync();
        using var response = await host.Http.PostAsync(Invoke, new ByteArrayContent(Body));
        await ExpectAsync(response, HttpStatusCode.Forbidden, "MissingAuthenticationTokenException");
    }

    [Fact]
    public async Task An_access_key_that_was_never_issued_is_told_without_asking_storage()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var response = await host.PostSignedAsync(Invoke, key with { AccessKeyId = "AKIDEXAMPLEEXAMPLE12" }, Body);
        await ExpectAsync(response, HttpStatusCode.Forbidden, "UnrecognizedClientException");
        Assert.Equal(0, host.Keys.Reads);
    }

    [Fact]
    public async Task A_revoked_key_is_unrecognized()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        Assert.Equal(HttpStatusCode.OK, (await host.PostSignedAsync(Invoke, key, Body)).StatusCode);
        Assert.True(await host.Directory.RevokeAsync(key.AccessKeyId));
        using var response = await host.PostSignedAsync(Invoke, key, Body);
        await ExpectAsync(response, HttpStatusCode.Forbidden, "UnrecognizedClientException");
    }

    [Fact]
    public async Task An_unknown_model_is_an_endpoint_that_is_not_found()
    {
        await using var host = await FrontDoorHost.StartAsync();
        host.Dispatcher.Answer = static _ => InferenceOutcome.Refused(ProblemCode.UnknownModel, "no");
        var key = await host.IssueAsync();
        using var response = await host.PostSignedAsync("/endpoints/nothing/invocations", key, Body);
        Assert.StartsWith("Endpoint nothing not found", await ExpectAsync(response, HttpStatusCode.BadRequest, "ValidationError"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_model_error_carries_what_the_model_said()
    {
        await using var host = await FrontDoorHost.StartAsync();
        host.Dispatcher.Answer = static _ => new() { Problem = new() { Code = ProblemCode.ModelError, Message = "failed", OriginalStatusCode = 500, OriginalMessage = "out of memory" } };
        var key = await host.IssueAsync();
        using var response = await host.PostSignedAsync(Invoke, key, Body);
        await ExpectAsync(response, HttpStatusCode.FailedDependency, "ModelError");
        using var json = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        Assert.Equal(500, json.RootElement.GetProperty("OriginalStatusCode").GetInt32());
        Assert.Equal("out of memory", json.RootElement.GetProperty("OriginalMessage").GetString());
    }

    [Fact]
    public async Task A_body_over_six_megabytes_is_refused_with_the_limit()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var response = await host.PostAsync(Invoke, key, new byte[6_291_457]);
        Assert.Contains("6291456", await ExpectAsync(response, HttpStatusCode.RequestEntityTooLarge, "ValidationError"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stream_is_an_event_stream_of_payload_parts()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var response = await host.PostSignedAsync("/endpoints/chat/invocations-response-stream", key, Body);
        Assert.Equal("application/vnd.amazon.eventstream", response.Content.Headers.ContentType!.MediaType);
        Assert.Equal("text/plain", response.Headers.GetValues("X-Amzn-SageMaker-Content-Type").Single());
        var parts = await ReadAsync(response);
        Assert.All(parts, static part => Assert.Equal("PayloadPart", part.EventType));
        Assert.Equal("one two", string.Concat(parts.Select(static part => Encoding.UTF8.GetString(part.Payload.Span))));
    }

    [Fact]
    public async Task A_stream_that_breaks_off_ends_with_a_model_stream_error()
    {
        await using var host = await FrontDoorHost.StartAsync();
        host.Dispatcher.Parts = static () => ScriptedDispatcher.BreakingOff();
        var key = await host.IssueAsync();
        using var response = await host.PostSignedAsync("/endpoints/chat/invocations-response-stream", key, Body);
        var parts = await ReadAsync(response);
        Assert.Equal("PayloadPart", parts[0].EventType);
        Assert.Equal("ModelStreamError", parts[^1].ExceptionType);
        Assert.Contains("The container died.", Encoding.UTF8.GetString(parts[^1].Payload.Span), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_asynchronous_call_answers_where_the_output_will_be()
    {
        await using var host = await FrontDoorHost.StartAsync();
        host.Dispatcher.Answer = static _ => new() { JobId = "job-1", Route = ScriptedDispatcher.Route };
        var key = await host.IssueAsync();
        using var response = await host.PostSignedAsync("/endpoints/chat/async-invocations", key, [], headers:
        [
            ("X-Amzn-SageMaker-InputLocation", "s3://orleans-inference/tenants/acme/in/1.json"),
            ("X-Amzn-SageMaker-RequestTTLSeconds", "60"),
            ("X-Amzn-SageMaker-InvocationTimeoutSeconds", "30"),
        ]);
        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        Assert.Equal("s3://orleans-inference/out/1", response.Headers.GetValues("X-Amzn-SageMaker-OutputLocation").Single());
        Assert.Equal("s3://orleans-inference/failed/1", response.Headers.GetValues("X-Amzn-SageMaker-FailureLocation").Single());
        Assert.Equal("{\"InferenceId\":\"job-1\"}", await response.Content.ReadAsStringAsync());
        Assert.Equal(TimeSpan.FromSeconds(90), host.Dispatcher.Last!.Deadline);
    }

    [Theory]
    [InlineData("s3://orleans-inference/tenants/other/in/1.json")]
    [InlineData("s3://orleans-inference/tenants/acme/../other/1.json")]
    [InlineData("s3://elsewhere/tenants/acme/in/1.json")]
    [InlineData("https://example.com/1.json")]
    public async Task Input_outside_of_the_tenants_own_prefix_is_refused(string location)
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var response = await host.PostSignedAsync("/endpoints/chat/async-invocations", key, [], headers: [("X-Amzn-SageMaker-InputLocation", location)]);
        Assert.Contains("s3://orleans-inference/tenants/acme/", await ExpectAsync(response, HttpStatusCode.BadRequest, "ValidationError"), StringComparison.Ordinal);
        Assert.Null(host.Dispatcher.Last);
    }

    [Fact]
    public async Task A_fault_shows_no_stack_trace()
    {
        await using var host = await FrontDoorHost.StartAsync();
        host.Dispatcher.Answer = static _ => throw new InvalidOperationException("the inner secret");
        var key = await host.IssueAsync();
        using var response = await host.PostSignedAsync(Invoke, key, Body);
        var message = await ExpectAsync(response, HttpStatusCode.InternalServerError, "InternalFailure");
        Assert.DoesNotContain("secret", message, StringComparison.Ordinal);
        Assert.Contains(response.Headers.GetValues("x-amzn-RequestId").Single(), message, StringComparison.Ordinal);
    }

    private static async Task<string> ExpectAsync(HttpResponseMessage response, HttpStatusCode status, string type)
    {
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(status == response.StatusCode, $"{(int)response.StatusCode}: {text}");
        Assert.Equal(type, response.Headers.GetValues("x-amzn-ErrorType").Single());
        using var json = JsonDocument.Parse(text);
        return json.RootElement.GetProperty("Message").GetString()!;
    }

    private static async Task<List<EventStreamMessage>> ReadAsync(HttpResponseMessage response)
    {
        await using var reader = new EventStreamReader(await response.Content.ReadAsStreamAsync());
        return await reader.ReadAllAsync().ToListAsync();
    }
}
