using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using OrleansInference.Aws;
using OrleansInference.Aws.Batch;
using OrleansInference.Aws.Capacity;
using OrleansInference.Aws.ControlPlane;
using OrleansInference.Aws.Credentials;
using OrleansInference.Aws.Invocation;
using OrleansInference.Aws.ServiceEndpoints;
using OrleansInference.Aws.Signing;
using OrleansInference.Aws.Transport;
using OrleansInference.Invocation;

namespace OrleansInference.Tests.Signing;

/// <summary>
/// The signer, the verifier and every operation of the clients against what the JavaScript SDK signs for the same input. The SDK's requests differ from the router's in headers that
/// only it sends (<c>amz-sdk-*</c>, <c>x-amz-user-agent</c>), in signing <c>content-length</c>, and in a default type of the body: its own requests are therefore signed here as they
/// are, and those of the router's clients compared with the SDK's without those headers, signed by the SDK's signer.
/// </summary>
public sealed class SigV4ReferenceTests
{
    private static readonly ReferenceVectors Reference = ReferenceVectors.Captured;

    public static TheoryData<string> All => [.. Reference.Vectors.Select(static vector => vector.Name)];

    public static TheoryData<string> OfTheClients => [.. Reference.Vectors.Where(static vector => vector.SignerOnly is null).Select(static vector => vector.Name)];

    [Theory]
    [MemberData(nameof(All))]
    public void The_signer_makes_the_reference_s_canonical_request_and_signature_and_the_verifier_takes_them(string name)
    {
        var vector = Reference[name];
        foreach (var signature in new[] { vector.Sdk, vector.Bare })
        {
            var headers = signature.Headers.Where(static header => header.Key != "user-agent").ToList();
            var request = new SignedRequest(vector.Method, vector.Path, "", headers);

            Assert.Equal(signature.CanonicalRequest, Canonical(request, vector.Body));
            var signer = new SigV4Signer(vector.Region, "sagemaker");
            Assert.Equal(signature.Authorization, signer.Authorize(request, PayloadHash.Of(vector.Body), Credentials(vector), Reference.Time));
            var sent = request with { Headers = [.. signature.Headers, new("authorization", signature.Authorization)] };
            Assert.Equal(default, SignedSample.Verify(sent, vector.Body, Reference.Time, secret: Reference.SecretAccessKey));
        }
    }

    [Theory]
    [MemberData(nameof(OfTheClients))]
    public async Task A_client_sends_the_reference_s_request_to_its_address_and_signs_it_to_the_byte(string name)
    {
        var vector = Reference[name];
        using var wire = new KeepingHandler();
        await SendAsync(vector, wire);

        var sent = wire.Request!;
        Assert.Equal(vector.Method, sent.Method.Method);
        Assert.Equal(vector.Address + vector.Path, sent.RequestUri!.AbsoluteUri);
        Assert.Equal(vector.Body, wire.Body);
        var headers = sent.Headers.NonValidated.Concat(sent.Content!.Headers.NonValidated)
            .Select(static header => KeyValuePair.Create(header.Key.ToLowerInvariant(), header.Value.ToString()))
            .Where(static header => header.Key is not ("authorization" or "content-length"))
            .OrderBy(static header => header.Key, StringComparer.Ordinal)
            .ToList();
        Assert.Equal(vector.Bare.Headers.OrderBy(static header => header.Key, StringComparer.Ordinal), headers);
        Assert.Equal(vector.Bare.CanonicalRequest, Canonical(new(sent.Method.Method, sent.RequestUri.AbsolutePath, sent.RequestUri.Query, headers), wire.Body!));
        Assert.Equal(vector.Bare.Authorization, sent.Headers.NonValidated["Authorization"].ToString());
    }

    [Fact]
    public void Every_operation_of_the_clients_is_among_the_vectors()
    {
        Assert.Equal(
            ["CreateTransformJob", "DescribeEndpoint", "DescribeTransformJob", "InvokeEndpoint", "InvokeEndpointAsync", "InvokeEndpointWithResponseStream", "StopTransformJob", "UpdateEndpointWeightsAndCapacities"],
            Reference.Vectors.Where(static vector => vector.SignerOnly is null).Select(static vector => vector.Operation).Distinct().Order(StringComparer.Ordinal));
    }

    private static string Canonical(SignedRequest request, byte[] body)
    {
        var target = new Utf8Builder(stackalloc byte[256]);
        var names = string.Join(';', request.Headers.Select(static header => header.Key).Order(StringComparer.Ordinal));
        Assert.True(CanonicalRequest.TryAppend(ref target, request, names, PayloadHash.Of(body), "sagemaker", out var missing), missing);
        var text = Encoding.UTF8.GetString(target.Written);
        target.Dispose();
        return text;
    }

    private static SigV4Credentials Credentials(ReferenceVector vector) => new(Reference.AccessKeyId, Reference.SecretAccessKey, vector.SessionToken);

