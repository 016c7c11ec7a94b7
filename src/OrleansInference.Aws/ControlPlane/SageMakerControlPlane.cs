using System.Net.Http.Headers;
using System.Text.Json;
using Amazon.Runtime;
using OrleansInference.Aws.ServiceEndpoints;
using OrleansInference.Aws.Transport;

namespace OrleansInference.Aws.ControlPlane;

/// <summary>
/// The SageMaker control plane over its JSON 1.1 protocol. Every operation used here may be repeated harmlessly, so what is
/// throttled, fails inside AWS or gets no answer is repeated.
/// </summary>
internal sealed class SageMakerControlPlane(SignedTransport transport, Uri address, RetryPolicy retry, TimeSpan timeout)
{
    private const int MaxAnswerBytes = 4 << 20;

    private readonly Uri _address = ServiceAddresses.Below(address, "/");

    /// <summary>Calls an operation; its answer is null if it has none.</summary>
    /// <exception cref="SageMakerException">SageMaker refused, or still failed after the repetitions.</exception>
    public async Task<TAnswer?> CallAsync<TInput, TAnswer>(string operation, TInput input, CancellationToken cancellationToken)
        where TAnswer : class
    {
        var body = JsonSerializer.SerializeToUtf8Bytes(input, ControlPlaneJson.Options);
        for (var attempt = 1; ; attempt++)
        {
            var (answer, failure, again) = await AttemptAsync<TAnswer>(operation, body, cancellationToken).ConfigureAwait(false);
            if (failure is null)
            {
                return answer;
            }

            if (!again || attempt >= retry.MaxAttempts)
            {
                throw failure;
            }

            await Task.Delay(retry.DelayAfter(attempt, Random.Shared.NextDouble()), cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task<(TAnswer? Answer, SageMakerException? Failure, bool Again)> AttemptAsync<TAnswer>(string operation, byte[] body, CancellationToken cancellationToken)
        where TAnswer : class
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(timeout);
        using var request = new HttpRequestMessage(HttpMethod.Post, _address) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/x-amz-json-1.1");
        request.Headers.TryAddWithoutValidation("X-Amz-Target", $"SageMaker.{operation}");
        try
        {
            using var response = await transport.SendAsync(request, body, limit.Token).ConfigureAwait(false);
            if (!response.IsSuccessStatusCode)
            {
                var error = await ServiceError.ReadAsync(response, limit.Token).ConfigureAwait(false);
                return (null, new(operation, error.Type, error.Status, error.Message), error.IsTransient);
            }

            var answer = await BoundedBody.ReadAsync(response.Content, MaxAnswerBytes, limit.Token).ConfigureAwait(false);
            return (answer.Length == 0 ? null : JsonSerializer.Deserialize<TAnswer>(answer, ControlPlaneJson.Options), null, false);
        }
        catch (AmazonClientException failure)
        {
            return (null, new(operation, "", null, "There are no usable AWS credentials: configure an access key, or one of the sources of the SDK's chain.", failure), false);
        }
        catch (JsonException failure)
        {
            return (null, new(operation, "", null, "SageMaker's answer is not the JSON it should be.", failure), false);
        }
        catch (Exception failure) when (!cancellationToken.IsCancellationRequested && failure is (HttpRequestException or IOException or OperationCanceledException))
        {
            return (null, new(operation, "", null, $"SageMaker cannot be reached: {failure.Message}", failure), true);
        }
    }
}
