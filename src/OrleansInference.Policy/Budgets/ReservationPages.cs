using System.Text.Json.Serialization;

namespace OrleansInference.Budgets;

/// <summary>A bounded number of a ledger's reservations, stored apart from it.</summary>
public sealed record ReservationPage
{
    /// <summary>Which page of the ledger it is, from 0.</summary>
    [JsonPropertyName("number")] public int Number { get; init; }

    /// <summary>The reservations.</summary>
    [JsonPropertyName("reservations")] public IReadOnlyList<ReservationRecord> Reservations { get; init; } = [];
}

/// <summary>
/// Which reservation is stored in which page, and which have changed since their page was stored. The changed ones are stored with the ledger itself, so
/// that one write makes a change durable, however many reservations are open. A page is written only with what a durable ledger says, and the ledger leaves
/// out only what durable pages have: whichever of the writes a crash falls between, the newest of each reservation is what was last durable.
/// </summary>
/// <remarks>
/// A reservation has its page from the beginning, and that is stored with it. So an owner that takes over writes what was being written to the same pages,
/// and one that it replaced finds those writes in its way.
/// </remarks>
/// <param name="pageSize">The most reservations of a page.</param>
/// <param name="storeAfter">How many have changed before pages are stored: the more, the more of them share a page; the fewer, the smaller is what each write repeats.</param>
internal sealed class ReservationPages(int pageSize = 128, int storeAfter = 64)
{
    /// <summary>How many may have changed before no more are to be made, so that what is stored with the ledger is bounded.</summary>
    public const int MaxChanged = 1_000;

    private readonly List<List<string>> _members = [];
    private readonly Dictionary<string, ReservationRecord> _changed = new(StringComparer.Ordinal);
    private readonly HashSet<int> _emptied = [];
    private List<ReservationRecord>? _underway;
    private int _underwayCount;
    private int _filling = -1;

    /// <summary>How many pages there are to read. One that is being stored for the first time is not among them yet: what stands there may be anything.</summary>
    public int Count { get; private set; }

    /// <summary>How many pages reservations have been given, stored or not.</summary>
    public int Allocated => _members.Count;

    /// <summary>Whether pages must be stored before more is changed.</summary>
    public bool IsFull => _changed.Count >= MaxChanged;

    /// <summary>What has changed since its page was stored; null if nothing has.</summary>
    public IReadOnlyList<ReservationRecord>? Changed => _changed.Count == 0 ? null : [.. _changed.Values];

    /// <summary>Takes up the next of the pages that are stored.</summary>
    public void AddPage()
    {
        _members.Add([]);
        Count = _members.Count;
    }

    /// <summary>The page of a reservation: its own, one that it had before and may still stand in, or one with room.</summary>
    public int PageOf(ReservationRecord reservation) => reservation.Page ?? _changed.GetValueOrDefault(reservation.Id)?.Page ?? FindRoom();

    /// <summary>A reservation is in its page.</summary>
    public void Join(ReservationRecord reservation)
    {
        while (_members.Count <= reservation.Page)
        {
            _members.Add([]);
        }

        _members[reservation.Page!.Value].Add(reservation.Id);
    }

    /// <summary>A reservation is in its page no longer: it is not remembered, or is in another. What the page still says of it has ended, or is older.</summary>
    public void Leave(ReservationRecord reservation)
    {
        var page = reservation.Page!.Value;
        _members[page].Remove(reservation.Id);
        if (_members[page].Count == 0)
        {
            _emptied.Add(page);
        }
    }

    /// <summary>A reservation in a page is new there or has changed.</summary>
    public void Change(ReservationRecord reservation) => _changed[reservation.Id] = reservation;

    /// <summary>
    /// Pages with everything that has changed so far, if it is enough to be worth it and none are underway. They may be written once the ledger as it
    /// stands now is durable.
    /// </summary>
    public IReadOnlyList<ReservationPage> Take(Func<string, ReservationRecord> find)
    {
        if (_underway is not null || _changed.Count < storeAfter)
        {
            return [];
        }

        _underway = [.. _changed.Values];
        _underwayCount = _members.Count;
        SortedSet<int> pages = [.. _underway.Select(static reservation => reservation.Page!.Value), .. _emptied.Where(page => page < _members.Count)];
        _emptied.Clear();
        return [.. pages.Select(page => new ReservationPage { Number = page, Reservations = [.. _members[page].Select(find)] })];
    }

    /// <summary>The pages that were taken are durable.</summary>
    public void Stored()
    {
        foreach (var record in _underway ?? [])
        {
            if (ReferenceEquals(_changed.GetValueOrDefault(record.Id), record))
            {
                _changed.Remove(record.Id);
            }
        }

        _underway = null;
        while (_members is [.., { Count: 0 }] && !_emptied.Contains(_members.Count - 1) && _changed.Values.All(record => record.Page != _members.Count - 1))
        {
            _members.RemoveAt(_members.Count - 1);
        }

        Count = Math.Min(_underwayCount, _members.Count);
    }

    // One page is filled at a time, so that those that came together are together. One that has become half empty is filled again before there is another.
    private int FindRoom()
    {
        if (_filling >= 0 && _filling < _members.Count && _members[_filling].Count < pageSize)
        {
            return _filling;
        }

        _filling = -1;
        for (var page = 0; page < _members.Count; page++)
        {
            if (_members[page].Count <= pageSize / 2 && (_filling < 0 || _members[page].Count < _members[_filling].Count))
            {
                _filling = page;
            }
        }

        if (_filling < 0)
        {
            _filling = _members.Count;
        }

        return _filling;
    }
}
