namespace OrleansInference.Queueing;

/// <summary>A binary heap of numbered items that finds each of them in constant time, so that any can be taken out or moved. The smallest key is first.</summary>
internal sealed class IndexedHeap
{
    private const int NotIn = -1;

    private (double Key, int Item)[] _heap = [];
    private int[] _places = [];

    /// <summary>How many items are in.</summary>
    public int Count { get; private set; }

    /// <summary>The item with the smallest key; there must be one.</summary>
    public int First => _heap[0].Item;

    /// <summary>The smallest key; there must be one.</summary>
    public double FirstKey => _heap[0].Key;

    /// <summary>Makes room for items below this number.</summary>
    public void Grow(int items)
    {
        var before = _places.Length;
        Array.Resize(ref _places, items);
        Array.Fill(_places, NotIn, before, items - before);
        Array.Resize(ref _heap, items);
    }

    /// <summary>Whether an item is in.</summary>
    public bool Contains(int item) => _places[item] >= 0;

    /// <summary>Puts an item in, or gives it another key.</summary>
    public void Set(int item, double key)
    {
        var place = _places[item];
        if (place < 0)
        {
            Up(Count++, key, item);
        }
        else if (key <= _heap[place].Key)
        {
            Up(place, key, item);
        }
        else
        {
            Down(place, key, item);
        }
    }

    /// <summary>Takes an item out that is in.</summary>
    public void Remove(int item)
    {
        var place = _places[item];
        _places[item] = NotIn;
        var (key, last) = _heap[--Count];
        if (last == item)
        {
            return;
        }

        if (place > 0 && key < _heap[(place - 1) / 2].Key)
        {
            Up(place, key, last);
        }
        else
        {
            Down(place, key, last);
        }
    }

    private void Up(int place, double key, int item)
    {
        var heap = _heap;
        while (place > 0 && heap[(place - 1) / 2].Key > key)
        {
            Put(place, heap[(place - 1) / 2]);
            place = (place - 1) / 2;
        }

        Put(place, (key, item));
    }

    private void Down(int place, double key, int item)
    {
        var heap = _heap;
        while (true)
        {
            var child = (2 * place) + 1;
            if (child >= Count)
            {
                break;
            }

            child += child + 1 < Count && heap[child + 1].Key < heap[child].Key ? 1 : 0;
            if (heap[child].Key >= key)
            {
                break;
            }

            Put(place, heap[child]);
            place = child;
        }

        Put(place, (key, item));
    }

    private void Put(int place, (double Key, int Item) entry)
    {
        _heap[place] = entry;
        _places[entry.Item] = place;
    }
}
