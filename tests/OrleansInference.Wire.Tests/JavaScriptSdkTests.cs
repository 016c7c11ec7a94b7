using System.Text.Json;

namespace OrleansInference.Tests;

/// <summary>The JavaScript SDK against the front door.</summary>
[Collection(WireServerGroup.Name)]
public sealed class JavaScriptSdkTests(WireServer server, JavaScriptSdk sdk) : IClassFixture<JavaScriptSdk>
{
    private const string Input = """{"inputs":"hello","input_tokens":12,"output_tokens":40}""";

    [Fact]
    public async Task Invoke_answers_with_body_and_route()
    {
        var answer = await RunAsync("invoke", Input, "class=High");
        Assert.Equal("application/json", answer.GetProperty("contentType").GetString());
        Assert.Contains("lane=Realtime", answer.GetProperty("attributes").GetString(), StringComparison.Ordinal);
        Assert.NotEmpty(answer.GetProperty("variant").GetString()!);
        using var body = JsonDocument.Parse(answer.GetProperty("body").GetString()!);
        Assert.Equal(40, body.RootElement.GetProperty("usage").GetProperty("output_tokens").GetInt32());
    }

    [Fact]
    public async Task A_stream_arrives_in_parts()
    {
        var answer = await RunAsync("stream", Input, "class=High");
        Assert.True(answer.GetProperty("parts").GetInt32() > 1, answer.ToString());
        Assert.NotEmpty(answer.GetProperty("body").GetString()!);
        Assert.Contains("endpoint=chat-rt", answer.GetProperty("attributes").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_asynchronous_call_is_accepted_and_its_job_ends()
    {
        var answer = await RunAsync("async", await PutInputAsync(), "class=Medium");
        Assert.Equal(202, answer.GetProperty("status").GetInt32());
        var job = answer.GetProperty("inferenceId").GetString()!;
        Assert.StartsWith("s3://", answer.GetProperty("outputLocation").GetString(), StringComparison.Ordinal);
        await server.UntilAsync(() => HasSucceededAsync(job), $"done with job {job}");
    }

    [Fact]
    public async Task A_wrong_secret_is_an_invalid_signature()
    {
        var answer = await sdk.RunAsync("invoke", server.FrontDoor, WireServer.Model, Input, "", server.Key.AccessKeyId, new string('x', 40));
        Assert.Equal("InvalidSignatureException", answer.GetProperty("error").GetString());
        Assert.Equal(403, answer.GetProperty("status").GetInt32());
    }

    [Fact]
    public async Task An_unknown_key_is_refused()
    {
        var answer = await sdk.RunAsync("invoke", server.FrontDoor, WireServer.Model, Input, "", "AKIANOSUCHKEY0000000", new string('x', 40));
        Assert.Equal(403, answer.GetProperty("status").GetInt32());
    }

    [Fact]
    public async Task A_charge_above_the_callers_maximum_is_refused_before_anything_runs()
    {
        var answer = await RunAsync("invoke", Input, "max-charge=0.000000001");
        Assert.Equal("ValidationError", answer.GetProperty("error").GetString());
        Assert.Contains("maximum", answer.GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_SDK_still_signs_as_the_vectors_of_the_signer_say()
    {
        var (now, captured) = await sdk.SignAsync();
        Assert.Equal(captured, now);
    }

    private Task<JsonElement> RunAsync(string operation, string input, string attributes) =>
        sdk.RunAsync(operation, server.FrontDoor, WireServer.Model, input, attributes, server.Key.AccessKeyId, server.Key.SecretAccessKey);

    private async Task<bool> HasSucceededAsync(string job)
    {
        using var response = await server.SendAsync(HttpMethod.Get, $"/v1/jobs/{job}", null, ("Prefer", "wait=5"));
        using var view = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        Assert.True(response.IsSuccessStatusCode, view.RootElement.ToString());
        var state = view.RootElement.GetProperty("state").GetString();
        Assert.DoesNotContain(state, new[] { "Failed", "Expired", "Cancelled" });
        return state == "Succeeded";
    }

    private async Task<string> PutInputAsync()
    {
        var folder = server.NewFolder();
        var file = Path.Combine(folder, "input.json");
        await File.WriteAllTextAsync(file, Input);
        var stored = $"{WireServer.TenantFolder}/{Guid.NewGuid():N}.json";
        var environment = AwsCredentials.Environment("AKIALOCALAWSEXAMPLE0", "any-secret-is-fine-here-0123456789abcdef");
        (await ExternalCommand.RunAsync("aws", ["--endpoint-url", server.LocalAws.OriginalString, "s3", "cp", file, stored], environment)).Success();
        return stored;
    }
}
