using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OrleansInference.Capacity;
using OrleansInference.Dispatch;
using OrleansInference.Hosting;
using OrleansInference.Invocation;
using OrleansInference.Leases;
using OrleansInference.Payloads;

namespace OrleansInference.Jobs;

/// <summary>
/// Slots of a real-time endpoint that are free anyway. A job waits for its turn at the endpoint's actor and then calls the model as any request does, on a slot of its silo;
/// input and result lie in S3 as those of the other lanes.
/// </summary>
internal sealed partial class DeferredLane(
    IModelRuntime runtime,
    IObjectStore objects,
    IGrainFactory grains,
    EndpointAccounts endpoints,
    TenantAccounts tenants,
    RouterClock clock,
    IOptions<OrleansInferenceOptions> options,
    ILogger<DeferredLane> logger) : IJobLane
{
    // A turn means that a slot is free, or will be in a moment.
    private const long SlotWaitMs = 60_000;

    public Task DispatchAsync(JobAddress address, JobMachine machine, CancellationToken cancellationToken)
    {
        machine.Deferred(new S3Address(options.Value.PayloadBucket, address.OutputKey).ToString(), clock.Now);
        return RegisterAsync(address, machine);
    }

    public async Task CheckAsync(JobAddress address, JobMachine machine, CancellationToken cancellationToken)
    {
        // An actor that was started anew knows of no job.
        await RegisterAsync(address, machine);
        machine.NotYet(running: false, clock.Now);
    }

    public Task AbandonAsync(JobAddress address, JobRecord record, CancellationToken cancellationToken) => TellEndedAsync(address, record, hasFailed: false);

    /// <summary>Milliseconds after which its call has ended at the latest.</summary>
    public long LongestMs(JobRecord record, bool isLate) =>
        (isLate ? Math.Max(0, record.Specification.Deadline - clock.Now) : SlotWaitMs) + (long)(record.Endpoint.Endpoint.MaxServiceSeconds * 1000);

    /// <summary>Tells a job what came of its call.</summary>
    public void Tell(JobMachine machine, ServedCall served)
    {
        var now = served.At > 0 ? served.At : clock.Now;
        if (served.Location is { } location)
        {
            machine.Served(served.Answer, location, served.ContentType, served.ServiceMs, now);
        }
        else if (served.Problem is { } problem)
        {
            machine.ServeFailed(problem, served.MayPass, served.Ran, served.ServiceMs, Random.Shared.NextDouble(), now);
        }
        else
        {
            machine.StillDeferred(now);
        }
    }

    /// <summary>Makes its call. Throws nothing.</summary>
    /// <param name="address">The job.</param>
    /// <param name="record">What is known of it.</param>
    /// <param name="isLate">Whether its turn has not come and it waits in line as any request, until its deadline.</param>
    /// <param name="cancellationToken">The job was cancelled.</param>
    public async Task<ServedCall> ServeAsync(JobAddress address, JobRecord record, bool isLate, CancellationToken cancellationToken)
    {
        ServedCall served;
        try
        {
            served = await CallAsync(address, record, isLate, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            served = new();
        }
        catch (Exception exception)
        {
            LogFault(exception, address.Key);
            served = new() { Problem = new() { Code = ProblemCode.Unavailable, Message = "The job's call could not be made." }, MayPass = true };
        }

        await TellEndedAsync(address, record, hasFailed: served is { Problem: not null, MayPass: true });
        return served;
    }

    private async Task TellEndedAsync(JobAddress address, JobRecord record, bool hasFailed)
    {
        try
        {
            await Endpoint(record).DeferredEnded(address.Key, hasFailed);
        }
        catch (Exception exception)
        {
            // The actor takes the turn as over after a while.
            LogNotTold(exception, address.Key);
        }
    }

    private async Task<ServedCall> CallAsync(JobAddress address, JobRecord record, bool isLate, CancellationToken cancellationToken)
    {
        var specification = record.Specification;
        var endpoint = record.Endpoint.Endpoint;
        var account = endpoints.Get(endpoint.Name);
        if (account.Breaker.Blocks(clock.Now))
        {
            return Blocked(endpoint);
        }

        // In line thousands may wait: they hold no input meanwhile.
        var input = isLate ? null : await objects.GetAsync(options.Value.PayloadBucket, specification.InputKey, cancellationToken);
        if (input is null && !isLate)
        {
            return Missing(address);
        }

        // By turn it takes what nobody else wants; in line it is one of its class.
        var trafficClass = isLate ? specification.Route.Class : TrafficClass.Low;
        var weight = (await tenants.GetAsync(address.Tenant))?.Definition?.Weight ?? 1;
        var expectedMs = specification.ServiceMs > 0 ? specification.ServiceMs : endpoint.Prior.ServiceP50Seconds * 1000;
        var now = clock.Now;
        var latest = specification.Deadline - (long)(expectedMs / 2);
        var usefulUntil = isLate ? latest : Math.Min(latest, now + SlotWaitMs);
        var permit = await account.AcquireAsync(new(trafficClass, address.Tenant, weight, usefulUntil, expectedMs, specification.Deadline - now - expectedMs, IsDeferred: !isLate), cancellationToken);
        if (permit.Slot is not { } slot)
        {
            return new();
        }

        try
        {
            input ??= await objects.GetAsync(options.Value.PayloadBucket, specification.InputKey, cancellationToken);
        }
        finally
        {
            if (input is null)
            {
                account.Return(slot, trafficClass);
            }
        }

        if (input is null)
        {
            return Missing(address);
        }

        var begun = clock.Now;
        var longest = (long)Math.Min(specification.Deadline - begun, endpoint.MaxServiceSeconds * 1000);
        if (longest <= 0 || cancellationToken.IsCancellationRequested)
        {
            account.Return(slot, trafficClass);
            return new();
        }

        if (account.Breaker.TryEnter(begun) is not { } pass)
        {
            account.Return(slot, trafficClass);
            return Blocked(endpoint);
        }

        var call = new Call(account, slot, trafficClass, !isLate, expectedMs, clock.TimeProvider.GetTimestamp());
        if (call.IsDeferred)
        {
            account.DeferredBegins();
        }

        using var limit = new CancellationTokenSource(clock.ToWall(TimeSpan.FromMilliseconds(longest)), clock.TimeProvider);
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        var sent = SendAsync(record, input.Body);
        ModelAnswer answer;
        try
        {
            answer = await sent.WaitAsync(waiting.Token);
        }
        catch (Exception exception)
        {
            return Failed(record, call, pass, sent, exception, longest, cancellationToken.IsCancellationRequested);
        }

        var elapsed = Elapsed(call);
        var (use, charge) = (default(AnswerUse), Money.Zero);
        try
        {
            use = AnswerUse.Read(answer.Body);
            use = use with
            {
                InputTokens = ModelUse.Read(answer.CustomAttributes, ModelUse.InputTokens) ?? use.InputTokens,
                OutputTokens = ModelUse.Read(answer.CustomAttributes, ModelUse.OutputTokens) ?? use.OutputTokens,
            };
            charge = JobCharge.Of(endpoint, specification, use, elapsed, specification.Route.ChargeCap);
        }
        finally
        {
            account.Breaker.Ended(pass, CallVerdict.Healthy, clock.Now);
            Release(call, CallEnd.Answered, charge);
        }

        if (!await TryStoreAsync(address, specification, answer, cancellationToken))
        {
            return new() { Problem = new() { Code = ProblemCode.UpstreamUnavailable, Message = "The answer could not be stored until the deadline. Nothing was charged." } };
        }

        return new()
        {
            At = clock.Now,
            Answer = use,
            Location = new S3Address(options.Value.PayloadBucket, address.OutputKey).ToString(),
            ContentType = answer.ContentType,
            Ran = true,
            ServiceMs = elapsed,
        };
    }

    private static ServedCall Blocked(EndpointDefinition endpoint) => new()
    {
        Problem = new() { Code = ProblemCode.UpstreamUnavailable, Message = $"Endpoint {endpoint.Name} has failed and is being tried with few requests." },
        MayPass = true,
    };

    private ServedCall Failed(JobRecord record, Call call, CircuitPass pass, Task<ModelAnswer> sent, Exception exception, long longest, bool isCancelled)
    {
        var endpoint = record.Endpoint.Endpoint;
        var elapsed = Elapsed(call);
        var failure = CallFailure.Of(exception, endpoint.Name, longest, wasSent: true, isCancelled, wasRelayed: false);
        call.Account.Breaker.Ended(pass, CallFailure.VerdictOf(failure.End, failure.Problem.Code), clock.Now);
        var charge = failure.Ran && !isCancelled ? JobCharge.Of(endpoint, record.Specification, default, elapsed, record.Specification.Route.ChargeCap) : Money.Zero;
        if (sent.IsCompleted)
        {
            Release(call, failure.End, charge);
        }
        else
        {
            // A model does not stop for a caller who has left: its slot is free when it is done.
            _ = SeeOffAsync(call, sent, charge);
        }

        return new() { Problem = failure.Problem, MayPass = failure.MayTryAnother, Ran = failure.Ran, ServiceMs = elapsed };
    }

    private async Task SeeOffAsync(Call call, Task<ModelAnswer> sent, Money charge)
    {
        await Task.WhenAny(sent);
        Release(call, sent.Exception is null ? CallEnd.SeenOff : CallEnd.Unanswered, charge);
    }

    private void Release(in Call call, CallEnd end, Money charge)
    {
        var elapsed = (long)Elapsed(call);
        if (call.IsDeferred)
        {
            call.Account.ReleaseDeferred(call.Slot, call.Class, end, elapsed, call.ExpectedMs, charge);
        }
        else
        {
            call.Account.Release(call.Slot, call.Class, end, elapsed, call.ExpectedMs, Money.Zero, charge);
        }
    }

    private async Task<ModelAnswer> SendAsync(JobRecord record, ReadOnlyMemory<byte> body)
    {
        var request = record.Specification.Request;
        var endpoint = record.Endpoint.Endpoint;
        using var running = new CancellationTokenSource(clock.ToWall(TimeSpan.FromSeconds(endpoint.MaxServiceSeconds)), clock.TimeProvider);
        return await runtime.InvokeAsync(
            new()
            {
                EndpointName = endpoint.TargetName,
                Body = body,
                ContentType = request.ContentType,
                Accept = request.Accept,
                CustomAttributes = request.CustomAttributes,
                InferenceId = request.InferenceId,
                TargetModel = request.TargetModel,
                SessionId = request.SessionId,
            },
            running.Token);
    }

    // The answer is there and paid for: it is kept, and its turn with it, until it is stored or worthless, and not asked for again.
    private async Task<bool> TryStoreAsync(JobAddress address, JobSpecification specification, ModelAnswer answer, CancellationToken cancellationToken)
    {
        for (var tries = 1; ; tries++)
        {
            try
            {
                await objects.PutAsync(options.Value.PayloadBucket, address.OutputKey, answer.Body, answer.ContentType ?? "application/octet-stream", cancellationToken);
                return true;
            }
            catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
            {
                LogNotStored(exception, address.Key, tries);
            }

            var wait = Backoff.DelayMs(tries, Random.Shared.NextDouble());
            if (clock.Now + wait >= specification.Deadline)
            {
                return false;
            }

            await clock.DelayAsync(TimeSpan.FromMilliseconds(wait), cancellationToken);
        }
    }

    private async Task RegisterAsync(JobAddress address, JobMachine machine)
    {
        try
        {
            if (!await Endpoint(machine.Record).Defer(new(address.Key, machine.LastBegin, machine.ServiceMs)))
            {
                machine.NoTurns(clock.Now);
            }
        }
        catch (Exception exception)
        {
            // It registers again, and goes into line by itself in time.
            LogNotTold(exception, address.Key);
        }
    }

    private static ServedCall Missing(JobAddress address) => new() { Problem = new() { Code = ProblemCode.Internal, Message = $"The input of job '{address.JobId}' is no longer stored." } };

    private IEndpointGrain Endpoint(JobRecord record) => grains.GetGrain<IEndpointGrain>(record.Endpoint.Endpoint.Name.Value);

    private double Elapsed(in Call call) => clock.FromWall(clock.TimeProvider.GetElapsedTime(call.SentAt)).TotalMilliseconds;

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job}: its endpoint's actor could not be told of it.")]
    private partial void LogNotTold(Exception exception, string job);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job}: its call could not be made; it is tried again.")]
    private partial void LogFault(Exception exception, string job);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job}: its answer could not be stored at try {Try}.")]
    private partial void LogNotStored(Exception exception, string job, int @try);

    private readonly record struct Call(EndpointAccount Account, HeldLease Slot, TrafficClass Class, bool IsDeferred, double ExpectedMs, long SentAt);
}
