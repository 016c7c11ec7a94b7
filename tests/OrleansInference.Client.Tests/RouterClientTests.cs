using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Time.Testing;
using OrleansInference.Client;

namespace OrleansInference.Tests;

/// <summary>The client's own logic over a router grain that the test plays; the cluster tests run it on a real one.</summary>
public sealed class RouterClientTests
{
    private static readonly TenantId Tenant = new("acme");

    [Fact]
    public async Task A_request_and_its_outcome_pass_through_unchanged()
    {
        var router = new PlayedRouter();
        var client = ClientOf(router);
        var request = new InferenceRequest { Tenant = Tenant, Model = new("chat"), Body = "{}"u8.ToArray() };

        var outcome = await client.InvokeAsync(request, TestContext.Current.CancellationToken);

        Assert.Same(request, router.LastRequest);
        Assert.Equal(ProblemCode.NoCandidate, outcome.Problem!.Code);
    }

    [Fact]
    public async Task Waiting_for_a_job_polls_until_it_has_ended()
    {
        var router = new PlayedRouter { EndsAtPoll = 3 };
        var job = await ClientOf(router).WaitForJobAsync(Tenant, "j1", TimeSpan.FromMinutes(5), TestContext.Current.CancellationToken);

        Assert.Equal(JobState.Succeeded, job!.State);
        Assert.Equal(3, router.Polls);
    }

    [Fact]
    public async Task Waiting_ends_at_the_timeout_with_the_job_as_it_stands()
    {
        var router = new PlayedRouter { EndsAtPoll = int.MaxValue };
        var job = await ClientOf(router).WaitForJobAsync(Tenant, "j1", TimeSpan.FromSeconds(50), TestContext.Current.CancellationToken);

        Assert.Equal(JobState.Running, job!.State);
        Assert.Equal(50, router.Waited.TotalSeconds);
    }

    [Fact]
    public async Task A_job_that_does_not_exist_is_not_waited_for()
    {
        var router = new PlayedRouter { EndsAtPoll = 0 };
        Assert.Null(await ClientOf(router).WaitForJobAsync(Tenant, "none", TimeSpan.FromMinutes(5), TestContext.Current.CancellationToken));
        Assert.Equal(1, router.Polls);
    }

    [Fact]
    public async Task Results_of_a_batch_are_read_page_by_page_over_those_that_are_empty()
    {
        List<string> pages = [];
        await foreach (var page in ClientOf(new()).ReadBatchResultsAsync(Tenant, "b1", TestContext.Current.CancellationToken))
        {
            pages.Add(System.Text.Encoding.UTF8.GetString(page.Span));
        }

        Assert.Equal(["one\n", "three\n"], pages);
    }

