using System.Collections.Concurrent;
using Microsoft.Extensions.Options;
using OrleansInference.Capacity;
using OrleansInference.Hosting;

namespace OrleansInference.Leases;

/// <summary>The endpoints that this silo sends to. Bounded by the catalog.</summary>
internal sealed class EndpointAccounts(IGrainFactory grains, LeaseHolderIdentity holder, RouterClock clock, IOptions<OrleansInferenceOptions> options)
{
    private readonly ConcurrentDictionary<EndpointName, EndpointAccount> _accounts = new();
    private readonly CircuitBreakerOptions _breaker = new() { MaxProbes = options.Value.MaxProbes };

    public EndpointAccount Get(EndpointName endpoint) => _accounts.TryGetValue(endpoint, out var account)
        ? account
        : _accounts.GetOrAdd(endpoint, name => new(name, grains.GetGrain<IEndpointGrain>(name.Value), holder, clock, _breaker));

    public Task BeatAsync(bool closing) => LeaseBeat.RunAsync(_accounts.Values, closing);
}
