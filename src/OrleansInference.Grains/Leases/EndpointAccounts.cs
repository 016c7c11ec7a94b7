using System.Collections.Concurrent;
using Microsoft.Extensions.Options;
using OrleansInference.Capacity;
using OrleansInference.Hosting;

namespace OrleansInference.Leases;

/// <summary>The endpoints that this silo sends to. Bounded by the catalog.</summary>
internal sealed class EndpointAccounts(IGrainFactory grains, LeaseHolderIdentity holder, RouterClock clock, IOptions<OrleansInferenceOptions> options) : ISlotObserver
{
    private readonly ConcurrentDictionary<EndpointName, EndpointAccount> _accounts = new();
    private readonly Lock _creating = new();
    private ISlotObserver? _reference;
    private readonly CircuitBreakerOptions _breaker = new() { MaxProbes = options.Value.MaxProbes };

    public EndpointAccount Get(EndpointName endpoint) => _accounts.TryGetValue(endpoint, out var account)
        ? account
        : _accounts.GetOrAdd(endpoint, name => new(name, grains.GetGrain<IEndpointGrain>(name.Value), holder, clock, _breaker, Reference));

    /// <inheritdoc/>
    public Task OnGrant(EndpointName endpoint, LeaseGrant grant)
    {
        if (_accounts.TryGetValue(endpoint, out var account))
        {
            account.OnGrant(grant);
        }

        return Task.CompletedTask;
    }

    public Task BeatAsync(bool closing) => LeaseBeat.RunAsync(_accounts.Values, closing);

    // Kept in a field: the runtime holds the observer itself weakly, and this object is what it holds.
    private ISlotObserver Reference()
    {
        lock (_creating)
        {
            return _reference ??= grains.CreateObjectReference<ISlotObserver>(this);
        }
    }
}
