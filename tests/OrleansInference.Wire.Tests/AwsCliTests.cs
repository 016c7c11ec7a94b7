using System.Text;
using System.Text.Json;

namespace OrleansInference.Tests;

/// <summary>The AWS CLI against the front door and the embedded AWS: a caller changes the endpoint's address and nothing else.</summary>
[Collection(WireServerGroup.Name)]
public sealed class AwsCliTests(WireServer server)
{
    [Fact]
    public async Task Invoke_endpoint_answers()
    {
        var folder = server.NewFolder();
        var result = await InvokeAsync(folder, server.Key.SecretAccessKey);
        var head = JsonDocument.Parse(result.Success()).RootElement;
        Assert.Equal("application/json", head.GetProperty("ContentType").GetString());
        Assert.Contains("lane=Realtime", head.GetProperty("CustomAttributes").GetString(), StringComparison.Ordinal);
        Assert.Contains("endpoint=chat-rt", head.GetProperty("CustomAttributes").GetString(), StringComparison.Ordinal);
        var body = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(folder, "out.json"))).RootElement;
        Assert.Equal(7, body.GetProperty("usage").GetProperty("output_tokens").GetInt32());
    }

    [Fact]
    public async Task A_wrong_secret_is_an_invalid_signature()
    {
        var folder = server.NewFolder();
        var result = await InvokeAsync(folder, server.Key.SecretAccessKey[..^1] + (server.Key.SecretAccessKey[^1] == 'A' ? 'B' : 'A'));
        Assert.NotEqual(0, result.ExitCode);
        Assert.Contains("InvalidSignatureException", result.Errors, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(folder, "out.json")));
    }

    [Fact]
    public async Task An_unknown_model_is_a_validation_error()
    {
        var folder = server.NewFolder();
        var result = await InvokeAsync(folder, server.Key.SecretAccessKey, model: "no-such-model");
        Assert.NotEqual(0, result.ExitCode);
        Assert.Contains("ValidationError", result.Errors, StringComparison.Ordinal);
        Assert.Contains("no-such-model", result.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_class_that_does_not_parse_is_named()
    {
        var folder = server.NewFolder();
        var result = await InvokeAsync(folder, server.Key.SecretAccessKey, attributes: "class=Urgent");
        Assert.NotEqual(0, result.ExitCode);
        Assert.Contains("Urgent", result.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Invoke_endpoint_async_leaves_its_output_in_the_object_store()
    {
        var folder = server.NewFolder();
        var stored = $"{WireServer.TenantFolder}/{Guid.NewGuid():N}.json";
        var input = Path.Combine(folder, "input.json");
        await File.WriteAllTextAsync(input, """{"inputs":"summarise","input_tokens":30,"output_tokens":9}""");
        (await LocalAwsAsync("s3", "cp", input, stored)).Success();

        var receipt = JsonDocument.Parse((await FrontDoorAsync(
            server.Key.SecretAccessKey,
            "sagemaker-runtime", "invoke-endpoint-async", "--endpoint-name", WireServer.Model, "--content-type", "application/json",
            "--input-location", stored)).Success()).RootElement;
        var output = receipt.GetProperty("OutputLocation").GetString()!;
        Assert.NotEmpty(receipt.GetProperty("InferenceId").GetString()!);

        var local = Path.Combine(folder, "out.json");
        await server.UntilAsync(async () => (await LocalAwsAsync("s3", "cp", output, local)).ExitCode == 0, $"done with {output}");
        var body = JsonDocument.Parse(await File.ReadAllTextAsync(local)).RootElement;
        Assert.Equal(9, body.GetProperty("usage").GetProperty("output_tokens").GetInt32());
    }

    [Fact]
    public async Task The_embedded_object_store_keeps_lists_and_deletes()
    {
        var folder = server.NewFolder();
        var bucket = $"s3://{WireServer.Bucket}-{Guid.NewGuid():N}"[..40];
        var file = Path.Combine(folder, "file.txt");
        await File.WriteAllTextAsync(file, "kept");
        (await LocalAwsAsync("s3", "mb", bucket)).Success();
        (await LocalAwsAsync("s3", "cp", file, $"{bucket}/a/file with space.txt")).Success();
        Assert.Contains("file with space.txt", (await LocalAwsAsync("s3", "ls", $"{bucket}/a/")).Success(), StringComparison.Ordinal);
        (await LocalAwsAsync("s3", "cp", $"{bucket}/a/file with space.txt", Path.Combine(folder, "back.txt"))).Success();
        Assert.Equal("kept", await File.ReadAllTextAsync(Path.Combine(folder, "back.txt")));
        (await LocalAwsAsync("s3", "rm", $"{bucket}/a/file with space.txt")).Success();
        Assert.DoesNotContain("file with space.txt", (await LocalAwsAsync("s3", "ls", $"{bucket}/", "--recursive")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_embedded_queue_sends_receives_and_deletes()
    {
        var url = JsonDocument.Parse((await LocalAwsAsync("sqs", "create-queue", "--queue-name", $"wire-{Guid.NewGuid():N}")).Success()).RootElement.GetProperty("QueueUrl").GetString()!;
        (await LocalAwsAsync("sqs", "send-message", "--queue-url", url, "--message-body", "hello")).Success();
        var message = JsonDocument.Parse((await LocalAwsAsync("sqs", "receive-message", "--queue-url", url, "--wait-time-seconds", "5")).Success()).RootElement.GetProperty("Messages")[0];
        Assert.Equal("hello", message.GetProperty("Body").GetString());
        (await LocalAwsAsync("sqs", "delete-message", "--queue-url", url, "--receipt-handle", message.GetProperty("ReceiptHandle").GetString()!)).Success();
    }

    [Fact]
    public async Task A_message_of_a_queue_is_answered_in_the_reply_queue_and_a_bad_one_is_refused_with_its_reason()
    {
        var answers = await CreateQueueAsync(WireServer.ReplyQueue);
        var refused = await CreateQueueAsync(WireServer.DeadLetterQueue);
        var requests = await CreateQueueAsync(WireServer.RequestQueue);
        (await LocalAwsAsync("sqs", "send-message", "--queue-url", requests, "--message-body", """{"model":"chat","class":"Medium","correlationId":"wire-1","body":{"inputs":"hello","input_tokens":12,"output_tokens":7}}""")).Success();
        var reply = JsonDocument.Parse((await ReceiveAsync(answers)).GetProperty("Body").GetString()!).RootElement;
        Assert.Equal("wire-1", reply.GetProperty("correlationId").GetString());
        Assert.Equal("Succeeded", reply.GetProperty("state").GetString());
        Assert.Equal(7, reply.GetProperty("body").GetProperty("usage").GetProperty("output_tokens").GetInt32());

        (await LocalAwsAsync("sqs", "send-message", "--queue-url", requests, "--message-body", """{"model":"chat","klass":"High","text":"hello"}""")).Success();
        var letter = await ReceiveAsync(refused);
        Assert.Equal("""{"model":"chat","klass":"High","text":"hello"}""", letter.GetProperty("Body").GetString());
        Assert.Contains("'class' may be meant", letter.GetProperty("MessageAttributes").GetProperty("Reason").GetProperty("StringValue").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_embedded_control_plane_describes_an_endpoint()
    {
        var described = JsonDocument.Parse((await LocalAwsAsync("sagemaker", "describe-endpoint", "--endpoint-name", "chat-rt")).Success()).RootElement;
        Assert.Equal("InService", described.GetProperty("EndpointStatus").GetString());
        Assert.True(described.GetProperty("ProductionVariants")[0].GetProperty("CurrentInstanceCount").GetInt32() >= 1);
    }

    private async Task<string> CreateQueueAsync(string name) =>
        JsonDocument.Parse((await LocalAwsAsync("sqs", "create-queue", "--queue-name", name)).Success()).RootElement.GetProperty("QueueUrl").GetString()!;

    private async Task<JsonElement> ReceiveAsync(string url)
    {
        JsonElement? message = null;
        await server.UntilAsync(
            async () =>
            {
                var output = (await LocalAwsAsync("sqs", "receive-message", "--queue-url", url, "--wait-time-seconds", "10", "--message-attribute-names", "All")).Success();
                message = output.Trim().Length == 0 ? null : JsonDocument.Parse(output).RootElement.GetProperty("Messages")[0];
                return message is not null;
            },
            $"sending to {url}");
        return message!.Value;
    }

    private async Task<CommandResult> InvokeAsync(string folder, string secret, string model = WireServer.Model, string attributes = "class=High")
    {
        var body = Path.Combine(folder, "body.json");
        await File.WriteAllTextAsync(body, """{"inputs":"hello","input_tokens":12,"output_tokens":7}""", new UTF8Encoding(false));
        return await FrontDoorAsync(
            secret,
            "sagemaker-runtime", "invoke-endpoint", "--endpoint-name", model, "--content-type", "application/json", "--custom-attributes", attributes,
            "--body", $"fileb://{body}", Path.Combine(folder, "out.json"));
    }

    private Task<CommandResult> FrontDoorAsync(string secret, params string[] arguments) =>
        ExternalCommand.RunAsync("aws", ["--endpoint-url", server.FrontDoor.OriginalString, "--output", "json", .. arguments], AwsCredentials.Environment(server.Key.AccessKeyId, secret));

    private Task<CommandResult> LocalAwsAsync(params string[] arguments) =>
        ExternalCommand.RunAsync("aws", ["--endpoint-url", server.LocalAws.OriginalString, "--output", "json", .. arguments], AwsCredentials.Environment("AKIALOCALAWSEXAMPLE0", "any-secret-is-fine-here-0123456789abcdef"));
}
