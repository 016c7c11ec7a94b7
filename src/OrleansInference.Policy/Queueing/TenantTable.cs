using System.Runtime.InteropServices;

namespace OrleansInference.Queueing;

/// <summary>Small numbers for the tenants that somebody holds on to; a number is free again when nobody does.</summary>
internal sealed class TenantTable
{
    private readonly Dictionary<TenantId, int> _numbers = [];
    private (TenantId Tenant, int Holds)[] _tenants = new (TenantId, int)[16];
    private int[] _free = new int[16];
    private int _freeCount;
    private int _used;

    /// <summary>Numbers are below this.</summary>
    public int Capacity => _tenants.Length;

    /// <summary>How many tenants are held.</summary>
    public int Count => _numbers.Count;

    /// <summary>Who is held.</summary>
    public IReadOnlyDictionary<TenantId, int> Numbers => _numbers;

    /// <summary>The tenant's number, or -1.</summary>
    public int Find(TenantId tenant) => _numbers.TryGetValue(tenant, out var number) ? number : -1;

    /// <summary>The tenant's number; one that was not known is to be held.</summary>
    public int Number(TenantId tenant)
    {
        ref var number = ref CollectionsMarshal.GetValueRefOrAddDefault(_numbers, tenant, out var isKnown);
        if (isKnown)
        {
            return number;
        }

        if (_freeCount > 0)
        {
            number = _free[--_freeCount];
        }
        else
        {
            if (_used == _tenants.Length)
            {
                Array.Resize(ref _tenants, 2 * _used);
                Array.Resize(ref _free, 2 * _used);
            }

            number = _used++;
        }

        _tenants[number] = (tenant, 0);
        return number;
    }

    /// <summary>Keeps the number until it is released as often.</summary>
    public void Hold(int number) => _tenants[number].Holds++;

    /// <summary>The last release frees the number.</summary>
    public void Release(int number)
    {
        ref var tenant = ref _tenants[number];
        if (--tenant.Holds == 0)
        {
            _numbers.Remove(tenant.Tenant);
            tenant = default;
            _free[_freeCount++] = number;
        }
    }
}
