using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

public sealed class CircuitBreakerTests
{
    private static readonly CircuitBreakerOptions Options = new() { FailuresToOpen = 3, OpenMs = 1_000, MaxProbes = 2 };

    private readonly CircuitBreaker _breaker = new(Options);

    [Fact]
    public void Failures_in_a_row_open_it_and_an_answer_between_them_starts_the_count_anew()
    {
        Call(CallVerdict.Faulty, CallVerdict.Faulty, CallVerdict.Healthy, CallVerdict.Faulty, CallVerdict.None, CallVerdict.Faulty);
        Assert.False(_breaker.Blocks(0));
        Call(CallVerdict.Faulty);
        Assert.True(_breaker.Blocks(999));
        Assert.Null(_breaker.TryEnter(999));
        Assert.False(_breaker.Blocks(1_000));
    }

    [Fact]
    public void After_the_pause_only_so_many_probe_at_once_and_one_that_says_nothing_makes_room_for_the_next()
    {
        Open();
        var first = Enter(1_000);
        Enter(1_000);
        Assert.True(_breaker.Blocks(1_000));
        Assert.Null(_breaker.TryEnter(60_000));
        _breaker.Ended(first, CallVerdict.None, 60_000);
        Assert.False(_breaker.Blocks(60_000));
        Enter(60_000);
        Assert.Null(_breaker.TryEnter(60_000));
    }

    [Fact]
    public void A_probe_that_is_answered_closes_it()
    {
        Open();
        var (first, second) = (Enter(1_000), Enter(1_000));
        _breaker.Ended(first, CallVerdict.Healthy, 1_001);
        Assert.All(Enumerable.Range(0, 10), _ => Enter(1_001));

        // The other is of a phase that is over: it neither opens it nor counts.
        _breaker.Ended(second, CallVerdict.Faulty, 1_002);
        Call(CallVerdict.Faulty, CallVerdict.Faulty);
        Assert.False(_breaker.Blocks(1_002));
    }

    [Fact]
    public void A_probe_that_fails_opens_it_again_and_probes_still_under_way_count_in_the_next_pause()
    {
        Open();
        var (first, second) = (Enter(1_000), Enter(1_000));
        _breaker.Ended(first, CallVerdict.Faulty, 2_000);
        Assert.True(_breaker.Blocks(2_999));
        Enter(3_000);
        Assert.Null(_breaker.TryEnter(3_000));
        _breaker.Ended(second, CallVerdict.Healthy, 3_000);
        Enter(3_000);
        Assert.Null(_breaker.TryEnter(3_000));
    }

    [Fact]
    public void Calls_from_before_it_opened_neither_close_it_nor_prolong_the_pause()
    {
        var old = Enumerable.Range(0, 4).Select(_ => Enter(0)).ToArray();
        Open();
        _breaker.Ended(old[0], CallVerdict.Faulty, 900);
        _breaker.Ended(old[1], CallVerdict.Healthy, 900);
        Assert.True(_breaker.Blocks(999));
        Enter(1_000);
        _breaker.Ended(old[2], CallVerdict.Healthy, 1_000);
        _breaker.Ended(old[3], CallVerdict.Faulty, 1_000);
        Enter(1_000);
        Assert.Null(_breaker.TryEnter(1_000));
    }

    [Fact]
    public async Task However_many_try_at_once_no_more_than_the_bound_probe()
    {
        Open();
        var (probing, most, probes) = (0, 0, 0);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(worker => Task.Run(() =>
        {
            var random = new Random(worker);
            for (var i = 0; i < 200_000; i++)
            {
                if (_breaker.TryEnter(1_000) is not { } pass)
                {
                    continue;
                }

                var now = Interlocked.Increment(ref probing);
                InterlockedMax(ref most, now);
                Interlocked.Increment(ref probes);
                Thread.SpinWait(random.Next(50));
                Interlocked.Decrement(ref probing);

                // Failing at time 0 opens it for a pause that is over at once; never answered, it does not close.
                _breaker.Ended(pass, random.Next(3) == 0 ? CallVerdict.Faulty : CallVerdict.None, 0);
            }
        })));
        Assert.Equal(Options.MaxProbes, most);
        Assert.True(probes > 1_000, $"{probes} probes prove little");
        Assert.NotNull(_breaker.TryEnter(1_000));
        Assert.NotNull(_breaker.TryEnter(1_000));
    }

    private static void InterlockedMax(ref int most, int value)
    {
        for (var seen = Volatile.Read(ref most); value > seen; seen = Volatile.Read(ref most))
        {
            Interlocked.CompareExchange(ref most, value, seen);
        }
    }

    private void Open() => Call(CallVerdict.Faulty, CallVerdict.Faulty, CallVerdict.Faulty);

    private void Call(params CallVerdict[] verdicts)
    {
        foreach (var verdict in verdicts)
        {
            _breaker.Ended(Enter(0), verdict, 0);
        }
    }

    private CircuitPass Enter(long now)
    {
        var pass = _breaker.TryEnter(now);
        Assert.NotNull(pass);
        return pass.Value;
    }
}
