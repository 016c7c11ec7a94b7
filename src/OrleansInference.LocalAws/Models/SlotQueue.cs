namespace OrleansInference.LocalAws.Models;

/// <summary>A number of slots that may change, with a bounded first-come queue in front of them.</summary>
internal sealed class SlotQueue(int capacity, int maxWaiting)
{
    private readonly LinkedList<TaskCompletionSource> _waiting = new();
    private readonly Lock _gate = new();
    private int _capacity = capacity;
    private int _maxWaiting = maxWaiting;
    private int _inUse;

    /// <summary>Takes a slot, waiting in the queue if there is none; false at once if the queue is full.</summary>
    public async ValueTask<bool> TryAcquireAsync(CancellationToken cancellationToken)
    {
        LinkedListNode<TaskCompletionSource> place;
        lock (_gate)
        {
            if (_inUse < _capacity && _waiting.Count == 0)
            {
                _inUse++;
                return true;
            }

            if (_waiting.Count >= _maxWaiting)
            {
                return false;
            }

            place = _waiting.AddLast(new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }

        using var registration = cancellationToken.Register(() => Leave(place, cancellationToken));
        await place.Value.Task;
        return true;
    }

    /// <summary>Gives a slot back to the longest waiting.</summary>
    public void Release()
    {
        lock (_gate)
        {
            _inUse--;
            Grant_NeedsLock();
        }
    }

    /// <summary>Changes the number of slots. Slots in use beyond the new number end normally.</summary>
    public void Resize(int capacity, int maxWaiting)
    {
        lock (_gate)
        {
            _capacity = capacity;
            _maxWaiting = maxWaiting;
            Grant_NeedsLock();
        }
    }

    private void Grant_NeedsLock()
    {
        while (_inUse < _capacity && _waiting.First is { } next)
        {
            _waiting.Remove(next);
            if (next.Value.TrySetResult())
            {
                _inUse++;
            }
        }
    }

    private void Leave(LinkedListNode<TaskCompletionSource> place, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (place.List is not null)
            {
                _waiting.Remove(place);
                place.Value.TrySetCanceled(cancellationToken);
            }
        }
    }
}
