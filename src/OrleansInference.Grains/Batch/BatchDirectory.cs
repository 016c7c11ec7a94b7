using System.Runtime.ExceptionServices;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OrleansInference.Dispatch;
using OrleansInference.Hosting;
using OrleansInference.Jobs;
using OrleansInference.Payloads;

namespace OrleansInference.Batch;

/// <summary>Checks and stores the records of batches, has them admitted, and finds them again.</summary>
internal sealed partial class BatchDirectory(
    IGrainFactory grains,
    IObjectStore objects,
    BatchFiles files,
    RequestPlanner planner,
    BatchAdmission admission,
    RouteOutcomes outcomes,
    RouterClock clock,
    IOptions<OrleansInferenceOptions> options,
    ILogger<BatchDirectory> logger) : IBatches
{
    private const int BatchLane = 1 << (int)Lane.Batch;
    private const int MostProblems = 10;
    private const int MostListed = 10_000;

    /// <summary>The largest record: what SageMaker takes in one call.</summary>
    private const int MostRecordBytes = 6_291_456;

    private static readonly TimeSpan ComeBackIn = TimeSpan.FromSeconds(1);

    // Well within the time a grain call may take.
    private static readonly TimeSpan LongestCall = TimeSpan.FromSeconds(10);

    private Task? _bucket;

    public async Task<InferenceOutcome> SubmitAsync(InferenceRequest request, Stream? lines, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (request.LaneMask != 0 && (request.LaneMask & BatchLane) == 0)
        {
            return InferenceOutcome.Refused(ProblemCode.NoCandidate, "A batch is for the batch lane, which the request's lanes exclude; allow Batch.");
        }

        if (request.ReplyTo is not null)
        {
            return InferenceOutcome.Refused(ProblemCode.InvalidRequest, "The end of a batch is told to no webhook and no queue: leave that out, and ask for the batch, which may wait for its end.");
        }

        if (request.InputTokens is not null)
        {
            return InferenceOutcome.Refused(ProblemCode.InvalidRequest, "The input tokens of a batch are counted for each record; leave them out.");
        }

        if (lines is null && !S3Address.TryParse(request.InputLocation, out _))
        {
            return InferenceOutcome.Refused(ProblemCode.InvalidRequest, $"'{request.InputLocation}' is not a prefix of the form s3://bucket/prefix.");
        }

        try
        {
            // Who sends a batch waits for nothing: without a word of its own it has the deadline of the lowest class. The key and the most that
            // is charged are the batch's own, and its records are stored already when a job's would be read.
            var (plan, problem) = await planner.PlanAsync(
                request with
                {
                    Class = request.Class ?? (request.Deadline is null ? TrafficClass.Low : null),
                    LaneMask = BatchLane,
                    Delivery = Delivery.Either,
                    InputLocation = null,
                    IdempotencyKey = null,
                    MaxCharge = null,
                },
                Manner.Job,
                cancellationToken);
            if (plan is null)
            {
                return new() { Problem = problem };
            }

            if (plan.Tenant.Limits is not { IsEmpty: false } limits)
            {
                return Count(plan, await UploadAsync(request, plan, lines, cancellationToken));
            }

            var pass = await limits.EnterAsync(plan.Class, plan.Deadline, cancellationToken);
            if (pass.Refusal is { } refusal)
            {
                return Count(plan, new() { Problem = refusal, Limits = limits.Quotas(plan.Class) });
            }

            try
            {
                return Count(plan, await UploadAsync(request, plan, lines, cancellationToken)) with { Limits = limits.Quotas(plan.Class) };
            }
            finally
            {
                pass.Leave();
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return InferenceOutcome.Refused(ProblemCode.Cancelled, "The caller gave up before the batch was accepted.");
        }
        catch (UnreadableRecordsException exception) when (lines is not null)
        {
            // The caller's own stream: whoever gave it knows what its errors mean.
            ExceptionDispatchInfo.Throw(exception.InnerException!);
            throw;
        }
        catch (Exception exception)
        {
            LogFault(exception, request.Tenant);
            return InferenceOutcome.Refused(ProblemCode.Unavailable, "The batch could not be begun; nothing was charged. Send it again.", ComeBackIn);
        }
    }

    public async Task<BatchView?> GetAsync(TenantId tenant, string batchId, TimeSpan wait, CancellationToken cancellationToken)
    {
        if (Find(tenant, batchId) is not { } batch)
        {
            return null;
        }

        var until = clock.Now + (long)wait.TotalMilliseconds;
        var slice = (long)clock.FromWall(LongestCall).TotalMilliseconds;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var left = Math.Min(until - clock.Now, slice);
            if (left <= 0)
            {
                return await batch.Get();
            }

            // Given up by the caller, the wait goes on in the grain for a moment, which costs a timer.
            var view = await batch.WaitForEnd(TimeSpan.FromMilliseconds(left)).WaitAsync(cancellationToken);
            if (view is null || view.EndedAt is not null)
            {
                return view;
            }
        }
    }

    public async Task<BatchView?> CancelAsync(TenantId tenant, string batchId, CancellationToken cancellationToken) =>
        Find(tenant, batchId) is { } batch ? await batch.Cancel() : null;

    public async Task<BatchResultPage?> ReadAsync(TenantId tenant, string batchId, long from, CancellationToken cancellationToken)
    {
        if (Find(tenant, batchId) is not { } batch || await batch.Get() is null)
        {
            return null;
        }

        return await batch.FindRun(Math.Max(1, from)) is { } run
            ? new() { Lines = await files.ReadAsync(run, cancellationToken), Next = run.First + run.Count }
            : new();
    }

    /// <summary>Counts the batch as one request. One that was accepted is counted again when it ends, and a repetition not at all.</summary>
    private InferenceOutcome Count(RequestPlan plan, InferenceOutcome outcome)
    {
        if (outcome.IsReplay)
        {
            return outcome;
        }

        outcomes.Arrived(plan.Class);
        if (outcome.Problem is { } problem)
        {
            outcomes.Failed(outcome.Route?.Lane, plan.Class, problem.Code);
        }
        else
        {
            outcomes.Sent(Lane.Batch);
        }

        return outcome;
    }

    private async Task<InferenceOutcome> UploadAsync(InferenceRequest request, RequestPlan plan, Stream? lines, CancellationToken cancellationToken)
    {
        // Its own names for keys: a request and a batch under one key are two things.
        var address = new JobAddress(
            request.Tenant,
            request.IdempotencyKey is { } key ? JobAddress.IdOf(request.Tenant, "batch\n" + key) : JobAddress.IdOf(RandomNumberGenerator.GetBytes(16)));
        var upload = new BatchUpload(files, address, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8)), options.Value);
        var batch = grains.GetGrain<IBatchGrain>(address.Key);
        await EnsureBucketAsync(cancellationToken);
        await batch.Expect(upload.Name);

        // A moment before the grain would take the upload for abandoned.
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(clock.ToWall(BatchGrain.UploadsKept * 0.9));
        InferenceOutcome outcome;
        try
        {
            var reader = new RecordReader(MostRecordBytes, MostProblems);
            if (lines is null)
            {
                if (await ReadObjectsAsync(request.InputLocation!, reader, upload, limit.Token) is { } wrong)
                {
                    return InferenceOutcome.Refused(ProblemCode.InvalidRequest, wrong);
                }
            }
            else
            {
                await reader.ReadAsync(lines, "", line => upload.TakeAsync(line, limit.Token), limit.Token);
            }

            await upload.FlushAsync(limit.Token);
            outcome = reader.Problems.Count > 0 ? InferenceOutcome.Refused(ProblemCode.InvalidRequest, $"{string.Join(' ', reader.Problems)}{(reader.HasGivenUp ? " There may be more." : "")}")
                : upload.Refusal is { } refusal ? InferenceOutcome.Refused(ProblemCode.PayloadTooLarge, refusal)
                : upload.Records == 0 ? InferenceOutcome.Refused(ProblemCode.InvalidRequest, "There is no record: send at least one line of JSON.")
                : await admission.DecideAsync(request, plan, upload, batch);
        }
        catch
        {
            await ForgetAsync(address, upload.Name);
            throw;
        }

        if (outcome.JobId is null ? outcome.Problem?.Code != ProblemCode.Unavailable : outcome.IsReplay)
        {
            await ForgetAsync(address, upload.Name);
        }

        return outcome;
    }

    /// <summary>The problem of the prefix; null if its objects were read.</summary>
    private async Task<string?> ReadObjectsAsync(string location, RecordReader reader, BatchUpload upload, CancellationToken cancellationToken)
    {
        _ = S3Address.TryParse(location, out var prefix);
        var keys = await objects.ListAsync(prefix.Bucket, prefix.Key, cancellationToken);
        if (keys.Count >= MostListed)
        {
            return $"There are {MostListed} objects or more below '{location}': a batch is made of fewer; name a narrower prefix.";
        }

        if (keys.Count == 0)
        {
            return $"There is no object below '{location}': store the records there first, or name the prefix that they have.";
        }

        // What a console makes for a folder has no lines; whatever else ends with a slash is an object as any.
        foreach (var key in keys)
        {
            await using var opened = await objects.OpenAsync(prefix.Bucket, key, cancellationToken);
            if (opened is not null)
            {
                await reader.ReadAsync(opened.Body, key, line => upload.TakeAsync(line, cancellationToken), cancellationToken);
            }

            if (reader.HasGivenUp || upload.Refusal is not null)
            {
                return null;
            }
        }

        return upload.Records == 0 && reader.Problems.Count == 0
            ? $"There is no record in the {keys.Count} objects below '{location}': each line of them that is not empty is one; store JSON lines there, or name another prefix."
            : null;
    }

    // Left behind, the batch's grain deletes it in time.
    private async Task ForgetAsync(JobAddress address, string upload)
    {
        try
        {
            await files.DeleteAsync(address, upload, CancellationToken.None);
        }
        catch (Exception exception)
        {
            LogFault(exception, address.Tenant);
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

    private IBatchGrain? Find(TenantId tenant, string batchId) =>
        JobAddress.IsId(batchId) && tenant.Value.Length > 0 ? grains.GetGrain<IBatchGrain>(new JobAddress(tenant, batchId).Key) : null;

    [LoggerMessage(Level = LogLevel.Warning, Message = "A batch of tenant {Tenant} met a fault while it was taken in.")]
    private partial void LogFault(Exception exception, TenantId tenant);
}
