using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using OrleansInference.Aws.Signing;

namespace OrleansInference.Tests.Hosting;

/// <summary>Batches over real HTTP on a whole server.</summary>
public sealed class BatchTests(LiveServer server) : IClassFixture<LiveServer>
{
    private const string Batches = $"/v1/models/{LiveServer.Bulk}/batches";

    [Fact]
    public async Task Records_sent_as_json_lines_are_answered_in_order_for_one_charge_and_bad_ones_fail_alone()
    {
        var key = (await server.IssueAsync("acme")).ApiKey;
        using var accepted = await server.SendAsync(HttpMethod.Post, Batches, key, Lines([.. Enumerable.Range(1, 200).Select(i => i == 70 ? """{"question":70}""" : Record(i))]));
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        var location = accepted.Headers.Location!.OriginalString;
        Assert.Equal($"/v1/batches/{accepted.Headers.GetValues("X-Inference-Batch-Id").Single()}", location);

        var ended = await EndOfAsync(location, key);
        Assert.Equal("Succeeded", ended.GetProperty("state").GetString());
        Assert.Equal((200, 199, 1), (ended.GetProperty("records").GetInt64(), ended.GetProperty("done").GetInt64(), ended.GetProperty("failed").GetInt64()));

        // 199 requests of 0.0001 $ and 199 × 20 output tokens of 0.001 $ a thousand.
        Assert.Equal("0.02388", ended.GetProperty("route").GetProperty("charge").GetString());

        var results = await ResultsAsync(location, key);
        Assert.Equal(Enumerable.Range(1, 200), results.Select(static line => line.GetProperty("record").GetInt32()));
        foreach (var line in results)
        {
            var number = line.GetProperty("record").GetInt32();
            if (number == 70)
            {
                Assert.Equal("ModelError", line.GetProperty("error").GetProperty("code").GetString());
            }
            else
            {
                Assert.Equal(1_000 + number, line.GetProperty("output").GetProperty("usage").GetProperty("input_tokens").GetInt32());
            }
        }
    }

