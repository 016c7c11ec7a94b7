namespace OrleansInference.Tests.Jobs;

internal static class JobSamples
{
    public static EndpointConfiguration Endpoint(Lane lane, Tariff? tariff = null) => new()
    {
        Model = new("chat"),
        Variant = new("full"),
        InstanceSecondCost = Money.FromNanos(1_000),
        Endpoint = new()
        {
            Name = new("chat-" + lane.ToString().ToLowerInvariant()),
            Lane = lane,
            InstanceType = "ml.g5.xlarge",
            ConcurrencyPerInstance = 4,
            MaxInstances = 2,
            MaxServiceSeconds = 60,
            WindowMaxRequests = 5,
            WindowMaxSeconds = 900,
            Prior = new() { ServiceP50Seconds = 2, ServiceP99Seconds = 5, ColdStartSeconds = 100 },
            Tariff = tariff ?? new() { PerSlotSecond = Money.FromNanos(1_000_000) },
        },
    };

    public static JobSpecification Specification(Lane lane, long acceptedAt, long deadline, Money? cap = null, string hash = "aa") => new()
    {
        Request = new() { Tenant = new("acme"), Model = new("chat"), InputTokens = 100 },
        Route = new()
        {
            DecisionId = "d1",
            Class = TrafficClass.Medium,
            Lane = lane,
            Endpoint = new("chat-" + lane.ToString().ToLowerInvariant()),
            Variant = new("full"),
            ChargeCap = cap ?? Money.FromNanos(60_000_000),
        },
        InputKey = "jobs/acme/x/input-1",
        AcceptedAt = acceptedAt,
        Deadline = deadline,
        BodyHash = hash,
        BodyLength = 400,
    };
}
