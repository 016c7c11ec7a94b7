using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using OrleansInference.Aws.ServiceEndpoints;
using OrleansInference.Aws.Transport;
using OrleansInference.Invocation;

namespace OrleansInference.Aws.Invocation;

/// <summary>SageMaker Runtime over its REST protocol. A call is sent at most once: whether to send again is for the router to decide.</summary>
internal sealed partial class SageMakerRuntime(SignedTransport transport, Uri address, TimeSpan timeout, ILogger<SageMakerRuntime> logger) : IModelRuntime
{
    /// <summary>More than SageMaker lets a model answer; anything longer is not SageMaker.</summary>
    private const int MaxAnswerBytes = 32 << 20;

    private const int MaxReceiptBytes = 256 << 10;
    private const int MaxAddresses = 10_000;
    private const string Prefix = "X-Amzn-SageMaker-";
    private const string CustomAttributes = Prefix + "Custom-Attributes";
    private const string InvokedVariant = "x-Amzn-Invoked-Production-Variant";

    private readonly ConcurrentDictionary<(string Endpoint, string Operation), Uri> _addresses = new();

    public async Task<ModelAnswer> InvokeAsync(ModelCall call, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(call);
        using var request = Invocation(call, "invocations", "Accept");
        using var limit = new CallLimit(timeout, cancellationToken);
        try
        {
            using var response = await SendAsync(request, call.Body, limit.Token).ConfigureAwait(false);
            return new()
            {
                Body = await BoundedBody.ReadAsync(response.Content, MaxAnswerBytes, limit.Token).ConfigureAwait(false),
                ContentType = Value(response, "Content-Type"),
                CustomAttributes = Value(response, CustomAttributes),
                InvokedProductionVariant = Value(response, InvokedVariant),
            };
        }
        catch (Exception failure)
        {
            throw Told(failure is ModelCallException ? failure : limit.Translate(failure), "InvokeEndpoint", call.EndpointName);
        }
    }

    public async Task<IModelStream> InvokeStreamAsync(ModelCall call, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(call);
        using var request = Invocation(call, "invocations-response-stream", Prefix + "Accept");
        using var limit = new CallLimit(timeout, cancellationToken);
        try
        {
            var response = await SendAsync(request, call.Body, limit.Token).ConfigureAwait(false);
            try
            {
                // Opening the body waits for nothing; it arrives as it is read.
                var body = await response.Content.ReadAsStreamAsync(limit.Token).ConfigureAwait(false);
                return new SageMakerStream(response, body, timeout)
                {
                    ContentType = Value(response, Prefix + "Content-Type"),
                    CustomAttributes = Value(response, CustomAttributes),
                    InvokedProductionVariant = Value(response, InvokedVariant),
                };
            }
            catch
            {
                response.Dispose();
                throw;
            }
        }
        catch (Exception failure)
        {
            throw Told(failure is ModelCallException ? failure : limit.Translate(failure), "InvokeEndpointWithResponseStream", call.EndpointName);
        }
    }

    public async Task<AsyncModelReceipt> InvokeAsynchronouslyAsync(AsyncModelCall call, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(call);
        using var request = Request(call.EndpointName, "async-invocations");
        request.Content = new ByteArrayContent([]);
        Add(request, Prefix + "InputLocation", call.InputLocation);
        Add(request, Prefix + "Content-Type", call.ContentType);
        Add(request, Prefix + "Accept", call.Accept);
        Add(request, CustomAttributes, call.CustomAttributes);
        Add(request, Prefix + "Inference-Id", call.InferenceId);
        Add(request, Prefix + "RequestTTLSeconds", call.RequestTtlSeconds?.ToString(CultureInfo.InvariantCulture));
        Add(request, Prefix + "InvocationTimeoutSeconds", call.InvocationTimeoutSeconds?.ToString(CultureInfo.InvariantCulture));
        Add(request, Prefix + "S3OutputPathExtension", call.S3OutputPathExtension);
        Add(request, Prefix + "Filename", call.Filename);
        using var limit = new CallLimit(timeout, cancellationToken);
        try
        {
            using var response = await SendAsync(request, default, limit.Token).ConfigureAwait(false);
            var body = await BoundedBody.ReadAsync(response.Content, MaxReceiptBytes, limit.Token).ConfigureAwait(false);
            return new()
            {
                InferenceId = InferenceId(body) ?? throw NoReceipt("InferenceId"),
                OutputLocation = Value(response, Prefix + "OutputLocation") ?? throw NoReceipt("OutputLocation"),
                FailureLocation = Value(response, Prefix + "FailureLocation"),
            };
        }
        catch (Exception failure)
        {
            throw Told(failure is ModelCallException ? failure : limit.Translate(failure), "InvokeEndpointAsync", call.EndpointName);
        }
    }

