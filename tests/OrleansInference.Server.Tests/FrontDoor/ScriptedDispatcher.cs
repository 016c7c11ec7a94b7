using System.Runtime.CompilerServices;
using System.Text;
using OrleansInference.Dispatch;
using OrleansInference.Invocation;
using OrleansInference.Jobs;

namespace OrleansInference.Tests.FrontDoor;

/// <summary>Keeps the last request and answers what the test says.</summary>
internal sealed class ScriptedDispatcher : IDispatcher, IJobs
{
    public static RouteTaken Route { get; } = new()
    {
        DecisionId = "d-1",
        Class = TrafficClass.High,
        Lane = Lane.Realtime,
        Endpoint = new("chat-rt"),
        Variant = new("full"),
        Charge = Money.FromNanos(1_250_000),
        ChargeCap = Money.FromNanos(2_000_000),
    };

    /// <summary>A job that has succeeded.</summary>
    public const string Ended = "job-2";

    /// <summary>What the result of a job is.</summary>
    public Func<JobResult>? Result { get; set; }

    public InferenceRequest? Last { get; private set; }

    public Func<InferenceRequest, InferenceOutcome> Answer { get; set; } = static request => new()
    {
        Route = Route,
        Body = request.Body,
        ContentType = "application/json",
        CustomAttributes = "input-tokens=3;output-tokens=5",
        InvokedProductionVariant = "AllTraffic",
    };

    public Func<IAsyncEnumerable<ReadOnlyMemory<byte>>> Parts { get; set; } = static () => Words("one ", "two");

    public Task<InferenceOutcome> InvokeAsync(InferenceRequest request, CancellationToken cancellationToken) => Task.FromResult(Answer(Last = request));

    public Task<InferenceOutcome> SubmitAsync(InferenceRequest request, CancellationToken cancellationToken) => Task.FromResult(Answer(Last = request));

    public Task<StreamedAnswer> InvokeStreamAsync(InferenceRequest request, CancellationToken cancellationToken)
    {
        Last = request;
        var outcome = Answer(request);
        return Task.FromResult<StreamedAnswer>(new Streamed(outcome.Problem, outcome.Problem is null ? new Stream(Parts()) : null));
    }

    public Task<InferenceOutcomeOrExplanation> ExplainAsync(InferenceRequest request, CancellationToken cancellationToken) => Task.FromResult(new InferenceOutcomeOrExplanation
    {
        Explanation = new() { Tenant = (Last = request).Tenant, Model = request.Model, Class = TrafficClass.High, DeadlineSeconds = 2, SnapshotVersion = 7 },
    });

    public Explanation? GetDecision(TenantId tenant, string decisionId) => null;

    public DispatchStatistics GetStatistics() => new() { Lanes = new Dictionary<Lane, LaneStatistics>(), Classes = new Dictionary<TrafficClass, ClassStatistics>() };

    public Task<JobView?> GetAsync(TenantId tenant, string jobId, TimeSpan wait, CancellationToken cancellationToken) => Task.FromResult<JobView?>(jobId is not ("job-1" or Ended) || tenant.Value != "acme" ? null : new()
    {
        JobId = jobId,
        Tenant = tenant,
        Model = new("chat"),
        State = jobId == Ended ? JobState.Succeeded : JobState.Accepted,
        Route = Route,
        AcceptedAt = DateTimeOffset.UnixEpoch,
        Deadline = DateTimeOffset.UnixEpoch,
        ExpectedOutputLocation = "s3://orleans-inference/out/1",
        FailureLocation = "s3://orleans-inference/failed/1",
    });

    public Task<InferenceOutcome?> GetResultAsync(TenantId tenant, string jobId, CancellationToken cancellationToken) => Task.FromResult<InferenceOutcome?>(null);

    public Task<JobResult?> OpenResultAsync(TenantId tenant, string jobId, CancellationToken cancellationToken) => Task.FromResult(Result?.Invoke());

    public Task<JobView?> CancelAsync(TenantId tenant, string jobId, CancellationToken cancellationToken) => GetAsync(tenant, jobId, default, cancellationToken);

    public static async IAsyncEnumerable<ReadOnlyMemory<byte>> Words(params string[] words)
    {
        foreach (var word in words)
        {
            await Task.Yield();
            yield return Encoding.UTF8.GetBytes(word);
        }
    }

    public static async IAsyncEnumerable<ReadOnlyMemory<byte>> BreakingOff([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await Task.Yield();
        yield return "one "u8.ToArray();
        throw new ModelCallException(ModelCallFailure.Model, "The container died.");
    }

    private sealed class Streamed(InferenceProblem? problem, IModelStream? stream) : StreamedAnswer
    {
        public override InferenceProblem? Problem => problem;

        public override RouteTaken? Route => problem is null ? ScriptedDispatcher.Route : null;

        public override IModelStream? Stream => stream;

        public override ValueTask DisposeAsync() => stream?.DisposeAsync() ?? default;
    }

    private sealed class Stream(IAsyncEnumerable<ReadOnlyMemory<byte>> parts) : IModelStream
    {
        public string? ContentType => "text/plain";

        public string? CustomAttributes => null;

        public string? InvokedProductionVariant => "AllTraffic";

        public IAsyncEnumerable<ReadOnlyMemory<byte>> ReadPartsAsync(CancellationToken cancellationToken) => parts;

        public ValueTask DisposeAsync() => default;
    }
}
