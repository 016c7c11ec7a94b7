namespace OrleansInference.Simulator.Fleet;

/// <summary>The requests under way, each at an index of its own, which is used anew when it has left. Grows with what is under way at once, and never with the trace.</summary>
internal sealed class RequestTable
{
    private Request[] _requests = new Request[1024];
    private int[] _free = new int[1024];
    private int _freeCount;
    private int _used;

    /// <summary>How many are under way.</summary>
    public int Count => _used - _freeCount;

    /// <summary>By index; those that have left are among them.</summary>
    public Span<Request> All => _requests;

    /// <summary>A request.</summary>
    public ref Request this[int index] => ref _requests[index];

    /// <summary>Adds a request; its index.</summary>
    public int Add(in Request request)
    {
        int index;
        if (_freeCount > 0)
        {
            index = _free[--_freeCount];
        }
        else
        {
            if (_used == _requests.Length)
            {
                Array.Resize(ref _requests, 2 * _used);
            }

            index = _used++;
        }

        _requests[index] = request;
        return index;
    }

    /// <summary>Takes out a request.</summary>
    public void Remove(int index)
    {
        if (_freeCount == _free.Length)
        {
            Array.Resize(ref _free, 2 * _free.Length);
        }

        _free[_freeCount++] = index;
    }
}