    [Fact]
    public void A_host_registers_the_client_with_one_call()
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.AddOrleansInferenceClient(client => client.UseLocalhostClustering());
        using var host = builder.Build();
        Assert.NotNull(host.Services.GetRequiredService<IInferenceClient>());
    }

    private static RouterClient ClientOf(PlayedRouter router) => new(router, router.Time);

    private sealed class PlayedRouter : IRouterGrain, IGrainFactory
    {
        public FakeTimeProvider Time { get; } = new();

        public InferenceRequest? LastRequest { get; private set; }

        public int EndsAtPoll { get; init; }

        public int Polls { get; private set; }

        public TimeSpan Waited { get; private set; }

        public Task<InferenceOutcome> Invoke(InferenceRequest request, CancellationToken cancellationToken = default)
        {
            LastRequest = request;
            return Task.FromResult(InferenceOutcome.Refused(ProblemCode.NoCandidate, "none"));
        }

        public Task<JobView?> GetJob(TenantId tenant, string jobId, TimeSpan wait)
        {
            Polls++;
            Waited += wait;
            Time.Advance(wait);
            return Task.FromResult<JobView?>(EndsAtPoll == 0 ? null : new()
            {
                JobId = jobId,
                Tenant = tenant,
                Model = new("chat"),
                State = Polls >= EndsAtPoll ? JobState.Succeeded : JobState.Running,
                Route = new() { DecisionId = "d", Class = TrafficClass.Low, Lane = Lane.Batch, Endpoint = new("e"), Variant = new("v") },
                AcceptedAt = default,
                Deadline = default,
            });
        }

        public Task<InferenceOutcomeOrExplanation> Explain(InferenceRequest request) => throw new NotSupportedException();

        public Task<InferenceOutcome?> GetJobResult(TenantId tenant, string jobId) => throw new NotSupportedException();

        public Task<JobView?> CancelJob(TenantId tenant, string jobId) => throw new NotSupportedException();

        public Task<InferenceOutcome> SubmitBatch(InferenceRequest request) => throw new NotSupportedException();

        public Task<BatchView?> GetBatch(TenantId tenant, string batchId, TimeSpan wait) => throw new NotSupportedException();

        public Task<BatchResultPage?> GetBatchResults(TenantId tenant, string batchId, long from) => Task.FromResult<BatchResultPage?>(from switch
        {
            1 => new() { Lines = "one\n"u8.ToArray(), Next = 65 },
            65 => new() { Next = 129 },
            129 => new() { Lines = "three\n"u8.ToArray(), Next = 130 },
            _ => new(),
        });

        public Task<BatchView?> CancelBatch(TenantId tenant, string batchId) => throw new NotSupportedException();

        public TGrainInterface GetGrain<TGrainInterface>(long primaryKey, string? grainClassNamePrefix = null)
            where TGrainInterface : IGrainWithIntegerKey => (TGrainInterface)(object)this;

        public TGrainInterface GetGrain<TGrainInterface>(Guid primaryKey, string? grainClassNamePrefix = null)
            where TGrainInterface : IGrainWithGuidKey => throw new NotSupportedException();

        public TGrainInterface GetGrain<TGrainInterface>(string primaryKey, string? grainClassNamePrefix = null)
            where TGrainInterface : IGrainWithStringKey => throw new NotSupportedException();

        public TGrainInterface GetGrain<TGrainInterface>(Guid primaryKey, string keyExtension, string? grainClassNamePrefix = null)
            where TGrainInterface : IGrainWithGuidCompoundKey => throw new NotSupportedException();

        public TGrainInterface GetGrain<TGrainInterface>(long primaryKey, string keyExtension, string? grainClassNamePrefix = null)
            where TGrainInterface : IGrainWithIntegerCompoundKey => throw new NotSupportedException();

        public TGrainObserverInterface CreateObjectReference<TGrainObserverInterface>(IGrainObserver obj)
            where TGrainObserverInterface : IGrainObserver => throw new NotSupportedException();

        public void DeleteObjectReference<TGrainObserverInterface>(IGrainObserver obj)
            where TGrainObserverInterface : IGrainObserver => throw new NotSupportedException();

        public IGrain GetGrain(Type grainInterfaceType, Guid grainPrimaryKey) => throw new NotSupportedException();

        public IGrain GetGrain(Type grainInterfaceType, long grainPrimaryKey) => throw new NotSupportedException();

        public IGrain GetGrain(Type grainInterfaceType, string grainPrimaryKey) => throw new NotSupportedException();

        public IGrain GetGrain(Type grainInterfaceType, Guid grainPrimaryKey, string keyExtension) => throw new NotSupportedException();

        public IGrain GetGrain(Type grainInterfaceType, long grainPrimaryKey, string keyExtension) => throw new NotSupportedException();

        public IAddressable GetGrain(Type grainInterfaceType, IdSpan grainKey) => throw new NotSupportedException();

        public IAddressable GetGrain(Type grainInterfaceType, IdSpan grainKey, string grainClassNamePrefix) => throw new NotSupportedException();

        public TGrainInterface GetGrain<TGrainInterface>(GrainId grainId)
            where TGrainInterface : IAddressable => throw new NotSupportedException();

        public IAddressable GetGrain(GrainId grainId) => throw new NotSupportedException();

        public IAddressable GetGrain(GrainId grainId, GrainInterfaceType interfaceType) => throw new NotSupportedException();
    }
}
