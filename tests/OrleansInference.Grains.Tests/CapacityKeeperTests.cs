using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using OrleansInference.Capacity;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

public sealed class CapacityKeeperTests
{
    private static readonly EndpointDefinition Endpoint = new()
    {
        Name = new("chat-rt"),
        Lane = Lane.Realtime,
        InstanceType = "ml.x",
        ConcurrencyPerInstance = 4,
        MinInstances = 1,
        MaxInstances = 8,
        Prior = new() { ServiceP50Seconds = 1, ServiceP99Seconds = 3, ColdStartSeconds = 60 },
    };

    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);
    private readonly RouterClock _clock;
    private readonly ControlPlane _plane = new();
    private readonly List<CapacityKeeperState> _stored = [];
    private CapacityKeeper _keeper;

    public CapacityKeeperTests()
    {
        _clock = new(_time);
        _keeper = new(_plane, _clock, NullLogger.Instance);
    }

    [Fact]
    public async Task A_crowd_gets_instances_and_what_was_told_is_stored_before_it_is_told()
    {
        _plane.OnSet = () => Assert.Equal(_plane.Asked, _stored[^1].Told);
        await BeatAsync(waiting: 0);
        await BeatAsync(waiting: 100);
        Assert.InRange(_plane.Desired, 2, Endpoint.MaxInstances);
        Assert.NotEmpty(_keeper.LastChange);
        Assert.True(_keeper.MoreAt > _clock.Now);
    }

    [Fact]
    public async Task What_somebody_else_sets_is_taken_as_it_is()
    {
        await BeatAsync(waiting: 0);
        _plane.Desired = _plane.Current = 6;
        var sets = _plane.Sets;
        for (var i = 0; i < 10; i++)
        {
            await BeatAsync(waiting: 0);
        }

        Assert.Equal((6, sets), (_plane.Desired, _plane.Sets));
        Assert.Contains("somebody else set it to 6", _keeper.LastChange, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_change_whose_answer_was_lost_is_known_for_ours_also_after_a_restart(bool restarts)
    {
        await BeatAsync(waiting: 0);
        _plane.LosesAnswer = true;
        await Assert.ThrowsAsync<TimeoutException>(() => BeatAsync(waiting: 100));
        _plane.LosesAnswer = false;
        var wanted = _plane.Desired;
        if (restarts)
        {
            _keeper = new(_plane, _clock, NullLogger.Instance, _stored[^1]);
        }

        await BeatAsync(waiting: 100);
        Assert.DoesNotContain("somebody else", _keeper.LastChange, StringComparison.Ordinal);
        Assert.True(_plane.Desired >= wanted);
    }

    [Fact]
    public async Task A_control_plane_that_goes_on_reporting_the_old_number_for_a_while_is_not_taken_for_somebody_else()
    {
        await BeatAsync(waiting: 0);
        await BeatAsync(waiting: 100);
        var wanted = _plane.Desired;
        _plane.Desired = 1;
        await BeatAsync(waiting: 100);
        Assert.DoesNotContain("somebody else", _keeper.LastChange, StringComparison.Ordinal);
        Assert.Equal(wanted, _plane.Desired);
    }

    [Fact]
    public async Task While_it_is_being_changed_nothing_is_asked_of_it_and_afterwards_it_is()
    {
        await BeatAsync(waiting: 0);
        _plane.Status = "Updating";
        await BeatAsync(waiting: 100);
        Assert.Equal(0, _plane.Sets);
        Assert.Contains("Updating", _keeper.ToView(Endpoint).Hold, StringComparison.Ordinal);
        Assert.True(_keeper.IsHealthy);
        _plane.Status = "InService";
        await BeatAsync(waiting: 100);
        Assert.Equal(1, _plane.Sets);
        Assert.Null(_keeper.ToView(Endpoint).Hold);
    }

    [Fact]
    public async Task An_endpoint_that_has_failed_serves_nothing_and_is_left_alone()
    {
        await BeatAsync(waiting: 0);
        (_plane.Status, _plane.FailureReason) = ("Failed", "no capacity in the zone");
        await BeatAsync(waiting: 100);
        Assert.False(_keeper.IsHealthy);
        Assert.Equal(0, _plane.Sets);
        Assert.Contains("no capacity in the zone", _keeper.ToView(Endpoint).Hold, StringComparison.Ordinal);
    }

    [Fact]
    public async Task After_a_restart_while_the_control_plane_does_not_answer_the_instances_are_known()
    {
        _plane.Current = _plane.Desired = 5;
        await BeatAsync(waiting: 0);
        _keeper = new(_plane, _clock, NullLogger.Instance, _keeper.ToState());
        _plane.IsDown = true;
        await Assert.ThrowsAsync<TimeoutException>(() => _keeper.DescribeAsync(Endpoint));
        Assert.Equal((5, true), (_keeper.InService, _keeper.IsHealthy));
    }

    [Fact]
    public async Task The_operators_bounds_hold_also_for_what_somebody_else_has_set()
    {
        await BeatAsync(waiting: 0);
        _plane.Current = _plane.Desired = 8;
        await BeatAsync(waiting: 0);
        Assert.Contains("somebody else", _keeper.LastChange, StringComparison.Ordinal);
        await BeatAsync(waiting: 0, Endpoint with { MaxInstances = 2 });
        Assert.Equal(2, _plane.Desired);
    }

    [Fact]
    public async Task A_change_that_SageMaker_rolls_back_is_not_taken_for_somebody_elses()
    {
        await BeatAsync(waiting: 0);
        await BeatAsync(waiting: 100);
        Assert.True(_plane.Desired > 1);
        _plane.Status = "Updating";
        await BeatAsync(waiting: 100);
        (_plane.Status, _plane.Desired) = ("InService", 1);
        await BeatAsync(waiting: 100);
        Assert.DoesNotContain("somebody else", _keeper.LastChange, StringComparison.Ordinal);
        Assert.True(_plane.Desired > 1);
    }

    [Fact]
    public async Task Executions_of_a_serverless_endpoint_are_kept_warm_within_their_bounds()
    {
        var endpoint = Endpoint with { Lane = Lane.Serverless, InstanceType = "", ConcurrencyPerInstance = 1, MemoryMb = 2048, MinInstances = 0, MaxInstances = 50, MaxProvisioned = 6 };
        await BeatAsync(waiting: 0, endpoint);
        for (var i = 0; i < 10; i++)
        {
            await BeatAsync(waiting: 100, endpoint);
        }

        Assert.True(_plane.IsProvisioned);
        Assert.Equal(6, _plane.Desired);
    }

    [Fact]
    public async Task A_recommendation_changes_nothing()
    {
        var endpoint = Endpoint with { Scaling = ScalingMode.Recommend };
        await BeatAsync(waiting: 0, endpoint);
        for (var i = 0; i < 20; i++)
        {
            await BeatAsync(waiting: 100, endpoint);
        }

        Assert.Equal((0, 1), (_plane.Sets, _plane.Desired));
        Assert.True(_keeper.ToView(endpoint).Wanted > 1);
        Assert.NotEmpty(_keeper.LastChange);

        // Others may change it: that is what the mode is for.
        _plane.Desired = _plane.Current = 5;
        await BeatAsync(waiting: 100, endpoint);
        Assert.DoesNotContain("somebody else", _keeper.LastChange, StringComparison.Ordinal);
    }

    private async Task BeatAsync(int waiting, EndpointDefinition? endpoint = null)
    {
        _time.Advance(TimeSpan.FromSeconds(15));
        await _keeper.DescribeAsync(endpoint ?? Endpoint);
        await _keeper.DecideAsync(endpoint ?? Endpoint, new() { Now = _clock.Now, Waiting = waiting, Arrivals = waiting }, () =>
        {
            _stored.Add(_keeper.ToState());
            return Task.CompletedTask;
        });
    }

    private sealed class ControlPlane : IEndpointControl
    {
        public string Status { get; set; } = "InService";

        public string? FailureReason { get; set; }

        public int Current { get; set; } = 1;

        public int Desired { get; set; } = 1;

        public int Asked { get; private set; }

        public int Sets { get; private set; }

        public bool LosesAnswer { get; set; }

        public bool IsProvisioned { get; private set; }

        public bool IsDown { get; set; }

        public Action OnSet { get; set; } = static () => { };

        public Task<EndpointDescription?> DescribeAsync(string endpointName, CancellationToken cancellationToken) => IsDown ? throw new TimeoutException("The control plane is down.") : Task.FromResult<EndpointDescription?>(
            new() { Status = Status, VariantName = "AllTraffic", CurrentInstanceCount = Current, DesiredInstanceCount = Desired, FailureReason = FailureReason });

        public Task<bool> SetProvisionedConcurrencyAsync(string endpointName, string variantName, int executions, CancellationToken cancellationToken)
        {
            IsProvisioned = true;
            return SetDesiredInstancesAsync(endpointName, variantName, executions, cancellationToken);
        }

        public Task<bool> SetDesiredInstancesAsync(string endpointName, string variantName, int instances, CancellationToken cancellationToken)
        {
            Asked = instances;
            OnSet();
            Sets++;
            Desired = instances;
            return LosesAnswer ? throw new TimeoutException("The answer was lost.") : Task.FromResult(true);
        }
    }
}
