using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OrleansInference.Batch;
using OrleansInference.Hosting;
using OrleansInference.Idempotency;
using OrleansInference.Payloads;

namespace OrleansInference.Jobs;

/// <summary>
/// Reads and checks the input, then asks the job's grain to store it and to accept. Every submission has an input object of its own, so that none takes another's away.
/// </summary>
internal sealed partial class JobSubmitter(
    IGrainFactory grains,
    IObjectStore objects,
    RouterClock clock,
    IOptions<OrleansInferenceOptions> options,
    ILogger<JobSubmitter> logger) : IJobSubmitter
{
    // A larger input is stored before its job is accepted: a call between silos is not the way for it.
    private const int MostCarried = 1 << 20;
    private const int AcceptTries = 3;

    private static readonly TimeSpan BetweenTries = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan ComeBackIn = TimeSpan.FromSeconds(1);

    private readonly GrainsOf<IJobGrain> _jobs = new(grains);
    private Task? _bucket;

    public async Task<InferenceOutcome> SubmitAsync(JobSubmission submission, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(submission);
        var request = submission.Request;
        var route = submission.Route;
        var address = new JobAddress(
            request.Tenant,
            request.IdempotencyKey is { } key ? JobAddress.IdOf(request.Tenant, key) : JobAddress.IdOf(RandomNumberGenerator.GetBytes(16)));
        var hasBody = request.InputLocation is null;
        var bodyHash = KeyMachine.HashOf(request);
        var body = request.Body;
        try
        {
            if (!hasBody)
            {
                if (!S3Address.TryParse(request.InputLocation, out var input))
                {
                    return InferenceOutcome.Refused(ProblemCode.InvalidRequest, $"'{request.InputLocation}' is not an address of the form s3://bucket/key.", route: route);
                }

                if (route.Lane == Lane.Batch)
                {
                    if (await objects.GetAsync(input.Bucket, input.Key, cancellationToken) is not { } found)
                    {
                        return InferenceOutcome.Refused(ProblemCode.InputNotFound, $"There is no object at '{request.InputLocation}': store the input there, then send the request again.", route: route);
                    }

                    (body, hasBody) = (found.Body, true);
                }
            }

            if (route.Lane == Lane.Batch)
            {
                if (!BatchInput.TryCompact(body, out var line, out var problem))
                {
                    return InferenceOutcome.Refused(ProblemCode.InvalidRequest, problem, route: route);
                }

                body = line;
            }

            if (body.Length > options.Value.MaxBodyBytes)
            {
                return InferenceOutcome.Refused(ProblemCode.PayloadTooLarge, $"The body of {body.Length} bytes is above the limit of {options.Value.MaxBodyBytes}.", route: route);
            }

            if (hasBody)
            {
                await EnsureBucketAsync(cancellationToken);
            }

            cancellationToken.ThrowIfCancellationRequested();
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return InferenceOutcome.Refused(ProblemCode.Cancelled, "The caller gave up before the job was accepted.", route: route);
        }
        catch (Exception exception)
        {
            LogInputFailed(exception, address.Key);
            return InferenceOutcome.Refused(ProblemCode.UpstreamUnavailable, $"The input could not be stored: {exception.Message}", ComeBackIn, route);
        }

        var specification = new JobSpecification
        {
            Request = request with { Body = default },
            Route = route,
            InputKey = JobReminder.InputKeyOf(address, submission.AcceptedAt, route.DecisionId),
            AcceptedAt = submission.AcceptedAt,
            Deadline = submission.Deadline,
            BodyHash = bodyHash,
            BodyLength = body.Length,
            SizeClass = submission.SizeClass,
            MayHold = submission.MayHold,
            ServiceMs = submission.ServiceMs,
        };
        if (!hasBody || body.Length <= MostCarried)
        {
            return await AcceptAsync(address, specification, hasBody ? new() { Body = body } : null);
        }

        try
        {
            await ExpectAsync(address, specification);
            await StoreAsync(specification, body);
        }
        catch (Exception exception)
        {
            LogInputFailed(exception, address.Key);
            return InferenceOutcome.Refused(ProblemCode.UpstreamUnavailable, $"The input could not be stored: {exception.Message}", ComeBackIn, route);
        }

        var outcome = await AcceptAsync(address, specification, null);
        if (outcome is { JobId: null, Problem.Code: not ProblemCode.Unavailable })
        {
            await DeleteInputAsync(specification.InputKey);
        }

        return outcome;
    }

    private async Task ExpectAsync(JobAddress address, JobSpecification specification)
    {
        try
        {
            await _jobs[address.Key].Expect(specification);
        }
        catch (Exception exception)
        {
            // A silo of the release before does not know the call: there a crash until the job is accepted may leave the input.
            LogExpectFailed(exception, address.Key);
        }
    }

    private Task StoreAsync(JobSpecification specification, ReadOnlyMemory<byte> body) =>
        objects.PutAsync(options.Value.PayloadBucket, specification.InputKey, body, specification.Request.ContentType, CancellationToken.None);

    // What the caller does from here on no longer matters: the job is either accepted or it is not.
    private async Task<InferenceOutcome> AcceptAsync(JobAddress address, JobSpecification specification, JobInput? input)
    {
        var mayTakeNoInput = true;
        for (var tries = 1; ; tries++)
        {
            try
            {
                return specification.Route.Lane == Lane.Realtime ? await _jobs[address.Key].AcceptDeferred(specification, input)
                    : input is null ? await _jobs[address.Key].Accept(specification)
                    : tries < AcceptTries || !mayTakeNoInput ? await _jobs[address.Key].AcceptWithInput(specification, input)
                    : await AcceptStoredAsync(address, specification, input);
            }
            catch (Exception exception) when (tries < AcceptTries)
            {
                // A silo of the release before answers at once that it does not know the call. One that does not answer may be storing the input still, or taking it back.
                mayTakeNoInput &= exception is not TimeoutException;

                // Accepting is idempotent, and the next try learns what became of this one.
                LogAcceptFailed(exception, address.Key, tries);
                await Task.Delay(BetweenTries, clock.TimeProvider, CancellationToken.None);
            }
            catch (Exception exception)
            {
                LogAcceptFailed(exception, address.Key, tries);
                if (mayTakeNoInput && specification.Route.Lane == Lane.Realtime && await IsUnknownAsync(address))
                {
                    return InferenceOutcome.Refused(ProblemCode.NoCandidate, "The silo that the job was to live on runs a release that puts nothing off.", ComeBackIn, specification.Route);
                }

                // It may have been accepted, so its input must stay; the job's reminder takes it if not.
                return InferenceOutcome.Refused(
                    ProblemCode.Unavailable,
                    $"Whether job '{address.JobId}' was accepted is not known: look it up in a moment, or ask again under the same idempotency key.",
                    ComeBackIn,
                    specification.Route);
            }
        }
    }

    private async Task<bool> IsUnknownAsync(JobAddress address)
    {
        try
        {
            return await _jobs[address.Key].Get() is null;
        }
        catch (Exception exception)
        {
            LogAcceptFailed(exception, address.Key, AcceptTries);
            return false;
        }
    }

    /// <summary>For a silo of the release before, which takes no input: there it is stored first, and a crash between may leave it.</summary>
    private async Task<InferenceOutcome> AcceptStoredAsync(JobAddress address, JobSpecification specification, JobInput input)
    {
        await StoreAsync(specification, input.Body);
        var outcome = await _jobs[address.Key].Accept(specification);
        if (outcome.JobId is null)
        {
            await DeleteInputAsync(specification.InputKey);
        }

        return outcome;
    }

    private async Task DeleteInputAsync(string key)
    {
        try
        {
            await objects.DeleteAsync(options.Value.PayloadBucket, key, CancellationToken.None);
        }
        catch (Exception exception)
        {
            LogInputLeft(exception, key);
        }
    }

    private async Task EnsureBucketAsync(CancellationToken cancellationToken)
    {
        var ready = _bucket;
        if (ready is null || ready.IsFaulted || ready.IsCanceled)
        {
            // Two at once do no harm: the bucket is created unless it exists.
            _bucket = ready = objects.EnsureBucketAsync(options.Value.PayloadBucket, CancellationToken.None);
        }

        await ready.WaitAsync(cancellationToken);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job}: its input could not be stored.")]
    private partial void LogInputFailed(Exception exception, string job);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job}: try {Try} to have it accepted failed.")]
    private partial void LogAcceptFailed(Exception exception, string job, int @try);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job}: the reminder of its input could not be set.")]
    private partial void LogExpectFailed(Exception exception, string job);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Input object {Key} of a job that was not accepted could not be deleted.")]
    private partial void LogInputLeft(Exception exception, string key);
}
