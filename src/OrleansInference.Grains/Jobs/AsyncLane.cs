using System.Text;
using Microsoft.Extensions.Options;
using OrleansInference.Hosting;
using OrleansInference.Invocation;
using OrleansInference.Payloads;

namespace OrleansInference.Jobs;

/// <summary>
/// SageMaker asynchronous inference. Input, inference id and output name follow from the job, so that a call repeated after a
/// crash writes the same result to the same place.
/// </summary>
internal sealed class AsyncLane(IModelRuntime runtime, IObjectStore objects, RouterClock clock, IOptions<OrleansInferenceOptions> options) : IJobLane
{
    private const int MaxQuotedCharacters = 2_000;
    private const string OutputName = "answer";

    public async Task DispatchAsync(JobAddress address, JobMachine machine, CancellationToken cancellationToken)
    {
        var specification = machine.Record.Specification;
        var request = specification.Request;
        var endpoint = machine.Record.Endpoint.Endpoint;
        var left = (specification.Deadline - clock.Now) / 1000.0;
        try
        {
            var receipt = await runtime.InvokeAsynchronouslyAsync(
                new()
                {
                    EndpointName = endpoint.TargetName,
                    InputLocation = request.InputLocation ?? new S3Address(options.Value.PayloadBucket, specification.InputKey).ToString(),
                    ContentType = request.ContentType,
                    Accept = request.Accept,
                    CustomAttributes = request.CustomAttributes,
                    InferenceId = address.InferenceId,
                    RequestTtlSeconds = (int)Math.Clamp(Math.Ceiling(left), 60, 21_600),
                    InvocationTimeoutSeconds = (int)Math.Clamp(Math.Ceiling(endpoint.MaxServiceSeconds), 1, 3_600),
                    S3OutputPathExtension = address.Prefix.TrimEnd('/'),
                    Filename = OutputName,
                },
                cancellationToken);
            machine.Dispatched(receipt.OutputLocation, receipt.FailureLocation, clock.Now);
        }
        catch (ModelCallException exception)
        {
            var mayPass = exception.Failure is ModelCallFailure.NotReady or ModelCallFailure.Throttled or ModelCallFailure.Unavailable;
            machine.DispatchFailed(ProblemOf(exception, endpoint.Name), mayPass, Random.Shared.NextDouble(), clock.Now);
        }
    }

    public async Task CheckAsync(JobAddress address, JobMachine machine, CancellationToken cancellationToken)
    {
        var record = machine.Record;
        if (S3Address.TryParse(record.ExpectedOutput, out var output)
            && await objects.GetAsync(output.Bucket, output.Key, AnswerUse.MostParsedBytes, cancellationToken) is { } answer)
        {
            // SageMaker's answers may have a gigabyte; whoever wants that much fetches it.
            machine.Answered(answer.Length > AnswerUse.MostParsedBytes ? new(answer.Length) : AnswerUse.Read(answer.Body), record.ExpectedOutput!, answer.ContentType, clock.Now);
        }
        else if (S3Address.TryParse(record.ExpectedFailure, out var failure)
            && await objects.GetAsync(failure.Bucket, failure.Key, cancellationToken) is { } error)
        {
            var said = Quote(error.Body);
            var ran = IsModelsAnswer(said);
            var missing = ran || record.Specification.Request.InputLocation is not { } input || await ExistsAsync(input, cancellationToken) ? null : input;
            machine.ModelFailed(
                new()
                {
                    Code = missing is null ? ProblemCode.ModelError : ProblemCode.InputNotFound,
                    Message = missing is null
                        ? $"The model failed on endpoint '{record.Endpoint.Endpoint.Name}': {said}"
                        : $"There is no object at '{missing}', so the model was not asked: store the input there, then send the request again.",
                    OriginalMessage = said,
                },
                ran,
                clock.Now);
        }
        else
        {
            machine.NotYet(running: false, clock.Now);
        }
    }

    // Where that cannot be found out, the job ends by what SageMaker said of it.
    private async Task<bool> ExistsAsync(string location, CancellationToken cancellationToken)
    {
        try
        {
            return !S3Address.TryParse(location, out var input) || await objects.ExistsAsync(input.Bucket, input.Key, cancellationToken);
        }
        catch (Exception) when (!cancellationToken.IsCancellationRequested)
        {
            return true;
        }
    }

    // SageMaker has no way to take an asynchronous request back; its time to live ends it.
    public Task AbandonAsync(JobAddress address, JobRecord record, CancellationToken cancellationToken) => Task.CompletedTask;

    // SageMaker quotes the status of a container that answered. It also describes what it could not do itself, such as reading the
    // input; and status 0 is no answer in time, which may have passed in the queue.
    private static bool IsModelsAnswer(string said) => said.StartsWith("Received ", StringComparison.Ordinal) && said.Contains(" error (", StringComparison.Ordinal) && !said.Contains(" error (0)", StringComparison.Ordinal);

    private static string Quote(ReadOnlyMemory<byte> body)
    {
        var text = Encoding.UTF8.GetString(body.Span[..Math.Min(body.Length, MaxQuotedCharacters)]).Trim();
        return text.Length == 0 ? "it gave no reason." : text;
    }

    private static InferenceProblem ProblemOf(ModelCallException exception, EndpointName endpoint) => new()
    {
        Code = exception.Failure switch
        {
            ModelCallFailure.Validation => ProblemCode.InvalidRequest,
            ModelCallFailure.Model => ProblemCode.ModelError,
            ModelCallFailure.Throttled => ProblemCode.Throttled,
            _ => ProblemCode.UpstreamUnavailable,
        },
        Message = $"Endpoint '{endpoint}' did not take the job: {exception.Message}",
        OriginalStatusCode = exception.OriginalStatusCode,
        OriginalMessage = exception.OriginalMessage,
    };
}