    [Fact]
    public async Task Bad_lines_are_named_by_their_numbers_and_nothing_is_begun()
    {
        var key = (await server.IssueAsync("careless")).ApiKey;
        using var refused = await server.SendAsync(HttpMethod.Post, Batches, key, Lines([Record(1), "hello", "", Record(2), "{\"a\":1}{}"]));
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        var text = await refused.Content.ReadAsStringAsync();
        Assert.Contains("Line 2:", text, StringComparison.Ordinal);
        Assert.Contains("Line 5:", text, StringComparison.Ordinal);
        Assert.DoesNotContain("Line 1:", text, StringComparison.Ordinal);
        Assert.DoesNotContain("Line 3:", text, StringComparison.Ordinal);

        foreach (var (content, what) in ((HttpContent, string)[])
            [
                (Lines([]), "no record"),
                (new StringContent("{}", Encoding.UTF8, "text/plain"), "text/plain"),
                (new StringContent("""{"input":"s3://orleans-inference/tenants/other/x/"}""", Encoding.UTF8, "application/json"), "tenants/careless/"),
                (new StringContent("""{"input":"s3://orleans-inference/tenants/careless/../other/x/"}""", Encoding.UTF8, "application/json"), "tenants/careless/"),
                (new StringContent("""{"input":"s3://orleans-inference/tenants/careless-2/x/"}""", Encoding.UTF8, "application/json"), "tenants/careless/"),
                (new StringContent("""{"input":"s3://orleans-inference/tenants/careless"}""", Encoding.UTF8, "application/json"), "tenants/careless/"),
                (new StringContent("""{"input":"s3://elsewhere/tenants/careless/x/"}""", Encoding.UTF8, "application/json"), "tenants/careless/"),
                (new StringContent("""{"input":"\ud800"}""", Encoding.UTF8, "application/json"), "tenants/careless/"),
                (new StringContent("""{"inputs":"hello"}""", Encoding.UTF8, "application/json"), "application/jsonlines"),
                (new StringContent("""{"input":"s3://orleans-inference/tenants/careless/"}""", Encoding.UTF8, "application/json"), "no object below 's3://orleans-inference/tenants/careless/'"),
                (new StringContent("""{"input":"s3://orleans-inference/tenants/careless/none"}""", Encoding.UTF8, "application/json"), "no object below 's3://orleans-inference/tenants/careless/none'"),
            ])
        {
            using var wrong = await server.SendAsync(HttpMethod.Post, Batches, key, content);
            Assert.Equal(HttpStatusCode.BadRequest, wrong.StatusCode);
            Assert.Contains(what, await wrong.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }

        await server.StoreAsync("tenants/careless/empty/", []);
        using var empty = await server.SendAsync(HttpMethod.Post, Batches, key, new StringContent("""{"input":"s3://orleans-inference/tenants/careless/"}""", Encoding.UTF8, "application/json"));
        Assert.Equal(HttpStatusCode.BadRequest, empty.StatusCode);
        Assert.Contains("no record in the 1 objects below", await empty.Content.ReadAsStringAsync(), StringComparison.Ordinal);

        // Nobody else uses this tenant.
        Assert.Equal((Money.Zero, Money.Zero), ((await server.BudgetAsync("careless")).Reserved, (await server.BudgetAsync("careless")).SettledTotal));
    }

    [Fact]
    public async Task Records_are_taken_from_the_objects_below_a_prefix_in_their_order()
    {
        var key = (await server.IssueAsync("acme")).ApiKey;
        await server.StoreAsync("tenants/acme/records/b.jsonl", Encoding.UTF8.GetBytes($"{Record(3)}\n{Record(4)}"));
        await server.StoreAsync("tenants/acme/records/a.jsonl", Encoding.UTF8.GetBytes($"{Record(1)}\r\n\n{Record(2)}\n"));
        await server.StoreAsync("tenants/acme/records/", []);
        await server.StoreAsync("tenants/acme/records/c/", Encoding.UTF8.GetBytes(Record(5)));
        using var accepted = await server.SendAsync(HttpMethod.Post, Batches, key, new StringContent("""{"input":"s3://orleans-inference/tenants/acme/records/"}""", Encoding.UTF8, "application/json"));
        Assert.True(accepted.StatusCode == HttpStatusCode.Accepted, await accepted.Content.ReadAsStringAsync());
        var location = accepted.Headers.Location!.OriginalString;
        Assert.Equal(5, (await EndOfAsync(location, key)).GetProperty("done").GetInt64());
        Assert.Equal([1001, 1002, 1003, 1004, 1005], (await ResultsAsync(location, key)).Select(static line => line.GetProperty("output").GetProperty("usage").GetProperty("input_tokens").GetInt32()));
    }

    [Fact]
    public async Task A_repeated_key_gives_the_same_batch_and_another_body_under_it_is_refused()
    {
        var key = (await server.IssueAsync("acme")).ApiKey;
        using var first = await server.SendAsync(HttpMethod.Post, Batches, key, Lines([Record(1), Record(2)]), ("Idempotency-Key", "nightly"));
        using var second = await server.SendAsync(HttpMethod.Post, Batches, key, Lines([Record(1), Record(2)]), ("Idempotency-Key", "nightly"));
        using var other = await server.SendAsync(HttpMethod.Post, Batches, key, Lines([Record(1), Record(3)]), ("Idempotency-Key", "nightly"));
        Assert.Equal(HttpStatusCode.Accepted, second.StatusCode);
        Assert.Equal(first.Headers.Location, second.Headers.Location);
        Assert.Equal("true", second.Headers.GetValues("X-Inference-Idempotent-Replay").Single());
        Assert.False(first.Headers.Contains("X-Inference-Idempotent-Replay"));
        Assert.Equal(HttpStatusCode.Conflict, other.StatusCode);
        Assert.Equal(2, (await EndOfAsync(first.Headers.Location!.OriginalString, key)).GetProperty("done").GetInt64());
    }

    [Fact]
    public async Task What_the_budget_the_charge_or_the_deadline_does_not_allow_is_refused()
    {
        var poor = (await server.IssueAsync("poor")).ApiKey;
        using var short_ = await server.SendAsync(HttpMethod.Post, Batches, poor, Lines([Record(1)]));
        Assert.Equal(HttpStatusCode.TooManyRequests, short_.StatusCode);
        Assert.Equal(Money.Zero, (await server.BudgetAsync("poor")).Reserved);

        var key = (await server.IssueAsync("acme")).ApiKey;
        foreach (var (header, value, what) in ((string, string, string)[])
            [
                ("X-Inference-Max-Charge", "0.0005", "above the maximum"),
                ("X-Inference-Deadline", "4s", "deadline"),
                ("X-Inference-Lanes", "Async", "Batch"),
                ("X-Inference-Input-Tokens", "7", "input tokens"),
                ("X-Inference-Webhook", "https://hooks.example.com/a", "no webhook"),
            ])
        {
            using var refused = await server.SendAsync(HttpMethod.Post, Batches, key, Lines([.. Enumerable.Range(1, 400).Select(Record)]), (header, value));
            Assert.False(refused.IsSuccessStatusCode, header);
            Assert.Contains(what, await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }

        // No more than the caller said, whatever a window may add for others.
        using var hasty = await server.SendAsync(HttpMethod.Post, Batches, key, Lines([Record(1)]), ("X-Inference-Deadline", "1s"));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, hasty.StatusCode);
        Assert.Contains("within the 1 s that the batch has", await hasty.Content.ReadAsStringAsync(), StringComparison.Ordinal);

        using var denied = await server.SendAsync(HttpMethod.Post, Batches, (await server.IssueAsync("other")).ApiKey, Lines([Record(1)]));
        Assert.Equal(HttpStatusCode.NotFound, denied.StatusCode);
    }

    [Fact]
    public async Task Another_tenants_batch_does_not_exist()
    {
        var key = (await server.IssueAsync("acme")).ApiKey;
        var other = (await server.IssueAsync("other")).ApiKey;
        using var accepted = await server.SendAsync(HttpMethod.Post, Batches, key, Lines([Record(1)]));
        var location = accepted.Headers.Location!.OriginalString;
        foreach (var (method, path) in ((HttpMethod, string)[])[(HttpMethod.Get, location), (HttpMethod.Get, location + "/results"), (HttpMethod.Delete, location)])
        {
            Assert.Equal(HttpStatusCode.NotFound, (await server.SendAsync(method, path, other)).StatusCode);
        }

        foreach (var wait in (string[])["wait=NaN", "wait=-Infinity", "wait=-1", "wait=x"])
        {
            using var refused = await server.SendAsync(HttpMethod.Get, location, key, null, ("Prefer", wait));
            Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        }

        // The longest that is granted is enough for it to end.
        using var patient = await server.SendAsync(HttpMethod.Get, location, key, null, ("Prefer", $"wait={new string('9', 40)}"));
        Assert.Equal(HttpStatusCode.OK, patient.StatusCode);
        Assert.Equal("Succeeded", (await EndOfAsync(location, key)).GetProperty("state").GetString());
        using var cancelled = await server.SendAsync(HttpMethod.Delete, location, key);
        Assert.Equal(HttpStatusCode.OK, cancelled.StatusCode);
        Assert.Contains("Succeeded", await cancelled.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_batch_above_the_set_limits_is_refused_with_the_limit_and_leaves_no_object()
    {
        await using var small = new LiveServer { MaxBatchBytes = 100_000, MaxBatchRecords = 50 };
        await small.InitializeAsync();
        var key = (await small.IssueAsync("acme")).ApiKey;
        foreach (var (content, what) in ((Func<HttpContent>, string)[])
            [
                (static () => Lines([.. Enumerable.Range(1, 51).Select(Record)]), "50 records"),
                (static () => Lines([.. Enumerable.Range(1, 20).Select(static i => $"\"{new string('x', 9_000)}{i}\"")]), "100000 bytes"),
                (static () => Lines([.. Enumerable.Repeat("", 300_000), Record(1)]), "100000 bytes"),
                (static () => new StreamContent(new Unknown(Encoding.UTF8.GetBytes(new string('\n', 300_000)))) { Headers = { ContentType = new MediaTypeHeaderValue("application/jsonlines") } }, "larger"),
            ])
        {
            // A caller that is still sending may find its connection closed before it has read why.
            await LiveServer.EventuallyAsync(
                async () =>
                {
                    try
                    {
                        using var refused = await small.SendAsync(HttpMethod.Post, Batches, key, content());
                        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, refused.StatusCode);
                        Assert.Contains(what, await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
                        return true;
                    }
                    catch (HttpRequestException)
                    {
                        return false;
                    }
                },
                "the refusal is read");
        }

        await LiveServer.EventuallyAsync(async () => await small.CountObjectsAsync("batches/", "<Key>") == 0, "no object is left");
        Assert.Equal(Money.Zero, (await small.BudgetAsync("acme")).Reserved);
        using var accepted = await small.SendAsync(HttpMethod.Post, Batches, key, Lines([.. Enumerable.Range(1, 50).Select(Record)]));
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
    }

    [Fact]
    public async Task A_signed_batch_may_be_larger_than_a_call_if_its_hash_is_declared_and_another_body_under_that_hash_is_refused()
    {
        var key = await server.IssueAsync("acme");
        var padding = new string('x', 400_000);
        var records = Enumerable.Range(1, 20).Select(i => string.Create(CultureInfo.InvariantCulture, $$"""{"inputs":"{{padding}}","input_tokens":{{1_000 + i}},"output_tokens":20}""")).ToList();
        var body = Encoding.UTF8.GetBytes(string.Join('\n', records));
        Assert.True(body.Length > OrleansInference.FrontDoor.FrontDoorOptions.SageMakerBodyBytes);
        using var accepted = await server.PostSignedAsync(Batches, key, Lines(records), PayloadHash.Of(body));
        Assert.True(accepted.StatusCode == HttpStatusCode.Accepted, await accepted.Content.ReadAsStringAsync());
        Assert.Equal(20, (await EndOfAsync(accepted.Headers.Location!.OriginalString, key.ApiKey)).GetProperty("done").GetInt64());

        var uploads = await server.CountObjectsAsync("batches/acme/", "/0/in/");
        records[19] = records[19].Replace("\"output_tokens\":20", "\"output_tokens\":21", StringComparison.Ordinal);
        using var other = await server.PostSignedAsync(Batches, key, Lines(records), PayloadHash.Of(body));
        Assert.Equal(HttpStatusCode.Forbidden, other.StatusCode);
        Assert.Contains("X-Amz-Content-Sha256", await other.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(uploads, await server.CountObjectsAsync("batches/acme/", "/0/in/"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_signed_batch_that_is_larger_than_a_call_and_declares_no_hash_is_told_to_declare_it(bool knowsItsLength)
    {
        var key = await server.IssueAsync("acme");
        var body = Encoding.UTF8.GetBytes($"\"{new string('x', (int)OrleansInference.FrontDoor.FrontDoorOptions.SageMakerBodyBytes)}\"");
        await LiveServer.EventuallyAsync(
            async () =>
            {
                try
                {
                    using var refused = await server.PostSignedAsync(Batches, key, knowsItsLength ? Lines(Encoding.UTF8.GetString(body)) : Chunked(body), PayloadHash.Of(body), declares: false);
                    Assert.Equal(HttpStatusCode.RequestEntityTooLarge, refused.StatusCode);
                    Assert.Contains("X-Amz-Content-Sha256", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
                    return true;
                }
                catch (HttpRequestException)
                {
                    // A caller that is still sending may find its connection closed before it has read why.
                    return false;
                }
            },
            "the refusal is read");

        // A short one needs no declared hash, and none but the body that was signed is taken.
        var records = Encoding.UTF8.GetBytes(Record(1));
        using var accepted = await server.PostSignedAsync(Batches, key, knowsItsLength ? Lines(Record(1)) : Chunked(records), PayloadHash.Of(records), declares: false);
        Assert.True(accepted.StatusCode == HttpStatusCode.Accepted, await accepted.Content.ReadAsStringAsync());
        using var other = await server.PostSignedAsync(Batches, key, Lines(Record(2)), PayloadHash.Of(records), declares: false);
        Assert.Equal(HttpStatusCode.Forbidden, other.StatusCode);

        static StreamContent Chunked(byte[] body) => new(new Unknown(body)) { Headers = { ContentType = new MediaTypeHeaderValue("application/jsonlines") } };
    }

    [Fact]
    public async Task The_description_tells_of_batches()
    {
        var paths = (await server.GetAsync("/openapi/v1.json", server.AdminKey)).GetProperty("paths");
        var create = paths.GetProperty("/v1/models/{model}/batches").GetProperty("post");
        Assert.True(create.GetProperty("requestBody").GetProperty("content").TryGetProperty("application/jsonlines", out _));
        var headers = create.GetProperty("parameters").EnumerateArray().Select(static parameter => parameter.GetProperty("name").GetString()).ToList();
        Assert.Contains("Idempotency-Key", headers);
        Assert.DoesNotContain("X-Inference-Input-Tokens", headers);
        Assert.True(paths.TryGetProperty("/v1/batches/{id}/results", out _));
    }

    /// <summary>A body whose length is not known before its end.</summary>
    private sealed class Unknown(byte[] body) : MemoryStream(body, writable: false)
    {
        public override bool CanSeek => false;
    }

    private static string Record(int i) => string.Create(CultureInfo.InvariantCulture, $$"""{"inputs":"record {{i}}","input_tokens":{{1_000 + i}},"output_tokens":20}""");

    private static ByteArrayContent Lines(params IReadOnlyList<string> lines) =>
        new(Encoding.UTF8.GetBytes(string.Join('\n', lines))) { Headers = { ContentType = new MediaTypeHeaderValue("application/jsonlines") } };

    private async Task<JsonElement> EndOfAsync(string location, string key)
    {
        JsonElement batch = default;
        await LiveServer.EventuallyAsync(
            async () =>
            {
                using var response = await server.SendAsync(HttpMethod.Get, location, key, null, ("Prefer", "wait=30"));
                batch = JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
                return batch.TryGetProperty("endedAt", out _);
            },
            "the batch has ended");
        return batch;
    }

    private async Task<IReadOnlyList<JsonElement>> ResultsAsync(string location, string key)
    {
        using var response = await server.SendAsync(HttpMethod.Get, location + "/results", key);
        Assert.Equal("application/jsonlines", response.Content.Headers.ContentType!.MediaType);
        return [.. (await response.Content.ReadAsStringAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static line => JsonDocument.Parse(line).RootElement)];
    }
}
