namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>Requests that wait, in the order in which they came: a ring that grows.</summary>
internal sealed class RequestQueue
{
    private Entry[] _ring = new Entry[256];
    private int _head;

    /// <summary>How many wait.</summary>
    public int Count { get; private set; }

    /// <summary>Microseconds since which the first one waits; <see cref="long.MaxValue"/> if none does.</summary>
    public long FirstSinceUs => Count == 0 ? long.MaxValue : _ring[_head].SinceUs;

    /// <summary>Adds a request at the end.</summary>
    public void Add(int request, long nowUs)
    {
        if (Count == _ring.Length)
        {
            var larger = new Entry[2 * Count];
            for (var i = 0; i < Count; i++)
            {
                larger[i] = _ring[(_head + i) & (Count - 1)];
            }

            (_ring, _head) = (larger, 0);
        }

        _ring[(_head + Count++) & (_ring.Length - 1)] = new(request, nowUs);
    }

    /// <summary>Takes the first one.</summary>
    public int Take()
    {
        var taken = _ring[_head].Request;
        _head = (_head + 1) & (_ring.Length - 1);
        Count--;
        return taken;
    }

    private readonly record struct Entry(int Request, long SinceUs);
}