    private HttpRequestMessage Invocation(ModelCall call, string operation, string accept)
    {
        var request = Request(call.EndpointName, operation);
        request.Content = new ReadOnlyMemoryContent(call.Body);
        Add(request, "Content-Type", call.ContentType);
        Add(request, accept, call.Accept);
        Add(request, CustomAttributes, call.CustomAttributes);
        Add(request, Prefix + "Inference-Id", call.InferenceId);
        Add(request, Prefix + "Target-Model", call.TargetModel);
        Add(request, Prefix + "Target-Variant", call.TargetVariant);
        Add(request, Prefix + "Session-Id", call.SessionId);
        return request;
    }

    private HttpRequestMessage Request(string endpointName, string operation) => new(HttpMethod.Post, AddressOf(endpointName, operation));

    private Uri AddressOf(string endpointName, string operation)
    {
        if (!_addresses.TryGetValue((endpointName, operation), out var known))
        {
            if (_addresses.Count >= MaxAddresses)
            {
                _addresses.Clear();
            }

            _addresses[(endpointName, operation)] = known = ServiceAddresses.Below(address, $"/endpoints/{Uri.EscapeDataString(endpointName)}/{operation}");
        }

        return known;
    }

    private static void Add(HttpRequestMessage request, string name, string? value)
    {
        if (string.IsNullOrEmpty(value))
        {
            return;
        }

        // A line break would smuggle in a header; other bytes than printable ASCII are not taken by SageMaker either.
        if (value.AsSpan().ContainsAnyExceptInRange(' ', '~'))
        {
            throw new ModelCallException(ModelCallFailure.Validation, $"The header '{name}' may have printable ASCII characters only.") { NotSent = true };
        }

        var headers = name == "Content-Type" ? request.Content!.Headers : (System.Net.Http.Headers.HttpHeaders)request.Headers;
        headers.TryAddWithoutValidation(name, value);
    }

    /// <summary>The answer if it is a success; an error of SageMaker is thrown.</summary>
    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        var response = await transport.SendAsync(request, body, cancellationToken).ConfigureAwait(false);
        if (response.IsSuccessStatusCode)
        {
            return response;
        }

        using (response)
        {
            throw RuntimeErrors.Of(await ServiceError.ReadAsync(response, cancellationToken).ConfigureAwait(false));
        }
    }

    private static string? Value(HttpResponseMessage response, string name) =>
        response.Headers.NonValidated.TryGetValues(name, out var values) || response.Content.Headers.NonValidated.TryGetValues(name, out values)
            ? values.ToString()
            : null;

    private static string? InferenceId(byte[] body)
    {
        using var json = JsonDocument.Parse(body);
        return json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("InferenceId", out var id) ? id.GetString() : null;
    }

    /// <summary>The failure of a call, told to the operator if it is for them to mend.</summary>
    private Exception Told(Exception failure, string operation, string endpoint)
    {
        if (failure is ModelCallException { Failure: ModelCallFailure.Configuration })
        {
            LogRefused(failure, operation, endpoint);
        }
        else if (failure is ModelCallException { Failure: ModelCallFailure.Throttled or ModelCallFailure.Unavailable })
        {
            LogFailed(failure, operation, endpoint);
        }

        return failure;
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Operation} of endpoint {Endpoint} was refused.")]
    private partial void LogRefused(Exception failure, string operation, string endpoint);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Operation} of endpoint {Endpoint} failed.")]
    private partial void LogFailed(Exception failure, string operation, string endpoint);

    private static ModelCallException NoReceipt(string member) =>
        new(ModelCallFailure.Unavailable, $"SageMaker took the call but its answer has no {member}.");
}
