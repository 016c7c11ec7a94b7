using OrleansInference.Latency;

namespace OrleansInference.Tests.Latency;

public sealed class SlicedSketchTests
{
    private const long Minute = 60_000;
    private static readonly EndpointName E = new("e");

    [Fact]
    public void Samples_of_the_ring_count_in_full()
    {
        var sketch = new SlicedSketch();
        for (var i = 0; i < SlicedSketch.Slices; i++)
        {
            sketch.Add(10 * (i + 1), i * SlicedSketch.SliceMs);
        }

        Assert.Equal(SlicedSketch.Slices, sketch.Weight((SlicedSketch.Slices * SlicedSketch.SliceMs) - 1));
    }

    [Fact]
    public void A_change_of_latency_shows_in_the_tail_at_once_and_in_the_median_within_minutes()
    {
        var sketch = new SlicedSketch();
        long now = 0;
        for (; now < 60 * Minute; now += 100)
        {
            sketch.Add(100, now);
        }

        for (; now < 60 * Minute + (5 * Minute); now += 100)
        {
            sketch.Add(1000, now);
        }

        Assert.True(View(sketch, now).Quantile(0.25) > 900, "older load should have faded");
    }

    [Fact]
    public void An_endpoint_that_is_idle_is_remembered_and_slowly_forgotten()
    {
        var sketch = new SlicedSketch();
        for (var i = 0; i < 10_000; i++)
        {
            sketch.Add(i % 100 == 99 ? 5000 : 50, now: i);
        }

        // Two minutes in full, some eleven to fade to the floor, and a quarter of an hour for each halving of it: the rest is of the long run.
        var view = View(sketch, now: 29 * Minute);
        Assert.InRange(view.Count, 0.4 * SlicedSketch.Floor, 0.6 * SlicedSketch.Floor);
        Assert.Equal(0, sketch.ToDelta(E, LatencyPhase.Service, 0, 29 * Minute).Remembered);
        Assert.InRange(view.Quantile(0.5), 49.5, 50.5);
        Assert.InRange(view.Quantile(1), 4950, 5050);

        // After a day a sixteenth of ten thousand is left of it, and after three a couple.
        var day = sketch.ToDelta(E, LatencyPhase.Service, 0, 24 * 60 * Minute);
        Assert.Equal((SlicedSketch.Floor, SlicedSketch.Floor), ((double)day.Counts.Sum(), (double)day.Remembered));
        Assert.InRange(View(sketch, now: 3 * 24 * 60 * Minute).Count, 1, 4);
        Assert.Equal(0, View(sketch, now: 6 * 24 * 60 * Minute).Count);
    }

    [Fact]
    public void A_bad_moment_counts_in_the_long_run_for_no_more_than_it_was()
    {
        var sketch = new SlicedSketch();
        long now = 0;
        for (; now < 120 * Minute; now += 1_000)
        {
            sketch.Add(50, now);
        }

        for (; now < 123 * Minute; now += 1_000)
        {
            sketch.Add(5_000, now);
        }

        Assert.True(View(sketch, now).Quantile(0.5) > 4_000, "it is not seen");
        Assert.InRange(View(sketch, now + (300 * Minute)).Quantile(0.9), 49, 51);
    }

    [Fact]
    public void What_is_remembered_stays_so_when_it_is_taken_over()
    {
        var (sketch, heir) = (new SlicedSketch(), new SlicedSketch());
        for (var i = 0; i < 1_000; i++)
        {
            sketch.Add(50, now: 0);
        }

        heir.Merge(sketch.ToDelta(E, LatencyPhase.Service, 0, 240 * Minute), now: 240 * Minute);
        var taken = heir.ToDelta(E, LatencyPhase.Service, 0, 241 * Minute);
        Assert.Equal(taken.Counts.Sum(), taken.Remembered);
        Assert.InRange(taken.Remembered, 190, 200);
        for (var i = 0; i < 300; i++)
        {
            heir.Add(500, now: 241 * Minute);
        }

        var newer = heir.ToDelta(E, LatencyPhase.Service, 0, 241 * Minute);
        Assert.Equal((0, 300), (newer.Remembered, newer.Counts.Sum()));
    }

    [Fact]
    public void What_is_recent_and_what_is_remembered_are_taken_over_as_they_were()
    {
        var (sketch, heir) = (new SlicedSketch(), new SlicedSketch());
        for (var i = 0; i < 1_000; i++)
        {
            sketch.Add(50, now: 0);
        }

        for (var i = 0; i < 20; i++)
        {
            sketch.Add(500, now: 240 * Minute);
        }

        var delta = sketch.ToDelta(E, LatencyPhase.Service, 0, 240 * Minute);
        Assert.Equal(20, delta.Counts.Sum() - delta.Remembered);
        Assert.InRange(delta.Remembered, 100, 130);
        heir.Merge(delta, now: 240 * Minute);
        Assert.Equal((delta.Remembered, 20), (heir.ToDelta(E, LatencyPhase.Service, 0, 240 * Minute).Remembered, heir.ToDelta(E, LatencyPhase.Service, 0, 240 * Minute, isRecentOnly: true).Counts.Sum()));
    }