    private static async Task SendAsync(ReferenceVector vector, KeepingHandler wire)
    {
        var options = new AwsOptions
        {
            Region = vector.Region,
            UseFips = vector.Fips,
            Endpoint = vector.Endpoint,
            AccessKeyId = Reference.AccessKeyId,
            SecretAccessKey = Reference.SecretAccessKey,
            SessionToken = vector.SessionToken,
        };
        Assert.Empty(AwsOptionsValidation.Problems(options));
        using var connections = new ConnectionPool(wire);
        var transport = new SignedTransport(connections, new(vector.Region, "sagemaker"), CredentialSource.Of(options), new FakeTimeProvider(Reference.Time));
        var addresses = ServiceAddresses.Of(options);
        var runtime = new SageMakerRuntime(transport, addresses.Runtime, options.InvocationTimeout, NullLogger<SageMakerRuntime>.Instance);
        var control = new SageMakerControlPlane(transport, addresses.ControlPlane, new(1, TimeSpan.FromMilliseconds(1)), options.ControlPlaneTimeout);
        var input = vector.Input;
        var call = vector.Operation switch
        {
            "InvokeEndpoint" => runtime.InvokeAsync(Call(input), default),
            "InvokeEndpointWithResponseStream" => runtime.InvokeStreamAsync(Call(input), default),
            "InvokeEndpointAsync" => runtime.InvokeAsynchronouslyAsync(AsyncCall(input), default),
            "DescribeEndpoint" => new SageMakerEndpointControl(control).DescribeAsync(Text(input, "EndpointName")!, default),
            "UpdateEndpointWeightsAndCapacities" => UpdateAsync(new(control), input),
            "CreateTransformJob" => new SageMakerTransformJobs(control).StartAsync(Job(input), default),
            "DescribeTransformJob" => new SageMakerTransformJobs(control).DescribeAsync(Text(input, "TransformJobName")!, default),
            "StopTransformJob" => new SageMakerTransformJobs(control).StopAsync(Text(input, "TransformJobName")!, default),
            _ => throw new InvalidOperationException($"No client has the operation '{vector.Operation}'."),
        };

        // What is answered is an error that no client repeats: only what was sent matters.
        Assert.NotNull(await Record.ExceptionAsync(() => call));
    }

    private static ModelCall Call(JsonElement input) => new()
    {
        EndpointName = Text(input, "EndpointName")!,
        Body = input.GetProperty("Body").GetBytesFromBase64(),
        ContentType = Text(input, "ContentType") ?? "",
        Accept = Text(input, "Accept"),
        CustomAttributes = Text(input, "CustomAttributes"),
        InferenceId = Text(input, "InferenceId"),
        TargetModel = Text(input, "TargetModel"),
        SessionId = Text(input, "SessionId"),
    };

    private static AsyncModelCall AsyncCall(JsonElement input) => new()
    {
        EndpointName = Text(input, "EndpointName")!,
        InputLocation = Text(input, "InputLocation")!,
        ContentType = Text(input, "ContentType"),
        Accept = Text(input, "Accept"),
        CustomAttributes = Text(input, "CustomAttributes"),
        InferenceId = Text(input, "InferenceId"),
        RequestTtlSeconds = Number(input, "RequestTTLSeconds"),
        InvocationTimeoutSeconds = Number(input, "InvocationTimeoutSeconds"),
        S3OutputPathExtension = Text(input, "S3OutputPathExtension"),
        Filename = Text(input, "Filename"),
    };

    private static Task<bool> UpdateAsync(SageMakerEndpointControl control, JsonElement input)
    {
        var (endpoint, desired) = (Text(input, "EndpointName")!, input.GetProperty("DesiredWeightsAndCapacities")[0]);
        return desired.TryGetProperty("ServerlessUpdateConfig", out var serverless)
            ? control.SetProvisionedConcurrencyAsync(endpoint, Text(desired, "VariantName")!, Number(serverless, "ProvisionedConcurrency")!.Value, default)
            : control.SetDesiredInstancesAsync(endpoint, Text(desired, "VariantName")!, Number(desired, "DesiredInstanceCount")!.Value, default);
    }

    private static OrleansInference.Batch.TransformJobRequest Job(JsonElement input) => new()
    {
        JobName = Text(input, "TransformJobName")!,
        ModelName = Text(input, "ModelName")!,
        InputPrefix = Text(input.GetProperty("TransformInput").GetProperty("DataSource").GetProperty("S3DataSource"), "S3Uri")!,
        OutputPrefix = Text(input.GetProperty("TransformOutput"), "S3OutputPath")!,
        ContentType = Text(input.GetProperty("TransformInput"), "ContentType")!,
        InstanceType = Text(input.GetProperty("TransformResources"), "InstanceType")!,
        InstanceCount = Number(input.GetProperty("TransformResources"), "InstanceCount")!.Value,
        MaxConcurrentTransforms = Number(input, "MaxConcurrentTransforms")!.Value,
        InvocationTimeoutSeconds = Number(input.GetProperty("ModelClientConfig"), "InvocationsTimeoutInSeconds")!.Value,
        Tags = input.GetProperty("Tags").EnumerateArray().ToDictionary(static tag => Text(tag, "Key")!, static tag => Text(tag, "Value")!),
    };

    private static string? Text(JsonElement input, string name) => input.TryGetProperty(name, out var value) ? value.GetString() : null;

    private static int? Number(JsonElement input, string name) => input.TryGetProperty(name, out var value) ? value.GetInt32() : null;

    /// <summary>Keeps the request that would be sent.</summary>
    private sealed class KeepingHandler : HttpMessageHandler
    {
        public HttpRequestMessage? Request { get; private set; }

        public byte[]? Body { get; private set; }

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Request = request;
            Body = await request.Content!.ReadAsByteArrayAsync(cancellationToken);
            return new(System.Net.HttpStatusCode.BadRequest) { Content = new StringContent("""{"__type":"AccessDeniedException","message":"kept"}""") };
        }
    }
}
