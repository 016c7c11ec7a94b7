using System.Collections.Concurrent;
using Microsoft.Extensions.Options;
using OrleansInference.Hosting;
using OrleansInference.Limits;
using OrleansInference.Tenants;

namespace OrleansInference.Leases;

/// <summary>The tenants that this silo serves. Bounded by the catalog; names that do not exist are remembered briefly and only so many.</summary>
internal sealed class TenantAccounts(IGrainFactory grains, LeaseHolderIdentity holder, RouterClock clock, IOptions<OrleansInferenceOptions> options)
{
    private const int MaxUnknown = 10_000;
    private const long UnknownMs = 2_000;

    private readonly ConcurrentDictionary<TenantId, TenantAccount> _accounts = new();
    private readonly ConcurrentDictionary<TenantId, long> _unknown = new();

    /// <summary>The tenant's account; null if there is no such tenant.</summary>
    public ValueTask<TenantAccount?> GetAsync(TenantId tenant)
    {
        var now = clock.Now;
        if (_accounts.TryGetValue(tenant, out var account) && account.IsFresh(now))
        {
            return new(account.Definition is null ? null : account);
        }

        return _unknown.TryGetValue(tenant, out var until) && now < until ? default : LoadAsync(tenant, account);
    }

    public async Task BeatAsync(bool closing)
    {
        var now = clock.Now;
        foreach (var (tenant, until) in _unknown)
        {
            if (until <= now)
            {
                _unknown.TryRemove(tenant, out _);
            }
        }

        await Task.WhenAll(LeaseBeat.RunAsync(_accounts.Values, closing), BeatLimitsAsync(closing));
    }

    private TenantLimits NewLimits(TenantId tenant) => new(tenant, grains.GetGrain<ITenantLimitsGrain>(tenant.Value), holder, clock);

    private async Task BeatLimitsAsync(bool closing)
    {
        try
        {
            await Task.WhenAll(_accounts.Values.Select(account => account.Limits?.BeatAsync(closing) ?? Task.CompletedTask));
        }
        catch (Exception) when (!closing)
        {
            // As with leases: the next report states what this one could not.
        }
    }

    private async ValueTask<TenantAccount?> LoadAsync(TenantId tenant, TenantAccount? account)
    {
        var isKnown = account is not null;
        account ??= new(tenant, grains.GetGrain<ITenantGrain>(tenant.Value), holder, clock, LeaseTimes.ReportEveryMs(options.Value), NewLimits);
        if (!isKnown && await grains.GetGrain<ITenantGrain>(tenant.Value).GetDefinition() is null)
        {
            if (_unknown.Count < MaxUnknown)
            {
                _unknown[tenant] = clock.Now + UnknownMs;
            }

            return null;
        }

        account = _accounts.GetOrAdd(tenant, account);
        await account.RefreshAsync();
        return account.Definition is null ? null : account;
    }
}
