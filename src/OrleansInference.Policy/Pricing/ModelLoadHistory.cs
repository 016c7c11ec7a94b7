namespace OrleansInference.Pricing;

/// <summary>
/// One model's load for <see cref="AllRealtimeBaseline"/>: the last two hours by second, older minutes as a histogram of
/// the instances they needed.
/// </summary>
internal sealed class ModelLoadHistory(long firstSecond)
{
    // An hour back for what is reported late, an hour on for the longest request, and a little for the seconds it begins and ends in.
    private const int RingSeconds = 7500;
    private const int KeptSeconds = 3600;
    private const int MaxInstances = 4096;

    // Busy milliseconds of requests that cover a second in part, and by how many the full covers change at it: adding a
    // request costs the same however long it ran.
    private readonly long[] _partial = new long[RingSeconds];
    private readonly int[] _change = new int[RingSeconds];
    private readonly Fold _fold = new(Math.Max(0, firstSecond - KeptSeconds));
    private int _concurrency = 1;
    private Money _instanceSecondCost;
    private long _begin = firstSecond;
    private long _end = firstSecond;
    private long _requests;
    private long _late;

    public void Add(long arrivalMs, long serviceMs, int concurrency, Money instanceSecondCost)
    {
        _concurrency = concurrency;
        _instanceSecondCost = instanceSecondCost;
        _requests++;
        if ((arrivalMs / 1000) - KeptSeconds > _fold.Next)
        {
            _fold.To((arrivalMs / 1000) - KeptSeconds, _begin, _partial, _change, _concurrency);
        }

        long from = arrivalMs, to = arrivalMs + serviceMs;
        if (from < _fold.Next * 1000)
        {
            _late++;
            from = _fold.Next * 1000;
            to = Math.Max(from, to);
        }

        _begin = Math.Min(_begin, from / 1000);
        _end = Math.Max(_end, (to + 999) / 1000);
        Occupy(from, to);
    }

    public ModelBaseline Report(ModelName model)
    {
        var end = Math.Max(_end, _begin + 1);
        var fold = _fold.Copy();
        fold.To(end, _begin, (long[])_partial.Clone(), (int[])_change.Clone(), _concurrency);
        var (peak, at99) = fold.Fleet();
        var spanMs = (end - _begin) * 1000;
        return new(model, _requests, spanMs, peak, at99, OperatorCost.OfInstances(_instanceSecondCost, peak * spanMs), OperatorCost.OfInstances(_instanceSecondCost, at99 * spanMs), _late);
    }

    private void Occupy(long from, long to)
    {
        long first = from / 1000, last = to / 1000;
        if (first == last)
        {
            _partial[first % RingSeconds] += to - from;
            return;
        }

        _partial[first % RingSeconds] += ((first + 1) * 1000) - from;
        _partial[last % RingSeconds] += to - (last * 1000);
        _change[(first + 1) % RingSeconds]++;
        _change[last % RingSeconds]--;
    }

    /// <summary>Reads seconds in order and keeps what each minute needed.</summary>
    private sealed class Fold(long next)
    {
        private readonly int[] _minutes = new int[MaxInstances + 1];
        private int _covering;
        private int _busiest = 1;

        public long Next { get; private set; } = next;

        public Fold Copy()
        {
            var copy = new Fold(Next) { _covering = _covering, _busiest = _busiest };
            _minutes.CopyTo(copy._minutes, 0);
            return copy;
        }

        /// <summary>Reads up to second <paramref name="end"/>; minutes that ended before <paramref name="begin"/> are not counted.</summary>
        public void To(long end, long begin, long[] partial, int[] change, int concurrency)
        {
            // Every request ends within the ring, so past it only empty minutes are left.
            var ringEnd = Math.Min(end, Next + RingSeconds);
            for (; Next < ringEnd; Next++)
            {
                var i = (int)(Next % RingSeconds);
                _covering += change[i];
                var busyMs = partial[i] + (_covering * 1000L);
                (partial[i], change[i]) = (0, 0);
                var instances = (busyMs + (1000L * concurrency) - 1) / (1000L * concurrency);
                _busiest = (int)Math.Clamp(instances, _busiest, MaxInstances);
                if (Next % 60 == 59)
                {
                    EndMinute(Next >= begin ? 1 : 0);
                }
            }

            if (Next < end)
            {
                if ((end / 60) - (Next / 60) is > 0 and var minutes)
                {
                    EndMinute(1);
                    EndMinute((int)Math.Min(int.MaxValue / 2, minutes - 1));
                }

                Next = end;
            }
        }

        /// <summary>Instances for the busiest minute and for 99 % of them, the minute under way included.</summary>
        public (int Peak, int At99) Fleet()
        {
            var copy = Copy();
            if (Next % 60 != 0)
            {
                copy.EndMinute(1);
            }

            var total = copy._minutes.Sum(count => (long)count);
            var peak = Array.FindLastIndex(copy._minutes, count => count > 0);
            long seen = 0;
            for (var instances = 1; instances <= MaxInstances; instances++)
            {
                seen += copy._minutes[instances];
                if (seen * 100 >= total * 99)
                {
                    return (peak, instances);
                }
            }

            return (peak, peak);
        }

        private void EndMinute(int times)
        {
            _minutes[_busiest] += Math.Max(0, times);
            _busiest = 1;
        }
    }
}
