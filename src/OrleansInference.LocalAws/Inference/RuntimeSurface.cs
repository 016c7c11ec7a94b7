using OrleansInference.LocalAws.Models;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Inference;

/// <summary>SageMaker Runtime: REST with JSON errors.</summary>
internal sealed class RuntimeSurface(SimulatedModels models, InvocationRunner runner, StreamedInvocation streamed, AsyncBacklog backlog, LocalAwsOptions options) : IAwsSurface
{
    /// <summary>The most bytes of a request or an answer in line.</summary>
    public const int MaxBody = 6_291_456;

    /// <summary>The longest an invocation may take.</summary>
    public static readonly TimeSpan InvocationTimeout = TimeSpan.FromSeconds(60);

    private const string Prefix = "/endpoints/";

    public bool Takes(AwsRequest request) => request.Method == "POST" && request.Path.StartsWith(Prefix, StringComparison.Ordinal) && request.Path.Count(c => c == '/') == 3;

    public async Task HandleAsync(AwsRequest request, CancellationToken cancellationToken)
    {
        var parts = request.Path[Prefix.Length..].Split('/');
        var name = Uri.UnescapeDataString(parts[0]);
        var body = await request.ReadBodyAsync(MaxBody, TooLarge, AuthenticationDialect.Json, cancellationToken);
        switch (parts[1])
        {
            case "invocations":
                await InvokeAsync(request, Endpoint(name, request), body, cancellationToken);
                break;
            case "invocations-response-stream":
                await StreamAsync(request, Endpoint(name, request), body, cancellationToken);
                break;
            case "async-invocations":
                await InvokeLaterAsync(request, AsyncEndpoint(name));
                break;
            default:
                throw new AwsFault(404, "UnknownOperationException", $"SageMaker Runtime has no operation at '{request.Path}'.");
        }
    }

    public async Task WriteFaultAsync(HttpResponse response, AwsFault fault)
    {
        var answer = new Dictionary<string, object>(fault.Members ?? new Dictionary<string, object>()) { ["Message"] = fault.Message };
        response.Headers["x-amzn-ErrorType"] = fault.Code;
        await JsonWire.AnswerAsync(response, "application/json", answer, fault.Status);
    }

    /// <summary>A container's error as SageMaker passes it on.</summary>
    public static AwsFault ModelError(SimulatedEndpoint endpoint, ContainerFault fault, string region)
    {
        var kind = fault.Status is >= 400 and < 500 ? "client" : "server";
        var logs = $"arn:aws:logs:{region}:{LocalAwsOptions.AccountId}:log-group:/aws/sagemaker/Endpoints/{endpoint.Name}";
        return new(424, "ModelError", $"Received {kind} error ({fault.Status}) from primary with message \"{fault.Message}\".")
        {
            Members = new Dictionary<string, object>
            {
                ["OriginalStatusCode"] = fault.Status,
                ["OriginalMessage"] = fault.Message,
                ["LogStreamArn"] = logs,
            },
        };
    }

    private static AwsFault TooLarge() => new(413, "ValidationError", $"The request body is larger than the {MaxBody} bytes that an endpoint takes. Send it through S3 with InvokeEndpointAsync.");

    private static AwsFault Invalid(string message) => new(400, "ValidationError", message);

    private async Task InvokeAsync(AwsRequest request, SimulatedEndpoint endpoint, byte[] body, CancellationToken cancellationToken)
    {
        var label = InvocationHeaders.Label(request, "InvokeEndpoint");
        ModelRun run;
        try
        {
            run = await runner.RunAsync(endpoint, label, _ => Task.FromResult<ReadOnlyMemory<byte>>(body), InvocationTimeout, InvocationTimeout, cancellationToken);
        }
        catch (ContainerFault fault)
        {
            throw ModelError(endpoint, fault, options.Region);
        }

        var answer = run.Answer();
        if (answer.Length > MaxBody)
        {
            throw ModelError(endpoint, new(500, $"The response is larger than the {MaxBody} bytes that an endpoint gives."), options.Region);
        }

        var response = request.Http.Response;
        InvocationHeaders.Write(request, endpoint, run);
        response.ContentType = "application/json";
        response.ContentLength = answer.Length;
        await response.Body.WriteAsync(answer, cancellationToken);
    }

    private async Task StreamAsync(AwsRequest request, SimulatedEndpoint endpoint, byte[] body, CancellationToken cancellationToken)
    {
        try
        {
            await streamed.RunAsync(request, endpoint, body, cancellationToken);
        }
        catch (ContainerFault fault)
        {
            throw ModelError(endpoint, fault, options.Region);
        }
    }

    private async Task InvokeLaterAsync(AwsRequest request, SimulatedEndpoint endpoint)
    {
        var call = InvocationHeaders.AsyncCall(request, endpoint, options);
        backlog.Add(call);
        var response = request.Http.Response;
        response.Headers["X-Amzn-SageMaker-OutputLocation"] = call.OutputLocation.ToString();
        response.Headers["X-Amzn-SageMaker-FailureLocation"] = call.FailureLocation.ToString();
        await JsonWire.AnswerAsync(response, "application/json", new { call.InferenceId }, 202);
    }

    private SimulatedEndpoint Endpoint(string name, AwsRequest request)
    {
        var endpoint = Find(name);
        if (endpoint.Lane == Lane.Async)
        {
            throw Invalid($"Endpoint {name} is asynchronous: call it with InvokeEndpointAsync.");
        }

        if (request.Header("X-Amzn-SageMaker-Target-Variant") is { } variant && variant != endpoint.Variant)
        {
            throw Invalid($"Variant {variant} was not found for endpoint {name}; it has {endpoint.Variant}.");
        }

        return (request.Header("X-Amzn-SageMaker-Target-Model"), endpoint.Hosted) switch
        {
            (null, null) => endpoint,
            (_, null) => throw Invalid($"Endpoint {name} is not a multi-model endpoint: leave TargetModel out."),
            (null, _) => throw Invalid($"Endpoint {name} is a multi-model endpoint: TargetModel is required."),
            ({ } target, { } hosted) => hosted.ContainsKey(target) ? endpoint : throw endpoint.NoSuchModel(target),
        };
    }

    private SimulatedEndpoint AsyncEndpoint(string name) => Find(name) is { Lane: Lane.Async } endpoint
        ? endpoint
        : throw Invalid($"Endpoint {name} is not asynchronous: call it with InvokeEndpoint.");

    private SimulatedEndpoint Find(string name) => NameRule.IsValid(name)
        ? models.FindEndpoint(name) ?? throw Invalid($"Endpoint {name} of account {LocalAwsOptions.AccountId} not found.")
        : throw Invalid($"'{name}' is no endpoint name: it must be {NameRule.Description}.");
}