    [Fact]
    public void Newer_samples_replace_what_was_only_remembered()
    {
        var sketch = new SlicedSketch();
        for (var i = 0; i < 1000; i++)
        {
            sketch.Add(50, now: 0);
        }

        for (var i = 0; i < 300; i++)
        {
            sketch.Add(500, now: 60 * Minute);
        }

        var later = View(sketch, now: 65 * Minute);
        Assert.True(later.Quantile(0.1) > 400, $"median is {later.Quantile(0.5)}, a tenth at {later.Quantile(0.1)}");

        // In the long run both are what they were.
        Assert.InRange(View(sketch, now: 180 * Minute).Quantile(0.6), 49, 51);
        Assert.InRange(View(sketch, now: 180 * Minute).Quantile(0.9), 495, 505);
    }

    [Fact]
    public void Rounding_weights_to_counts_keeps_the_cumulative_count_within_half_a_sample()
    {
        var sketch = new SlicedSketch();
        var random = new Random(5);
        for (var i = 0; i < 3000; i++)
        {
            sketch.Add(200 * Math.Exp(Samples.Normal(random)), now: i * 200L);
        }

        var now = 3000 * 200L + (4 * Minute);
        var weights = new double[LatencyBuckets.Count];
        sketch.AddTo(weights, now);
        var delta = sketch.ToDelta(E, LatencyPhase.Service, 0, now);
        double exact = weights[..delta.FirstBucket].Sum(), rounded = 0;
        for (var i = 0; i < delta.Counts.Length; i++)
        {
            exact += weights[delta.FirstBucket + i];
            rounded += delta.Counts[i];
            Assert.InRange(rounded - exact, -0.500_001, 0.500_001);
        }
    }

    [Fact]
    public void A_clock_that_steps_back_loses_nothing()
    {
        var sketch = new SlicedSketch();
        sketch.Add(10, 100 * Minute);
        sketch.Add(10, 5 * Minute);
        Assert.Equal(2, sketch.Weight(100 * Minute));
    }

    [Fact]
    public void A_repeated_report_is_merged_once_and_published_in_a_stable_order()
    {
        var statistics = new LatencyStatistics();
        var recorder = new LatencyRecorder(1);
        recorder.Record(new("b"), LatencyPhase.Service, 2, 100);
        recorder.Record(new("a"), LatencyPhase.ColdStart, 0, 4000);
        var report = new LatencyReport { Holder = "silo/1", Sequence = 1, Deltas = recorder.Drain() };
        Assert.True(statistics.Merge(report, now: 0));
        Assert.False(statistics.Merge(report, now: 5));
        Assert.Equal(["a", "b"], statistics.Publish(10).Select(delta => delta.Endpoint.Value));
        Assert.All(statistics.Publish(10), delta => Assert.Equal(1, delta.Counts.Sum()));
    }

    [Fact]
    public void Percentiles_of_the_cluster_equal_those_of_one_big_sketch()
    {
        var statistics = new LatencyStatistics();
        var big = new QuantileSketch();
        for (var silo = 0; silo < 20; silo++)
        {
            var recorder = new LatencyRecorder(2);
            foreach (var ms in Samples.Of("prefill-and-decode", 500, silo))
            {
                recorder.Record(E, LatencyPhase.Service, silo % SizeClass.Count, ms);
                big.Add(ms);
            }

            statistics.Merge(new() { Holder = $"silo/{silo}", Sequence = 1, Deltas = recorder.Drain() }, now: silo);
        }

        var model = new ModelDefinition
        {
            Name = new("m"),
            Variants = [new() { Name = new("full"), Endpoints = [new() { Name = E, Lane = Lane.Async, InstanceType = "x" }] }],
        };
        var view = Assert.Single(statistics.Views(model, now: 1000));
        Assert.Equal((10_000, Lane.Async, LatencyPhase.Service), (view.Count, view.Lane, view.Phase));
        Assert.Equal(big.Quantile(0.5) / 1000, view.P50Seconds);
        Assert.Equal(big.Quantile(0.99) / 1000, view.P99Seconds);
        statistics.Retain(model with { Variants = [] });
        Assert.Empty(statistics.Publish(1000));
    }

    [Fact]
    public void A_report_with_one_bad_delta_changes_nothing()
    {
        var statistics = new LatencyStatistics();
        var good = QuantileSketch.FromDelta(new() { Endpoint = E, Phase = LatencyPhase.Service, Counts = [1] }).ToDelta(E, LatencyPhase.Service, 0);
        Assert.Throws<ArgumentException>(() => statistics.Merge(new() { Holder = "s", Sequence = 1, Deltas = [good, good with { FirstBucket = -1 }] }, 0));
        Assert.Empty(statistics.Publish(0));
    }

    private static QuantileSketch View(SlicedSketch sketch, long now) => QuantileSketch.FromDelta(sketch.ToDelta(E, LatencyPhase.Service, 0, now));
}
