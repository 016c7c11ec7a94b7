using System.Collections.Immutable;
using OrleansInference.Hosting;
using OrleansInference.Queueing;

namespace OrleansInference.FrontDoor;

/// <summary>What is left of a tenant's limits, in the fields <c>RateLimit-Policy</c> and <c>RateLimit</c> of both dialects.</summary>
internal static class LimitHeaders
{
    private const string All = "all";
    private const string InFlight = "-in-flight";

    public static void Write(HttpContext context, ImmutableArray<LimitQuota> quotas)
    {
        if (quotas.IsDefaultOrEmpty)
        {
            return;
        }

        // The router's clock may run faster than that of the caller, who waits on the wall.
        var speed = context.RequestServices.GetService<RouterClock>()?.Speed ?? 1;
        var headers = context.Response.Headers;

        headers[RateLimitFields.PolicyName] = string.Join(", ", quotas.Select(quota => quota.IsRate
            ? RateLimitFields.Policy(NameOf(quota), quota.PerSecond * speed, quota.Limit)
            : RateLimitFields.ConcurrencyPolicy(NameOf(quota), quota.Limit)));
        headers[RateLimitFields.LimitName] = string.Join(", ", quotas.Select(quota =>
            RateLimitFields.Limit(NameOf(quota), quota.Remaining, quota.IsRate ? (long)Math.Ceiling(quota.ResetMs / speed) : null)));
    }

    // A policy's name tells what it is about: all or a class, and whether it is of requests in flight.
    private static string NameOf(LimitQuota quota) =>
        (quota.Class is { } only ? only.ToString().ToLowerInvariant() : All) + (quota.IsRate ? "" : InFlight);
}
