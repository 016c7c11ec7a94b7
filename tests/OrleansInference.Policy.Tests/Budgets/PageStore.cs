using OrleansInference.Budgets;

namespace OrleansInference.Tests.Budgets;

/// <summary>
/// The pages of a ledger as a storage with ETags keeps them: an owner that has been replaced may still try to write those it had taken, and an owner that
/// finds another's write in its way is to be replaced. In half of the histories pages are so small that a few reservations fill many.
/// </summary>
internal sealed class PageStore
{
    private readonly Random _random;
    private readonly bool _small;
    private readonly Dictionary<int, (ReservationPage Page, int Version)> _stored = [];
    private readonly Queue<(ReservationPage Page, int Version)> _late = new();
    private Dictionary<int, int> _known = [];
    private List<ReservationPage> _taken = [];
    private int _versions;

    public PageStore(int seed)
    {
        _random = new(seed ^ 0x2545_F491);
        _small = Chance(2);
    }

    /// <summary>Writes of pages so far.</summary>
    public int Writes { get; private set; }

    public bool Chance(int of) => _random.Next(of) == 0;

    /// <summary>A new owner takes up what is stored. What the one before had taken may be written late.</summary>
    public TenantLedger Open(TenantDefinition definition, TenantLedgerState? state)
    {
        foreach (var page in _taken)
        {
            _late.Enqueue((page, _known[page.Number]));
        }

        _taken = [];
        var numbers = Enumerable.Range(0, state?.Pages ?? 0).ToList();
        _known = numbers.ToDictionary(static number => number, VersionOf);
        return new(
            definition,
            state,
            null,
            null,
            [.. numbers.Select(number => _stored.TryGetValue(number, out var found) ? found.Page : new ReservationPage { Number = number })],
            _small ? new(pageSize: 4, storeAfter: 3) : new());
    }

    /// <summary>The state is durable: what it holds may go to pages from now on.</summary>
    public void Take(TenantLedger ledger)
    {
        if (_taken.Count == 0)
        {
            // It was the owner when the state was written; what happens to a page from here on is in its way.
            _taken = [.. ledger.TakePages()];
            foreach (var page in _taken)
            {
                _known.TryAdd(page.Number, VersionOf(page.Number));
            }
        }
    }

    /// <summary>Writes the pages that were taken; false if the owner dies before it has written all.</summary>
    public bool TryWrite(TenantLedger ledger, bool mayCrash)
    {
        if (_late.Count > 0 && Chance(4))
        {
            var (late, version) = _late.Dequeue();
            if (VersionOf(late.Number) == version)
            {
                Put(late);
            }
        }

        if (_taken.Count == 0)
        {
            return true;
        }

        var dieAt = mayCrash && Chance(6) ? _random.Next(_taken.Count + 1) : -1;
        for (var i = 0; i <= _taken.Count; i++)
        {
            if (i == dieAt)
            {
                return false;
            }

            if (i < _taken.Count)
            {
                var number = _taken[i].Number;
                if (_known[number] != VersionOf(number))
                {
                    return false;
                }

                _known[number] = Put(_taken[i]);
            }
        }

        _taken = [];
        ledger.PagesStored();
        return true;
    }

    private int VersionOf(int number) => _stored.TryGetValue(number, out var found) ? found.Version : 0;

    private int Put(ReservationPage page)
    {
        Writes++;
        _stored[page.Number] = (page, ++_versions);
        return _versions;
    }
}
