namespace OrleansInference.Webhooks;

/// <summary>Lets so many through at once for each key; a bounded number more may wait in line.</summary>
internal sealed class SendingGate(int most, int mostWaiting)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);

    /// <summary>Waits at most <paramref name="patience"/> for a place; false if there is none. Who got one leaves it.</summary>
    public async Task<bool> TryEnterAsync(string key, TimeSpan patience, CancellationToken cancellationToken)
    {
        Entry? entry;
        lock (_lock)
        {
            if (!_entries.TryGetValue(key, out entry))
            {
                _entries[key] = entry = new(most);
            }

            if (entry.Users >= most + mostWaiting)
            {
                return false;
            }

            entry.Users++;
        }

        var entered = false;
        try
        {
            entered = await entry.Places.WaitAsync(patience, cancellationToken);
            return entered;
        }
        finally
        {
            if (!entered)
            {
                Forget(key, entry);
            }
        }
    }

    /// <summary>Gives a place back.</summary>
    public void Leave(string key)
    {
        Entry entry;
        lock (_lock)
        {
            entry = _entries[key];
        }

        entry.Places.Release();
        Forget(key, entry);
    }

    private void Forget(string key, Entry entry)
    {
        lock (_lock)
        {
            if (--entry.Users == 0)
            {
                _entries.Remove(key);
                entry.Places.Dispose();
            }
        }
    }

    private sealed class Entry(int most)
    {
        public SemaphoreSlim Places { get; } = new(most);

        public int Users { get; set; }
    }
}
