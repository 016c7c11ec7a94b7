using FsCheck.Xunit;
using OrleansInference.Latency;

namespace OrleansInference.Tests.Latency;

// By default only a hundred seeds would differ.
[Properties(EndSize = int.MaxValue)]
public sealed class QuantileSketchTests
{
    private static readonly double[] Probabilities = [0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1];

    public static TheoryData<string> Shapes => [.. Samples.Shapes];

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Every_quantile_is_within_one_percent_of_the_sample_of_its_rank(string shape)
    {
        var samples = Samples.Of(shape, 20_000, seed: 7);
        var sketch = SketchOf(samples);
        Array.Sort(samples);
        foreach (var p in Probabilities)
        {
            var truth = samples[(int)(p * (samples.Length - 1))];
            Assert.True(Math.Abs(sketch.Quantile(p) - truth) <= 0.01 * truth, $"{shape} p{p}: {sketch.Quantile(p)} for {truth}");
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void The_distribution_function_counts_samples_within_one_percent_of_the_value(string shape)
    {
        var samples = Samples.Of(shape, 5_000, seed: 11);
        var sketch = SketchOf(samples);
        foreach (var value in samples.Where((_, i) => i % 97 == 0))
        {
            var least = samples.Count(x => x <= value) / (double)samples.Length;
            var most = samples.Count(x => x <= value * 1.021) / (double)samples.Length;
            Assert.InRange(sketch.Cdf(value), least - 1e-12, most + 1e-12);
        }
    }

    [Property(MaxTest = 50)]
    public void Merged_sketches_equal_one_big_sketch(int seed)
    {
        var random = new Random(seed);
        var big = new QuantileSketch();
        var merged = new QuantileSketch();
        for (var part = 0; part < 5; part++)
        {
            var samples = Samples.Of(Samples.Shapes[random.Next(Samples.Shapes.Length)], random.Next(0, 400), random.Next());
            Array.ForEach(samples, big.Add);
            var sketch = SketchOf(samples);
            if (random.Next(2) == 0)
            {
                merged.Merge(sketch);
            }
            else
            {
                merged.Merge(sketch.ToDelta(new("e"), LatencyPhase.Service, 3));
            }
        }

        Assert.Equal(big.Count, merged.Count);
        Assert.All(Probabilities, p => Assert.Equal(big.Quantile(p), merged.Quantile(p)));
    }

    [Property(MaxTest = 200)]
    public void Merging_a_delta_adds_each_of_its_counts(int seed)
    {
        // Deltas of any length and place: what is added many at a time must not miss or double those at the ends.
        var random = new Random(seed);
        var sketch = new QuantileSketch();
        var expected = new long[LatencyBuckets.Count];
        for (var part = 0; part < 8; part++)
        {
            var first = random.Next(LatencyBuckets.Count);
            var counts = Enumerable.Range(0, 1 + random.Next(Math.Min(40, LatencyBuckets.Count - first))).Select(_ => random.Next(4) == 0 ? int.MaxValue : random.Next(3)).ToArray();
            sketch.Merge(new SketchDelta { Endpoint = new("e"), Phase = LatencyPhase.Service, FirstBucket = first, Counts = [.. counts] });
            for (var i = 0; i < counts.Length; i++)
            {
                expected[first + i] += counts[i];
            }
        }

        Assert.Equal(expected.Sum(), sketch.Count);
        var delta = sketch.ToDelta(new("e"), LatencyPhase.Service, 0);
        var all = new long[LatencyBuckets.Count];
        delta.Counts.Select(static count => (long)count).ToArray().CopyTo(all, delta.FirstBucket);
        Assert.Equal(expected.Select(static count => Math.Min(count, int.MaxValue)), all);
    }

    [Property(MaxTest = 50)]
    public void A_delta_brings_back_the_same_sketch(int seed)
    {
        var sketch = SketchOf(Samples.Of("lognormal", 1 + new Random(seed).Next(300), seed));
        var delta = sketch.ToDelta(new("e"), LatencyPhase.ColdStart, 0);
        var back = QuantileSketch.FromDelta(delta);
        Assert.Equal(delta.Counts, back.ToDelta(new("e"), LatencyPhase.ColdStart, 0).Counts);
        Assert.NotEqual(0, delta.Counts[0]);
        Assert.NotEqual(0, delta.Counts[^1]);
    }

    [Fact]
    public void Values_outside_the_range_count_as_the_nearest_inside()
    {
        var sketch = SketchOf([double.NaN, -5, 0, 1e-9, 1e15, double.PositiveInfinity]);
        Assert.Equal(6, sketch.Count);
        Assert.Equal(LatencyBuckets.SmallestMs, sketch.Quantile(0));
        Assert.InRange(sketch.Quantile(1), LatencyBuckets.LargestMs * 0.99, LatencyBuckets.LargestMs * 1.01);
    }

    [Fact]
    public void An_empty_sketch_answers_zero()
    {
        var sketch = new QuantileSketch();
        Assert.Equal(0, sketch.Quantile(0.5));
        Assert.Equal(0, sketch.Cdf(10));
        Assert.Equal(0, sketch.Mean());
        Assert.Empty(sketch.ToDelta(new("e"), LatencyPhase.Service, 0).Counts);
    }

    [Theory]
    [InlineData(-1, 1, 0)]
    [InlineData(2000, 1, 0)]
    [InlineData(0, -1, 0)]
    [InlineData(0, 1, 16)]
    [InlineData(0, 1, -1)]
    public void A_delta_that_does_not_fit_the_layout_is_refused(int first, int count, int sizeClass)
    {
        var delta = new SketchDelta { Endpoint = new("e"), Phase = LatencyPhase.Service, FirstBucket = first, Counts = [count], SizeClass = sizeClass };
        Assert.Throws<ArgumentException>(() => QuantileSketch.FromDelta(delta));
    }

    [Fact]
    public void Adding_to_a_sketch_of_the_whole_range_allocates_nothing()
    {
        var sketch = new QuantileSketch(wholeRange: true);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var ms = 0.01; ms < 1e9; ms *= 1.01)
        {
            sketch.Add(ms);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private static QuantileSketch SketchOf(double[] samples)
    {
        var sketch = new QuantileSketch();
        Array.ForEach(samples, sketch.Add);
        return sketch;
    }
}
