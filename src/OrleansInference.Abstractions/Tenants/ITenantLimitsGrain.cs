namespace OrleansInference;

/// <summary>What is left of a limit, as far as the silo knows that served the request.</summary>
/// <param name="Class">The class that the limit is for; null: for all.</param>
/// <param name="IsRate">Whether it is a rate; else it is of requests in flight.</param>
/// <param name="Limit">The most at once: the burst, or the most in flight.</param>
/// <param name="PerSecond">Of a rate: requests per second.</param>
/// <param name="Remaining">Requests that would be admitted now.</param>
/// <param name="ResetMs">Of a rate: in how many milliseconds that is as much as it can be.</param>
[GenerateSerializer, Immutable, Alias("oi.LimitQuota")]
public readonly record struct LimitQuota(
    [property: Id(0)] TrafficClass? Class,
    [property: Id(1)] bool IsRate,
    [property: Id(2)] int Limit,
    [property: Id(3)] double PerSecond,
    [property: Id(4)] long Remaining,
    [property: Id(5)] long ResetMs);

/// <summary>Owns what is left of a tenant's limits at the door, leased to silos. Key: the tenant's id.</summary>
[Alias("oi.ITenantLimitsGrain")]
public interface ITenantLimitsGrain : IGrainWithStringKey
{
    /// <summary>Takes a silo's report on a rate and grants more of it; null if the tenant has no such limit.</summary>
    [Alias("RefillRate")] Task<RateGrant?> RefillRate(TrafficClass? limit, RateReport report);

    /// <summary>Admits one request of a silo whose lease has nothing left; null if the tenant has no such limit.</summary>
    [Alias("TakeRate")] Task<bool?> TakeRate(TrafficClass? limit);

    /// <summary>Takes a silo's report on requests in flight and grants more; null if the tenant has no such limit.</summary>
    [Alias("RefillInFlight")] Task<LeaseGrant?> RefillInFlight(TrafficClass? limit, LeaseReport report);
}
