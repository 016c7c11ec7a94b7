using OrleansInference.Latency;

namespace OrleansInference.Tests.Latency;

public sealed class LatencyRecorderTests
{
    [Fact]
    public async Task No_sample_is_lost_or_counted_twice_while_threads_record_and_drain()
    {
        const int Threads = 4;
        const int Each = 100_000;
        var recorder = new LatencyRecorder(processors: 4);
        var endpoints = new EndpointName[] { new("one"), new("two") };
        var merged = new Dictionary<(EndpointName, LatencyPhase, int), QuantileSketch>();
        var done = 0;
        var writers = Enumerable.Range(0, Threads).Select(thread => Task.Run(() =>
        {
            for (var i = 0; i < Each; i++)
            {
                recorder.Record(endpoints[i % 2], (LatencyPhase)(i % 3), i % SizeClass.Count, 1 + ((i * 7 + thread) % 1000));
            }

            Interlocked.Increment(ref done);
        })).ToArray();
        do
        {
            Collect(recorder.Drain(), merged);
        }
        while (Volatile.Read(ref done) < Threads);
        await Task.WhenAll(writers);
        Collect(recorder.Drain(), merged);

        var expected = new Dictionary<(EndpointName, LatencyPhase, int), QuantileSketch>();
        for (var thread = 0; thread < Threads; thread++)
        {
            for (var i = 0; i < Each; i++)
            {
                var phase = (LatencyPhase)(i % 3);
                Of(expected, (endpoints[i % 2], phase, phase == LatencyPhase.Service ? i % SizeClass.Count : 0)).Add(1 + ((i * 7 + thread) % 1000));
            }
        }

        Assert.Equal(expected.Keys.ToHashSet(), merged.Keys.ToHashSet());
        foreach (var (key, sketch) in expected)
        {
            var (first, second) = (sketch.ToDelta(key.Item1, key.Item2, key.Item3), merged[key].ToDelta(key.Item1, key.Item2, key.Item3));
            Assert.Equal(first.FirstBucket, second.FirstBucket);
            Assert.Equal(first.Counts, second.Counts);
        }
    }

    [Fact]
    public void Recording_allocates_nothing_once_a_series_is_in_use()
    {
        var recorder = new LatencyRecorder(processors: 1);
        var endpoint = new EndpointName("e");
        var series = recorder.SeriesOf(endpoint);
        series.Record(LatencyPhase.Service, 3, 10);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
        {
            series.Record(LatencyPhase.Service, 3, i);
            recorder.Record(endpoint, LatencyPhase.Service, 3, i);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void A_drain_of_some_endpoints_leaves_the_others()
    {
        var recorder = new LatencyRecorder(processors: 2);
        recorder.Record(new("mine"), LatencyPhase.Service, 0, 5);
        recorder.Record(new("other"), LatencyPhase.Service, 0, 5);
        Assert.Equal("mine", Assert.Single(recorder.Drain([new("mine"), new("unheard-of")])).Endpoint.Value);
        Assert.Equal("other", Assert.Single(recorder.Drain()).Endpoint.Value);
        Assert.Empty(recorder.Drain());
    }

    [Fact]
    public void A_forgotten_endpoint_is_gone()
    {
        var recorder = new LatencyRecorder(processors: 2);
        recorder.Record(new("e"), LatencyPhase.Service, 0, 5);
        recorder.Forget(new("e"));
        Assert.Empty(recorder.Drain());
    }

    private static void Collect(IEnumerable<SketchDelta> deltas, Dictionary<(EndpointName, LatencyPhase, int), QuantileSketch> merged)
    {
        foreach (var delta in deltas)
        {
            Of(merged, (delta.Endpoint, delta.Phase, delta.SizeClass)).Merge(delta);
        }
    }

    private static QuantileSketch Of(Dictionary<(EndpointName, LatencyPhase, int), QuantileSketch> sketches, (EndpointName, LatencyPhase, int) key)
    {
        if (!sketches.TryGetValue(key, out var sketch))
        {
            sketches.Add(key, sketch = new());
        }

        return sketch;
    }
}
