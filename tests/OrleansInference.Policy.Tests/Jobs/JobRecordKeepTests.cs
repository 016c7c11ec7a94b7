using FsCheck.Xunit;
using OrleansInference.Jobs;

namespace OrleansInference.Tests.Jobs;

/// <summary>A job that keeps only a part of its endpoint goes the way that it would with all of it, whatever happens to it.</summary>
public sealed class JobRecordKeepTests
{
    private const long Start = 1_000_000;
    private const long Deadline = Start + 600_000;

    // What a job on the async lane does not look at, each for its reason: the decision is made, and SageMaker has the capacity.
    private static readonly string[] Decided =
    [
        nameof(EndpointDefinition.InstanceType), nameof(EndpointDefinition.ConcurrencyPerInstance), nameof(EndpointDefinition.MinInstances), nameof(EndpointDefinition.MaxInstances),
        nameof(EndpointDefinition.MemoryMb), nameof(EndpointDefinition.MaxPayloadBytes), nameof(EndpointDefinition.Streaming), nameof(EndpointDefinition.Simulation),
        nameof(EndpointDefinition.WindowMaxRequests), nameof(EndpointDefinition.WindowMaxSeconds), nameof(EndpointDefinition.Draining), nameof(EndpointDefinition.Shared),
        nameof(EndpointDefinition.TargetModel), nameof(EndpointDefinition.LoadedModels), nameof(EndpointDefinition.Scaling), nameof(EndpointDefinition.MaxProvisioned),
        nameof(EndpointDefinition.ServesDeferred),
    ];

    [Fact]
    public void Every_member_is_kept_or_named_here_as_one_that_a_job_has_no_use_for()
    {
        var all = Whole(Lane.Async).Endpoint;
        var kept = JobRecord.Keep(Whole(Lane.Async)).Endpoint;
        var plain = new EndpointDefinition { Name = all.Name, Lane = all.Lane };
        foreach (var property in typeof(EndpointDefinition).GetProperties().Where(static property => property.CanWrite))
        {
            var value = property.GetValue(all);
            var isKept = Equals(value, property.GetValue(kept));
            Assert.True(isKept != Decided.Contains(property.Name), $"{property.Name}: {(isKept ? "kept, though named" : "neither kept nor named")}");
            Assert.True(property.Name is nameof(EndpointDefinition.Name) or nameof(EndpointDefinition.Lane) || !Equals(value, property.GetValue(plain)), $"{property.Name} is what it is without being set, so this test would not see it lost");
        }

        Assert.Equal(all.TargetName, kept.TargetName);
        Assert.Equal((Whole(Lane.Async).Model, Whole(Lane.Async).Variant), (JobRecord.Keep(Whole(Lane.Async)).Model, JobRecord.Keep(Whole(Lane.Async)).Variant));
    }

    [Fact]
    public void Of_a_batch_endpoint_all_is_kept_for_its_window_is_opened_with_it() => Assert.Equal(Whole(Lane.Batch), JobRecord.Keep(Whole(Lane.Batch)));

    [Property(MaxTest = 300)]
    public void What_is_kept_is_enough_for_every_step(byte[] events, bool batch)
    {
        var lane = batch ? Lane.Batch : Lane.Async;
        var (whole, kept) = (MachineOf(Whole(lane)), MachineOf(JobRecord.Keep(Whole(lane))));
        var now = Start;
        foreach (var happened in events)
        {
            now += happened * 500L;
            foreach (var machine in (JobMachine[])[whole, kept])
            {
                Happen(machine, happened, now);
            }

            Assert.Equal(whole.Next(), kept.Next());
            Assert.Equal(whole.Record with { Endpoint = kept.Record.Endpoint }, kept.Record with { Before = whole.Record.Before });
            Assert.Equal(whole.ToView(), kept.ToView());

            // Taken up after a restart, it is as it was.
            kept = new(kept.Record, new());
        }
    }

    private static void Happen(JobMachine machine, byte happened, long now)
    {
        switch (happened % 13)
        {
            case 0 or 1:
                machine.Dispatched("s3://b/o", "s3://b/f", now);
                break;
            case 2:
                machine.Joined("w/1", now);
                break;
            case 3:
                machine.NotYet(happened > 100, now);
                break;
            case 4:
                machine.DispatchFailed(new() { Code = ProblemCode.Throttled, Message = "later" }, mayPass: true, 0.5, now);
                break;
            case 5:
                machine.Answered(new(100, 20, 30, happened > 100 ? 700 : 0), "s3://b/o", "application/json", now);
                break;
            case 6:
                machine.ModelFailed(new() { Code = ProblemCode.ModelError, Message = "no" }, ran: happened > 100, now);
                break;
            case 7:
                machine.Stays(now);
                break;
            case 8:
                machine.TryHold(happened * 1_000L, 0.5, now);
                break;
            case 9:
                machine.Funded(now, now);
                break;
            case 10:
                machine.WindowEnded(new() { OutputKey = "jobs/x", Charge = Money.FromNanos(5), ServiceMs = 7, StartedAt = now }, "s3://b/jobs/x", "application/json", now);
                break;
            case 11:
                machine.Expire(now);
                break;
            default:
                machine.SettlementTaken();
                break;
        }
    }

    private static JobMachine MachineOf(EndpointConfiguration endpoint) => new(
        new() { JobId = "a", Specification = JobSamples.Specification(endpoint.Endpoint.Lane, Start, Deadline) with { MayHold = true }, Endpoint = endpoint, ReservationId = "r" },
        new());

    private static EndpointConfiguration Whole(Lane lane) => JobSamples.Endpoint(lane) with
    {
        Endpoint = new()
        {
            Name = new("chat-x"),
            Lane = lane,
            InstanceType = "ml.g5.xlarge",
            ConcurrencyPerInstance = 4,
            MinInstances = 1,
            MaxInstances = 2,
            MemoryMb = 1_024,
            MaxPayloadBytes = 1_000,
            MaxServiceSeconds = 61,
            Tariff = new() { PerSlotSecond = Money.FromNanos(1_003), PerRequest = Money.FromNanos(107), PerThousandInputTokens = Money.FromNanos(333), PerThousandOutputTokens = Money.FromNanos(77), PerGigabyte = Money.FromNanos(9_999_999) },
            Prior = new() { ServiceP50Seconds = 2, ServiceP99Seconds = 5, ColdStartSeconds = 100, ModelLoadSeconds = 3 },
            Target = "on-aws",
            Streaming = true,
            Simulation = new() { BaseSeconds = 3 },
            WindowMaxRequests = 5,
            WindowMaxSeconds = 901,
            Draining = true,
            Shared = new("shared"),
            TargetModel = "m.tar.gz",
            LoadedModels = 2,
            Scaling = (ScalingMode)1,
            ServesDeferred = true,
            MaxProvisioned = 3,
        },
    };
}
