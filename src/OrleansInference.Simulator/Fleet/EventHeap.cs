namespace OrleansInference.Simulator.Fleet;

/// <summary>Items by time, the earliest first and of equal times the one added first: a heap of four children a node.</summary>
public sealed class EventHeap
{
    private Entry[] _entries = new Entry[1024];
    private long _sequence;

    /// <summary>How many there are.</summary>
    public int Count { get; private set; }

    /// <summary>The earliest time; <see cref="long.MaxValue"/> if there is none.</summary>
    public long Earliest => Count == 0 ? long.MaxValue : _entries[0].At;

    /// <summary>Adds an item.</summary>
    public void Add(long at, int item)
    {
        if (Count == _entries.Length)
        {
            Array.Resize(ref _entries, 2 * Count);
        }

        var entry = new Entry(at, ++_sequence, item);
        var index = Count++;
        while (index > 0)
        {
            var parent = (index - 1) >> 2;
            if (!IsBefore(entry, _entries[parent]))
            {
                break;
            }

            _entries[index] = _entries[parent];
            index = parent;
        }

        _entries[index] = entry;
    }

    /// <summary>The earliest item.</summary>
    public int Peek() => _entries[0].Item;

    /// <summary>Takes out the earliest item.</summary>
    public int Take()
    {
        var taken = _entries[0].Item;
        var moving = _entries[--Count];
        var index = 0;
        while (true)
        {
            var child = (index << 2) + 1;
            if (child >= Count)
            {
                break;
            }

            var last = Math.Min(child + 4, Count);
            var least = child;
            for (var other = child + 1; other < last; other++)
            {
                if (IsBefore(_entries[other], _entries[least]))
                {
                    least = other;
                }
            }

            if (!IsBefore(_entries[least], moving))
            {
                break;
            }

            _entries[index] = _entries[least];
            index = least;
        }

        _entries[index] = moving;
        return taken;
    }

    private static bool IsBefore(in Entry one, in Entry other) => one.At < other.At || (one.At == other.At && one.Sequence < other.Sequence);

    private readonly record struct Entry(long At, long Sequence, int Item);
}
