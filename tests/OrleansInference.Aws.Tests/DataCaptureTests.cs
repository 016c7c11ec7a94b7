using System.Collections.Concurrent;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansInference.Aws;
using OrleansInference.Invocation;
using OrleansInference.Payloads;

namespace OrleansInference.Tests;

public sealed class DataCaptureTests
{
    private static readonly byte[] Input = """{"inputs":"hello","user":{"email":"a@b.c","age":7},"items":[{"ssn":1},{"ssn":2,"deep":{"ssn":[3]}}]}"""u8.ToArray();
    private static readonly byte[] Output = """{"text":"hi a@b.c","scores":[1,2,3]}"""u8.ToArray();

    [Theory]
    [InlineData("$.user.email", """{"inputs":"hello","user":{"email":"REDACTED","age":7},"items":[{"ssn":1},{"ssn":2,"deep":{"ssn":[3]}}]}""")]
    [InlineData("$['user']['age']", """{"inputs":"hello","user":{"email":"a@b.c","age":"REDACTED"},"items":[{"ssn":1},{"ssn":2,"deep":{"ssn":[3]}}]}""")]
    [InlineData("$.user", """{"inputs":"hello","user":"REDACTED","items":[{"ssn":1},{"ssn":2,"deep":{"ssn":[3]}}]}""")]
    [InlineData("$..ssn", """{"inputs":"hello","user":{"email":"a@b.c","age":7},"items":[{"ssn":"REDACTED"},{"ssn":"REDACTED","deep":{"ssn":"REDACTED"}}]}""")]
    [InlineData("$.items[0].ssn", """{"inputs":"hello","user":{"email":"a@b.c","age":7},"items":[{"ssn":"REDACTED"},{"ssn":2,"deep":{"ssn":[3]}}]}""")]
    [InlineData("$.items[-1].*", """{"inputs":"hello","user":{"email":"a@b.c","age":7},"items":[{"ssn":1},{"ssn":"REDACTED","deep":"REDACTED"}]}""")]
    [InlineData("$.items[*].ssn", """{"inputs":"hello","user":{"email":"a@b.c","age":7},"items":[{"ssn":"REDACTED"},{"ssn":"REDACTED","deep":{"ssn":[3]}}]}""")]
    [InlineData("$..*", """{"inputs":"REDACTED","user":"REDACTED","items":"REDACTED"}""")]
    [InlineData("$.nothing[4].here", """{"inputs":"hello","user":{"email":"a@b.c","age":7},"items":[{"ssn":1},{"ssn":2,"deep":{"ssn":[3]}}]}""")]
    public async Task What_a_path_leads_to_is_blanked_out(string path, string expected)
    {
        var store = await CaptureAsync(options => options.Redact = [path]);
        Assert.Equal(expected, Lines(store).Single()["captureData"]!["endpointInput"]!["data"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("user")]
    [InlineData("$")]
    [InlineData("$.")]
    [InlineData("$..")]
    [InlineData("$[a]")]
    [InlineData("$.a[1")]
    [InlineData("$.a[?(@.b)]")]
    [InlineData("$.ssn,$.email")]
    [InlineData("$.'ssn'")]
    [InlineData("$.ssn$")]
    [InlineData("$['ssn','email']")]
    [InlineData("$['ssn\\x']")]
    [InlineData("$['ssn")]
    public void What_is_no_path_says_why(string path)
    {
        Assert.Null(JsonPath.Parse(path, out var problem));
        Assert.NotEmpty(problem);
    }

    [Theory]
    [InlineData("""$['a\'b']""", "a'b")]
    [InlineData("""$["a'b"]""", "a'b")]
    [InlineData("""$['a"b']""", "a\"b")]
    [InlineData("""$["a\u00e9\\"]""", "a\u00e9\\")]
    [InlineData("""$[ 'a]b' ]""", "a]b")]
    [InlineData("""$['a.b']""", "a.b")]
    [InlineData("""$['']""", "")]
    [InlineData("$.date-of-birth", "date-of-birth")]
    [InlineData("$.größe", "größe")]
    public void A_name_may_have_any_character_in_quotes(string path, string name)
    {
        var parsed = JsonPath.Parse(path, out var problem);
        Assert.True(parsed is not null, problem);
        var root = new JsonObject { [name] = 1, ["other"] = 2 };
        parsed.Replace(root, static () => "gone");
        Assert.Equal(("gone", 2), (root[name]!.GetValue<string>(), root["other"]!.GetValue<int>()));
    }

    [Fact]
    public async Task A_line_is_what_SageMaker_would_write()
    {
        var store = await CaptureAsync();
        var (key, _) = store.Objects.Single();
        Assert.Matches(@"^captures/chat-rt/blue/\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-[0-9a-f]{32}\.jsonl$", key);
        var line = Lines(store).Single();
        Assert.Equal(["captureData", "eventMetadata", "eventVersion"], line.Select(static member => member.Key));
        Assert.Equal("0", line["eventVersion"]!.GetValue<string>());
        var metadata = line["eventMetadata"]!.AsObject();
        Assert.True(Guid.TryParse(metadata["eventId"]!.GetValue<string>(), out _));
        Assert.Equal(("attributes", "inference-1"), (metadata["customAttributes"]![0]!.GetValue<string>(), metadata["inferenceId"]!.GetValue<string>()));
        Assert.Matches(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", metadata["inferenceTime"]!.GetValue<string>());
        foreach (var (name, mode, body) in (ReadOnlySpan<(string, string, byte[])>)[("endpointInput", "INPUT", Input), ("endpointOutput", "OUTPUT", Output)])
        {
            var side = line["captureData"]![name]!;
            Assert.Equal(
                ("application/json", mode, Encoding.UTF8.GetString(body), "JSON"),
                (side["observedContentType"]!.GetValue<string>(), side["mode"]!.GetValue<string>(), side["data"]!.GetValue<string>(), side["encoding"]!.GetValue<string>()));
        }
    }

    [Theory]
    [InlineData("text/csv; charset=utf-8", "CSV", "1,2")]
    [InlineData("application/x-npy", "BASE64", "MSwy")]
    [InlineData("application/json", "JSON", "1,2")]
    public async Task Bodies_are_written_by_their_type(string type, string encoding, string data)
    {
        var store = await CaptureAsync(call: new() { EndpointName = "chat-rt", Body = "1,2"u8.ToArray(), ContentType = type });
        var input = Lines(store).Single()["captureData"]!["endpointInput"]!;
        Assert.Equal((encoding, data), (input["encoding"]!.GetValue<string>(), input["data"]!.GetValue<string>()));
    }

    [Theory]
    [InlineData("text/plain", "my number is 1")]
    [InlineData("application/json", "my number is 1")]
    [InlineData("application/json", """{"ssn":1,"ssn":2}""")]
    public async Task What_cannot_be_blanked_out_is_not_kept(string type, string body)
    {
        var store = await CaptureAsync(static options => options.Redact = ["$.ssn"], new() { EndpointName = "chat-rt", Body = Encoding.UTF8.GetBytes(body), ContentType = type });
        Assert.Empty(store.Objects);
    }

    [Theory]
    [InlineData("""{"inputs":"\ud800"}""")]
    [InlineData("""{"inputs":"\ud800","ssn":1}""")]
    [InlineData("""{"\udc00":1}""")]
    [InlineData("""{"users":[{"\udc00":1}]}""")]
    public async Task Text_that_is_half_a_character_is_left_out_and_ends_neither_the_capture_nor_the_server(string body)
    {
        var store = await CaptureAsync(static options => options.Redact = ["$..ssn"], before: new() { EndpointName = "chat-rt", Body = Encoding.UTF8.GetBytes(body) });
        Assert.Single(Lines(store));
    }

    [Fact]
    public async Task About_the_share_that_is_wanted_is_captured_and_calls_share_objects()
    {
        var store = await CaptureAsync(static options => options.Percent = 25, calls: 800);
        Assert.InRange(Lines(store).Count, 120, 290);
        Assert.InRange(store.Objects.Count, 1, 3);
    }

    [Fact]
    public async Task Objects_are_bounded_and_large_bodies_are_left_out()
    {
        var store = await CaptureAsync(static options => (options.ObjectBytes, options.MaxBodyBytes) = (2_000, 300), calls: 20);
        Assert.Equal(20, Lines(store).Count);
        Assert.All(store.Objects, static found => Assert.InRange(found.Value.Length, 1, 3_000));
        Assert.True(store.Objects.Count >= 5);
        Assert.Empty((await CaptureAsync(static options => options.MaxBodyBytes = 10)).Objects);
    }

    [Fact]
    public async Task A_stream_is_captured_whole_once_it_has_ended()
    {
        var store = await CaptureAsync(streamed: true);
        Assert.Equal(Encoding.UTF8.GetString(Output), Lines(store).Single()["captureData"]!["endpointOutput"]!["data"]!.GetValue<string>());
    }

    [Fact]
    public async Task A_bucket_that_cannot_be_written_fails_no_call_and_is_tried_again()
    {
        var store = await CaptureAsync(failures: 2);
        Assert.Single(Lines(store));
        Assert.Empty((await CaptureAsync(failures: 100)).Objects);
    }

    private static async Task<Store> CaptureAsync(Action<DataCaptureOptions>? configure = null, ModelCall? call = null, int calls = 1, bool streamed = false, int failures = 0, ModelCall? before = null)
    {
        var options = new DataCaptureOptions { Bucket = "captures-bucket", Prefix = "/captures/" };
        configure?.Invoke(options);
        call ??= new() { EndpointName = "chat-rt", Body = Input, CustomAttributes = "attributes", InferenceId = "inference-1" };
        var store = new Store { Failures = failures };
        var builder = Host.CreateEmptyApplicationBuilder(new());
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton<IObjectStore>(store);
        builder.Services.AddSingleton<IModelRuntime>(new Model());
        builder.Services.AddDataCapture(options);
        using var host = builder.Build();
        await host.StartAsync(TestContext.Current.CancellationToken);
        var runtime = host.Services.GetRequiredService<IModelRuntime>();
        if (before is not null)
        {
            await runtime.InvokeAsync(before, TestContext.Current.CancellationToken);
        }

        for (var i = 0; i < calls; i++)
        {
            if (streamed)
            {
                await using var stream = await runtime.InvokeStreamAsync(call, TestContext.Current.CancellationToken);
                await foreach (var part in stream.ReadPartsAsync(TestContext.Current.CancellationToken))
                {
                    Assert.Empty(store.Objects);
                }
            }
            else
            {
                Assert.Equal(Output, (await runtime.InvokeAsync(call, TestContext.Current.CancellationToken)).Body.ToArray());
            }
        }

        await host.StopAsync(TestContext.Current.CancellationToken);
        Assert.All(store.Buckets, static bucket => Assert.Equal("captures-bucket", bucket));
        return store;
    }

    private static List<JsonObject> Lines(Store store) =>
        [.. store.Objects.Values.SelectMany(static body => Encoding.UTF8.GetString(body).Split('\n', StringSplitOptions.RemoveEmptyEntries)).Select(static line => JsonNode.Parse(line)!.AsObject())];

    private sealed class Model : IModelRuntime
    {
        public Task<ModelAnswer> InvokeAsync(ModelCall call, CancellationToken cancellationToken) =>
            Task.FromResult(new ModelAnswer { Body = Output, ContentType = "application/json", InvokedProductionVariant = "blue" });

        public Task<IModelStream> InvokeStreamAsync(ModelCall call, CancellationToken cancellationToken) => Task.FromResult<IModelStream>(new Parts());

        public Task<AsyncModelReceipt> InvokeAsynchronouslyAsync(AsyncModelCall call, CancellationToken cancellationToken) => throw new NotSupportedException();
    }

    private sealed class Parts : IModelStream
    {
        public string? ContentType => "application/json";

        public string? CustomAttributes => null;

        public string? InvokedProductionVariant => "blue";

        public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadPartsAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
        {
            for (var at = 0; at < Output.Length; at += 10)
            {
                await Task.Yield();
                yield return Output.AsMemory(at, Math.Min(10, Output.Length - at));
            }
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private sealed class Store : IObjectStore
    {
        public ConcurrentDictionary<string, byte[]> Objects { get; } = new();

        public ConcurrentBag<string> Buckets { get; } = [];

        public int Failures { get; set; }

        public Task PutAsync(string bucket, string key, ReadOnlyMemory<byte> body, string contentType, CancellationToken cancellationToken)
        {
            Buckets.Add(bucket);
            if (Failures-- > 0)
            {
                throw new IOException("the bucket cannot be written");
            }

            Objects[key] = body.ToArray();
            return Task.CompletedTask;
        }

        public Task<StoredObject?> GetAsync(string bucket, string key, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<bool> ExistsAsync(string bucket, string key, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task DeleteAsync(string bucket, string key, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<IReadOnlyList<string>> ListAsync(string bucket, string prefix, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task EnsureBucketAsync(string bucket, CancellationToken cancellationToken) => throw new NotSupportedException();
    }
}
