using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;

namespace OrleansInference.Tests.FrontDoor;

public sealed class OwnDialectTests
{
    private const string Invoke = "/v1/models/chat/invocations";
    private static readonly byte[] Body = "{\"inputs\":\"hi\"}"u8.ToArray();

    [Fact]
    public async Task An_api_key_is_enough_in_either_header()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var bearer = await host.PostAsync(Invoke, key, Body);
        Assert.Equal(HttpStatusCode.OK, bearer.StatusCode);
        Assert.Equal("Realtime", bearer.Headers.GetValues("X-Inference-Lane").Single());
        Assert.Equal("0.002", bearer.Headers.GetValues("X-Inference-Charge-Cap").Single());
        using var request = new HttpRequestMessage(HttpMethod.Post, Invoke) { Content = new ByteArrayContent(Body) };
        request.Headers.Add("X-Api-Key", key.ApiKey);
        Assert.Equal(HttpStatusCode.OK, (await host.Http.SendAsync(request)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await host.PostSignedAsync(Invoke, key, Body)).StatusCode);
    }

    [Fact]
    public async Task Headers_say_what_the_attributes_say()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var response = await host.PostAsync(
            Invoke,
            key,
            Body,
            ("X-Inference-Class", "Medium"),
            ("X-Inference-Deadline", "5m"),
            ("X-Inference-Min-Quality", "0.5"),
            ("X-Inference-Max-Charge", "0.25"),
            ("X-Inference-Lanes", "Async"),
            ("X-Inference-Input-Tokens", "374"),
            ("X-Inference-Max-Output-Tokens", "44"),
            ("Idempotency-Key", "k"),
            ("Prefer", "respond-async, wait=5"));
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var request = host.Dispatcher.Last!;
        Assert.Equal((TrafficClass.Medium, TimeSpan.FromMinutes(5), 0.5, "k"), (request.Class!.Value, request.Deadline!.Value, request.MinQuality!.Value, request.IdempotencyKey!));
        Assert.Equal((374, 44, 1 << (int)Lane.Async, Delivery.Either), (request.InputTokens!.Value, request.MaxOutputTokens!.Value, request.LaneMask, request.Delivery));
    }

    [Theory]
    [InlineData("NaN")]
    [InlineData("-Infinity")]
    [InlineData("-1")]
    public async Task A_quality_that_is_no_number_from_0_to_1_is_refused(string quality)
    {
        await using var host = await FrontDoorHost.StartAsync();
        using var response = await host.PostAsync(Invoke, await host.IssueAsync(), Body, ("X-Inference-Min-Quality", quality));
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains("X-Inference-Min-Quality", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_key_that_is_not_ascii_is_a_problem_that_names_it()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        foreach (var bytes in (byte[][])[[0xe9], [0xc3, 0xa9]])
        {
            // Raw: HttpClient would not send such a header.
            using var client = new System.Net.Sockets.TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, host.Address.Port, TestContext.Current.CancellationToken);
            var stream = client.GetStream();
            byte[] request = [.. System.Text.Encoding.ASCII.GetBytes($"POST {Invoke} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {key.ApiKey}\r\nContent-Length: 2\r\nIdempotency-Key: "), .. bytes, .. "\r\n\r\n{}"u8];
            await stream.WriteAsync(request, TestContext.Current.CancellationToken);
            using var reader = new StreamReader(stream);
            var answer = await reader.ReadToEndAsync(TestContext.Current.CancellationToken);
            Assert.StartsWith("HTTP/1.1 400", answer, StringComparison.Ordinal);
            Assert.Contains("application/problem+json", answer, StringComparison.Ordinal);
            Assert.Contains("Idempotency-Key: an idempotency key has printable ASCII characters alone.", answer, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_body_without_a_length_is_refused_with_the_limit_even_where_the_web_servers_own_comes_first()
    {
        const int Limit = 31 << 20;
        await using var host = await FrontDoorHost.StartAsync(Limit);
        var key = await host.IssueAsync();

        // Raw, and without the end of the body: a client that still writes when the server closes may see no answer. With the chunk's own frame it is a byte too long.
        using var client = new System.Net.Sockets.TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, host.Address.Port, TestContext.Current.CancellationToken);
        var stream = client.GetStream();
        byte[] request = [.. System.Text.Encoding.ASCII.GetBytes($"POST {Invoke} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {key.ApiKey}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{Limit - 10:x}\r\n"), .. new byte[Limit - 10], .. "\r\n"u8];
        await stream.WriteAsync(request, TestContext.Current.CancellationToken);
        using var reader = new StreamReader(stream);
        var answer = await reader.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.StartsWith("HTTP/1.1 413", answer, StringComparison.Ordinal);
        Assert.Contains("PayloadTooLarge", answer, StringComparison.Ordinal);
        Assert.Contains($"{Limit} bytes", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bad_header_is_a_problem_that_names_it()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var response = await host.PostAsync(Invoke, key, Body, ("X-Inference-Deadline", "tomorrow"));
        var problem = await ProblemAsync(response, HttpStatusCode.BadRequest, "InvalidRequest");
        Assert.StartsWith("X-Inference-Deadline: 'tomorrow'", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Equal(Invoke, problem.GetProperty("instance").GetString());
    }

    [Fact]
    public async Task Every_bad_header_is_named_in_one_problem()
    {
        await using var host = await FrontDoorHost.StartAsync();
        (string Name, string Value)[] headers = [("X-Inference-Class", "urgent"), ("X-Inference-Deadline", "tomorrow"), ("X-Inference-Lanes", "Fast"), ("X-Inference-Max-Charge", ""), ("X-Inference-Min-Qualty", "1")];
        using var response = await host.PostAsync(Invoke, await host.IssueAsync(), Body, headers);
        var detail = (await ProblemAsync(response, HttpStatusCode.BadRequest, "InvalidRequest")).GetProperty("detail").GetString()!;
        Assert.All(headers, header => Assert.Contains($"{header.Name}: ", detail, StringComparison.Ordinal));
        Assert.Null(host.Dispatcher.Last);
    }

    [Theory]
    [InlineData("X-Inference-Dedline", "X-Inference-Deadline")]
    [InlineData("x-inference-lane", "X-Inference-Lanes")]
    [InlineData("X-Inference-Priority-Of-The-House", null)]
    public async Task A_misspelt_header_is_named_with_the_one_that_may_be_meant_and_those_there_are(string sent, string? meant)
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var response = await host.PostAsync(Invoke, key, Body, (sent, "x"));
        var detail = (await ProblemAsync(response, HttpStatusCode.BadRequest, "InvalidRequest")).GetProperty("detail").GetString()!;
        Assert.StartsWith($"{sent}: there is no such header.", detail, StringComparison.Ordinal);
        Assert.Equal(meant is not null, detail.Contains($"'{meant}' may be meant", StringComparison.Ordinal));
        Assert.Contains("X-Inference-Class, X-Inference-Deadline, X-Inference-Id, X-Inference-Input-Tokens, X-Inference-Lanes, ", detail, StringComparison.Ordinal);
        using var get = new HttpRequestMessage(HttpMethod.Get, "/v1/jobs/job-1");
        get.Headers.Add("X-Api-Key", key.ApiKey);
        get.Headers.Add(sent, "x");
        await ProblemAsync(await host.Http.SendAsync(get), HttpStatusCode.BadRequest, "InvalidRequest");
    }

    [Fact]
    public async Task What_an_answer_carried_does_no_harm_in_a_request()
    {
        await using var host = await FrontDoorHost.StartAsync();
        using var response = await host.PostAsync(Invoke, await host.IssueAsync(), Body, ("X-Inference-Decision-Id", "d-1"), ("X-Inference-Charge-Cap", "0.1"), ("X-Inference-Tenant", "acme"), ("X-Other", "x"));
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Fact]
    public async Task An_empty_idempotency_key_is_a_problem()
    {
        await using var host = await FrontDoorHost.StartAsync();
        using var response = await host.PostAsync(Invoke, await host.IssueAsync(), Body, ("Idempotency-Key", ""));
        var problem = await ProblemAsync(response, HttpStatusCode.BadRequest, "InvalidRequest");
        Assert.Equal("Idempotency-Key: an idempotency key has 1 to 255 characters, this one has 0.", problem.GetProperty("detail").GetString());
        Assert.Null(host.Dispatcher.Last);
    }

    [Fact]
    public async Task A_key_used_with_another_model_is_not_called_one_with_another_body()
    {
        await using var host = await FrontDoorHost.StartAsync();
        host.Dispatcher.Answer = static _ => InferenceOutcome.Refused(ProblemCode.IdempotencyConflict, "why");
        using var response = await host.PostAsync(Invoke, await host.IssueAsync(), Body, ("Idempotency-Key", "k"));
        Assert.Equal("The idempotency key was used with another request: another model or body.", (await ProblemAsync(response, HttpStatusCode.Conflict, "IdempotencyConflict")).GetProperty("title").GetString());
    }

    [Theory]
    [InlineData(ProblemCode.UnknownModel, 404)]
    [InlineData(ProblemCode.BudgetExhausted, 429)]
    [InlineData(ProblemCode.DeadlineUnreachable, 503)]
    [InlineData(ProblemCode.NoCandidate, 422)]
    [InlineData(ProblemCode.Throttled, 429)]
    [InlineData(ProblemCode.ModelError, 424)]
    [InlineData(ProblemCode.UpstreamUnavailable, 502)]
    [InlineData(ProblemCode.DeadlineExceeded, 504)]
    [InlineData(ProblemCode.IdempotencyConflict, 409)]
    [InlineData(ProblemCode.RequestInProgress, 409)]
    [InlineData(ProblemCode.InputNotFound, 422)]
    [InlineData(ProblemCode.Internal, 500)]
    [InlineData(ProblemCode.Unavailable, 503)]
    public async Task Every_problem_has_its_status_and_says_when_to_come_back(ProblemCode code, int status)
    {
        await using var host = await FrontDoorHost.StartAsync();
        host.Dispatcher.Answer = _ => InferenceOutcome.Refused(code, "why", TimeSpan.FromSeconds(2.5));
        var key = await host.IssueAsync();
        using var response = await host.PostAsync(Invoke, key, Body);
        var problem = await ProblemAsync(response, (HttpStatusCode)status, code.ToString());
        Assert.Equal("3", response.Headers.GetValues("Retry-After").Single());
        Assert.Equal(2.5, problem.GetProperty("retryAfterSeconds").GetDouble());
    }

    [Fact]
    public async Task What_AWS_refuses_the_front_door_is_no_fault_of_the_router_and_says_when_to_come_back()
    {
        await using var host = await FrontDoorHost.StartAsync();
        host.Dispatcher.Answer = static _ => throw new Amazon.Runtime.AmazonServiceException("User: arn:aws:sts::1:silo is not authorized", null, Amazon.Runtime.ErrorType.Sender, "AccessDenied", "1", HttpStatusCode.Forbidden);
        using var response = await host.PostAsync(Invoke, await host.IssueAsync(), Body);
        var problem = await ProblemAsync(response, HttpStatusCode.ServiceUnavailable, nameof(ProblemCode.Unavailable));
        Assert.Equal("1", response.Headers.GetValues("Retry-After").Single());
        Assert.DoesNotContain("arn:", problem.GetRawText(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/v1/models/chat/invocations")]
    [InlineData("/endpoints/chat/invocations")]
    public async Task On_a_fast_clock_the_time_to_come_back_is_that_of_the_wall(string path)
    {
        await using var host = await FrontDoorHost.StartAsync(speed: 20);
        host.Dispatcher.Answer = static _ => InferenceOutcome.Refused(ProblemCode.BudgetExhausted, "why", TimeSpan.FromDays(30));
        using var response = await host.PostAsync(path, await host.IssueAsync(), Body);
        Assert.Equal($"{30 * 86_400 / 20}", response.Headers.GetValues("Retry-After").Single());
    }

    [Fact]
    public async Task A_job_is_accepted_with_its_place()
    {
        await using var host = await FrontDoorHost.StartAsync();
        host.Dispatcher.Answer = static _ => new() { JobId = "job-1", Route = ScriptedDispatcher.Route };
        var key = await host.IssueAsync();
        using var response = await host.PostAsync(Invoke, key, Body, ("Prefer", "respond-async"));
        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        Assert.Equal("/v1/jobs/job-1", response.Headers.Location!.OriginalString);
        Assert.False(response.Headers.Contains("X-Inference-Charge"));
    }

    [Fact]
    public async Task Anothers_job_does_not_exist()
    {
        await using var host = await FrontDoorHost.StartAsync();
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(host, "/v1/jobs/job-1", (await host.IssueAsync("acme")).ApiKey)).StatusCode);
        await ProblemAsync(await GetAsync(host, "/v1/jobs/job-1", (await host.IssueAsync("other")).ApiKey), HttpStatusCode.NotFound, "UnknownJob");
        await ProblemAsync(await GetAsync(host, "/v1/jobs/..%2Facme%2Fjob-1", (await host.IssueAsync("other")).ApiKey), HttpStatusCode.NotFound, "UnknownJob");
    }

    [Fact]
    public async Task A_result_goes_to_its_caller_as_it_is_read()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var pipe = new Pipe();
        host.Dispatcher.Result = () => new(new() { Route = ScriptedDispatcher.Route, ContentType = "video/mp4" }, new(pipe.Reader.AsStream(), 6, null));
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/v1/jobs/{ScriptedDispatcher.Ended}/result");
        request.Headers.Authorization = new("Bearer", (await host.IssueAsync()).ApiKey);
        await pipe.Writer.WriteAsync("one"u8.ToArray());
        using var response = await host.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal((HttpStatusCode.OK, "video/mp4", 6), (response.StatusCode, response.Content.Headers.ContentType!.MediaType, response.Content.Headers.ContentLength));
        await using var body = await response.Content.ReadAsStreamAsync();
        var part = new byte[3];
        await body.ReadExactlyAsync(part);
        Assert.Equal("one"u8, part);

        // The rest is made only now.
        await pipe.Writer.WriteAsync("two"u8.ToArray());
        await pipe.Writer.CompleteAsync();
        await body.ReadExactlyAsync(part);
        Assert.Equal("two"u8, part);
        Assert.Equal(-1, body.ReadByte());
    }

    [Fact]
    public async Task An_unfinished_jobs_result_is_not_there_yet()
    {
        await using var host = await FrontDoorHost.StartAsync();
        using var response = await GetAsync(host, "/v1/jobs/job-1/result", (await host.IssueAsync()).ApiKey);
        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        Assert.Equal("1", response.Headers.GetValues("Retry-After").Single());
    }

    [Fact]
    public async Task A_stream_is_the_models_bytes_with_the_charge_cap_before()
    {
        await using var host = await FrontDoorHost.StartAsync();
        using var response = await host.PostAsync("/v1/models/chat/invocations-response-stream", await host.IssueAsync(), Body);
        Assert.Equal("one two", await response.Content.ReadAsStringAsync());
        Assert.Equal("0.002", response.Headers.GetValues("X-Inference-Charge-Cap").Single());
        Assert.False(response.Headers.Contains("X-Inference-Charge"));
    }

    [Fact]
    public async Task A_stream_that_breaks_off_is_not_whole()
    {
        await using var host = await FrontDoorHost.StartAsync();
        host.Dispatcher.Parts = static () => ScriptedDispatcher.BreakingOff();
        await Assert.ThrowsAsync<HttpRequestException>(async () => await host.PostAsync("/v1/models/chat/invocations-response-stream", await host.IssueAsync(), Body));
    }

    [Fact]
    public async Task A_body_over_the_limit_is_refused_whether_or_not_its_length_is_announced()
    {
        await using var host = await FrontDoorHost.StartAsync(maxBodyBytes: 1000);
        var key = await host.IssueAsync();
        await ProblemAsync(await host.PostAsync(Invoke, key, new byte[1001]), HttpStatusCode.RequestEntityTooLarge, "PayloadTooLarge");
        Assert.Equal(HttpStatusCode.OK, (await host.PostAsync(Invoke, key, new byte[1000])).StatusCode);
        using var request = new HttpRequestMessage(HttpMethod.Post, Invoke) { Content = new ByteArrayContent(new byte[100_000]) };
        request.Headers.TransferEncodingChunked = true;
        request.Headers.Authorization = new("Bearer", key.ApiKey);
        await ProblemAsync(await host.Http.SendAsync(request), HttpStatusCode.RequestEntityTooLarge, "PayloadTooLarge");
    }

    [Theory]
    [InlineData("gzip", false)]
    [InlineData("br, gzip", false)]
    [InlineData("identity", true)]
    public async Task An_encoded_body_is_refused_with_what_to_do(string encoding, bool isTaken)
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        using var response = await host.PostAsync(Invoke, key, Body, ("Content-Encoding", encoding));
        if (isTaken)
        {
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            return;
        }

        var problem = await ProblemAsync(response, HttpStatusCode.UnsupportedMediaType, "UnsupportedEncoding");
        Assert.Contains($"'{encoding}'", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        using var signed = await host.PostSignedAsync("/endpoints/chat/invocations", key, Body, headers: ("Content-Encoding", encoding));
        Assert.Equal((HttpStatusCode.BadRequest, "ValidationError"), (signed.StatusCode, signed.Headers.GetValues("x-amzn-ErrorType").Single()));
    }

    [Fact]
    public async Task Keys_that_are_not_good_are_told_apart_from_rights_that_are_not_had()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        await ProblemAsync(await GetAsync(host, "/v1/statistics", null), HttpStatusCode.Unauthorized, "Unauthenticated");
        await ProblemAsync(await GetAsync(host, "/v1/statistics", key.ApiKey[..^1] + (key.ApiKey[^1] == 'x' ? 'y' : 'x')), HttpStatusCode.Unauthorized, "UnknownKey");
        await ProblemAsync(await GetAsync(host, "/v1/statistics", key.ApiKey), HttpStatusCode.Forbidden, "Forbidden");
        await ProblemAsync(await GetAsync(host, "/v1/tenants/other/budget", key.ApiKey), HttpStatusCode.Forbidden, "Forbidden");
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(host, "/v1/statistics", FrontDoorHost.Admin)).StatusCode);
    }

    [Fact]
    public async Task Paths_and_methods_that_are_not_there_are_problems_too()
    {
        await using var host = await FrontDoorHost.StartAsync();
        await ProblemAsync(await GetAsync(host, "/v2", null), HttpStatusCode.NotFound, "NotFound");
        await ProblemAsync(await GetAsync(host, Invoke, null), HttpStatusCode.MethodNotAllowed, "MethodNotAllowed");
    }

    [Fact]
    public async Task The_operations_are_described()
    {
        await using var host = await FrontDoorHost.StartAsync();
        using var document = JsonDocument.Parse(await host.Http.GetStringAsync("/openapi/v1.json"));
        var paths = document.RootElement.GetProperty("paths");
        string[] expected = [Invoke.Replace("chat", "{model}", StringComparison.Ordinal), "/v1/jobs/{id}", "/v1/tenants/{id}/budget", "/v1/admin/catalog", "/healthz"];
        Assert.All(expected, path => Assert.True(paths.TryGetProperty(path, out _), path));
        Assert.Contains("X-Inference-Deadline", paths.GetProperty(expected[0]).GetRawText(), StringComparison.Ordinal);

        // A number is a number, not an object that may be one.
        var schemas = document.RootElement.GetProperty("components").GetProperty("schemas");
        Assert.DoesNotContain("NaN", schemas.GetRawText(), StringComparison.Ordinal);
        Assert.Equal("number", schemas.GetProperty("CandidateView").GetProperty("properties").GetProperty("p50Seconds").GetProperty("type").GetString());
    }

    [Fact]
    public async Task No_secret_is_kept_in_the_clear()
    {
        await using var host = await FrontDoorHost.StartAsync();
        var key = await host.IssueAsync();
        var record = Assert.Single(host.Keys.Records);
        var kept = System.Text.Encoding.Latin1.GetString([.. record.ApiKeyHash.Span, .. record.EncryptedSecret.Span]);
        Assert.DoesNotContain(key.SecretAccessKey, kept, StringComparison.Ordinal);
        Assert.DoesNotContain(key.ApiKey[^40..], kept, StringComparison.Ordinal);
        Assert.Equal((20, 40), (key.AccessKeyId.Length, key.SecretAccessKey.Length));
        Assert.StartsWith($"oi_{key.AccessKeyId}_", key.ApiKey, StringComparison.Ordinal);
    }

    private static async Task<HttpResponseMessage> GetAsync(FrontDoorHost host, string path, string? key)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Authorization = key is null ? null : new AuthenticationHeaderValue("Bearer", key);
        return await host.Http.SendAsync(request);
    }

    private static async Task<JsonElement> ProblemAsync(HttpResponseMessage response, HttpStatusCode status, string code)
    {
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(status == response.StatusCode, $"{(int)response.StatusCode}: {text}");
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType!.MediaType);
        var problem = JsonDocument.Parse(text).RootElement;
        Assert.Equal(code, problem.GetProperty("code").GetString());
        Assert.Equal((int)status, problem.GetProperty("status").GetInt32());
        Assert.NotEmpty(problem.GetProperty("title").GetString()!);
        return problem;
    }
}
