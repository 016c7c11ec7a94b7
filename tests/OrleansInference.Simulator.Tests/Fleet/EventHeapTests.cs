using FsCheck.Xunit;
using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Tests.Fleet;

public sealed class EventHeapTests
{
    [Property]
    public bool Items_come_by_time_and_then_in_the_order_they_were_added(byte[] times)
    {
        var heap = new EventHeap();
        for (var i = 0; i < times.Length; i++)
        {
            heap.Add(times[i] % 16, i);
        }

        var taken = new List<int>();
        while (heap.Count > 0)
        {
            taken.Add(heap.Take());
        }

        return taken.SequenceEqual(Enumerable.Range(0, times.Length).OrderBy(i => times[i] % 16));
    }
}
