using FsCheck.Xunit;
using OrleansInference.Latency;

namespace OrleansInference.Tests.Latency;

// By default only a hundred seeds would differ.
[Properties(EndSize = int.MaxValue)]
public sealed class LatencyDistributionTests
{
    public static TheoryData<string> Shapes => [.. Samples.Shapes];

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Probability_and_quantile_agree_with_the_samples_within_the_sketch_error(string shape)
    {
        var samples = Samples.Of(shape, 5000, seed: 3);
        var distribution = Of(samples);
        foreach (var value in samples.Where((_, i) => i % 50 == 0).Append(1).Append(1e7))
        {
            var least = samples.Count(x => x <= value / 1.021) / (double)samples.Length;
            var most = samples.Count(x => x <= value * 1.021) / (double)samples.Length;
            Assert.InRange(distribution.ProbabilityWithin(value), least - 1e-9, most + 1e-9);
        }

        for (var p = 0.01; p < 1; p += 0.01)
        {
            Assert.Equal(p, distribution.ProbabilityWithin(distribution.Quantile(p)), 6);
        }
    }

    [Property(MaxTest = 30)]
    public void A_sum_is_never_predicted_likelier_than_it_is_and_not_much_less_likely(int seed)
    {
        var random = new Random(seed);
        var one = Samples.Of(Samples.Shapes[random.Next(3)], 400, random.Next());
        var two = Samples.Of(Samples.Shapes[random.Next(3)], 400, random.Next());
        var delay = random.Next(500);
        var (service, start) = (Of(one), Of(two));
        foreach (var p in new[] { 0.3, 0.7, 0.9, 0.99 })
        {
            var t = delay + service.Quantile(p) + start.Quantile(p);
            var predicted = service.ProbabilityWithin(t, delay, start, 1);

            // 2.1 % is a bucket's width: a sample may count as anywhere within its bucket.
            var most = one.Average(x => two.Count(y => delay + ((x + y) / 1.021) <= t) / (double)two.Length);
            var least = one.Average(x => two.Count(y => delay + ((x + y) * 1.021) <= t) / (double)two.Length);
            Assert.InRange(predicted, least - 0.16, most + 1e-9);
        }
    }

    [Fact]
    public void A_gamma_wait_is_close_to_its_simulation_and_its_tail_not_underestimated()
    {
        var service = Of(Samples.Of("lognormal", 5000, 1));
        var random = new Random(9);
        foreach (var shape in new[] { 1, 3, 20 })
        {
            const double Gap = 150;
            var sums = Enumerable.Range(0, 20_000)
                .Select(_ => Enumerable.Range(0, shape).Sum(_ => -Gap * Math.Log(1 - random.NextDouble())) + service.Quantile(random.NextDouble()))
                .Order().ToArray();
            foreach (var p in new[] { 0.5, 0.9, 0.99 })
            {
                var predicted = service.ProbabilityWithin(sums[(int)(p * sums.Length)], shape * Gap, shape);
                Assert.InRange(predicted, p - (p > 0.95 ? 0.02 : 0.15), p + 0.01);
            }
        }
    }

    [Fact]
    public void No_weight_means_no_time()
    {
        Assert.Same(LatencyDistribution.Zero, LatencyDistribution.FromSketch(new()));
        Assert.Equal(1, LatencyDistribution.Zero.ProbabilityWithin(0));
        Assert.Equal(0, LatencyDistribution.Zero.ProbabilityWithin(-1));
        Assert.Equal(0, LatencyDistribution.Zero.Quantile(0.99));
    }

    [Fact]
    public void A_prior_goes_through_its_median_and_percentile()
    {
        var belief = LatencyBelief.Build(new() { ServiceP50Seconds = 0.4, ServiceP99Seconds = 3, ColdStartSeconds = 60 }, [], new("e"), [], [], 25, 200);
        Assert.InRange(belief.Overall.Quantile(0.5), 396, 404);
        Assert.InRange(belief.Overall.Quantile(0.99), 2950, 3050);
        Assert.InRange(belief.ColdStart.Quantile(0.5), 59_400, 60_600);
        Assert.Same(belief.Overall, belief.Service(5));
    }

    [Fact]
    public void Evidence_takes_over_from_the_prior()
    {
        var prior = new LatencyPrior { ServiceP50Seconds = 10, ServiceP99Seconds = 20 };
        var truth = Samples.Of("lognormal", 5000, 2);
        var last = 0.0;
        foreach (var count in new[] { 0, 20, 60, 150, 200 })
        {
            var sketch = new QuantileSketch();
            Array.ForEach(truth[..count], sketch.Add);
            var belief = LatencyBelief.Build(prior, [sketch.ToDelta(new("e"), LatencyPhase.Service, 4)], new("e"), [], [], 25, 200);
            var share = belief.Service(4).ProbabilityWithin(5000);
            Assert.True(share >= last, $"{share} after {count} samples, {last} before");
            last = share;
        }

        Assert.Equal(1, last, 2);
    }

    [Fact]
    public void A_size_class_without_samples_of_its_own_takes_the_endpoints()
    {
        var sketch = new QuantileSketch();
        Array.ForEach(Samples.Of("lognormal", 500, 2), sketch.Add);
        var belief = LatencyBelief.Build(new(), [sketch.ToDelta(new("e"), LatencyPhase.Service, 4), sketch.ToDelta(new("other"), LatencyPhase.Service, 5)], new("e"), [], [], 25, 200);
        Assert.Same(belief.Overall, belief.Service(5));
        Assert.NotSame(belief.Overall, belief.Service(4));
    }

    [Fact]
    public void What_endpoints_alike_have_measured_stands_for_what_this_one_has_not()
    {
        var (shorts, longs) = (new QuantileSketch(), new QuantileSketch());
        for (var i = 0; i < 400; i++)
        {
            shorts.Add(100);
            longs.Add(30_000);
        }

        var prior = new LatencyPrior { ServiceP50Seconds = 1, ServiceP99Seconds = 1 };
        SketchDelta[] deltas = [shorts.ToDelta(new("alike"), LatencyPhase.Service, 4), longs.ToDelta(new("alike"), LatencyPhase.Service, 9), longs.ToDelta(new("other"), LatencyPhase.Service, 5)];
        var belief = LatencyBelief.Build(prior, deltas, new("e"), [new("alike")], [], 25, 200);
        Assert.InRange(belief.Service(4).Mean, 99, 101);
        Assert.InRange(belief.Service(9).Mean, 29_600, 30_400);
        Assert.InRange(belief.Overall.Mean, 14_900, 15_200);
        Assert.Same(belief.Overall, belief.Service(5));
        Assert.InRange(LatencyBelief.Build(prior, deltas, new("e"), [], [], 25, 200).Service(9).Mean, 990, 1_010);

        // What it measures itself soon counts alone.
        var own = new QuantileSketch();
        for (var i = 0; i < 200; i++)
        {
            own.Add(5_000);
        }

        Assert.InRange(LatencyBelief.Build(prior, [.. deltas, own.ToDelta(new("e"), LatencyPhase.Service, 9)], new("e"), [new("alike")], [], 25, 200).Service(9).Mean, 4_950, 5_050);

        // Few samples of others are weighed against the prior, as few of its own would be.
        var few = new QuantileSketch();
        few.Add(100);
        Assert.InRange(LatencyBelief.Build(prior, [few.ToDelta(new("alike"), LatencyPhase.Service, 4)], new("e"), [new("alike")], [], 25, 200).Service(4).Mean, 900, 1_000);
    }

    [Fact]
    public void What_the_same_weights_have_measured_on_other_hardware_stands_scaled_for_what_neither_this_endpoint_nor_those_alike_have()
    {
        // It has served long requests only; the short ones went elsewhere, where everything takes twice as long.
        var prior = new LatencyPrior { ServiceP50Seconds = 0.5, ServiceP99Seconds = 8 };
        SketchDelta[] deltas = [Of(10_000, "e", 9, 400), Of(200, "kin", 4, 400), Of(20_000, "kin", 9, 30), Of(1, "other", 4, 400)];
        Assert.InRange(Believed(deltas, [], []).Service(4).Mean, 9_800, 10_200);
        var belief = Believed(deltas, [], ["kin"]);
        Assert.InRange(belief.Service(4).Mean, 97, 103);
        Assert.InRange(belief.Service(9).Mean, 9_800, 10_200);
        Assert.InRange(belief.Overall.Mean, 9_800, 10_200);

        // A start that was taken for a call changes the factor little.
        Assert.InRange(Believed([.. deltas, Of(170_000_000, "kin", 9, 1)], [], ["kin"]).Service(4).Mean, 70, 103);

        // Those alike say more than kin, and what it measures itself most of all.
        SketchDelta[] more = [.. deltas, Of(700, "alike", 4, 400)];
        Assert.InRange(Believed(more, ["alike"], ["kin"]).Service(4).Mean, 690, 710);
        Assert.InRange(Believed([.. more, Of(3_000, "e", 4, 200)], ["alike"], ["kin"]).Service(4).Mean, 2_950, 3_050);

        // Few samples count little; and where hardly any size is known of both, it is not known by what factor they differ.
        Assert.InRange(Believed([deltas[0], deltas[2], Of(200, "kin", 4, 5)], [], ["kin"]).Service(4).Mean, 8_000, 9_000);
        Assert.InRange(Believed([deltas[0], deltas[1], Of(20_000, "kin", 9, 20)], [], ["kin"]).Service(4).Mean, 9_800, 10_200);
        Assert.InRange(Believed([deltas[1], deltas[2]], [], ["kin"]).Service(4).Quantile(0.5), 490, 510);

        // Of many, those of which most is known.
        SketchDelta[] many = [deltas[0], .. Enumerable.Range(0, 9).SelectMany(each => new[] { Of(20_000, $"k{each}", 9, 30 + each), Of(each < 9 - KinEndpoint.Most ? 60_000 : 200, $"k{each}", 4, 400) })];
        Assert.InRange(Believed(many, [], [.. Enumerable.Range(0, 9).Select(static each => $"k{each}")]).Service(4).Mean, 97, 103);

        LatencyBelief Believed(SketchDelta[] told, string[] alike, string[] kin)
        {
            var measured = SizesMeasured.Of(told);
            return LatencyBelief.Build(
                prior,
                told,
                new("e"),
                [.. alike.Select(static name => new EndpointName(name))],
                KinEndpoint.Of(measured.GetValueOrDefault(new("e")), kin.Select(name => (new EndpointName(name), measured[new(name)])), 25, 200),
                25,
                200);
        }

        static SketchDelta Of(double milliseconds, string endpoint, int size, int samples)
        {
            var sketch = new QuantileSketch();
            for (var i = 0; i < samples; i++)
            {
                sketch.Add(milliseconds);
            }

            return sketch.ToDelta(new(endpoint), LatencyPhase.Service, size);
        }
    }

    [Fact]
    public void A_size_that_has_not_come_of_late_is_known_and_is_not_taken_for_what_comes_now()
    {
        var (often, once) = (new QuantileSketch(), new QuantileSketch());
        for (var i = 0; i < 400; i++)
        {
            often.Add(100);
            once.Add(30_000);
        }

        var prior = new LatencyPrior { ServiceP50Seconds = 1, ServiceP99Seconds = 1 };
        SketchDelta[] deltas = [often.ToDelta(new("e"), LatencyPhase.Service, 4), once.ToDelta(new("e"), LatencyPhase.Service, 9) with { Remembered = 400 }];
        var belief = LatencyBelief.Build(prior, deltas, new("e"), [], [], 25, 200);
        Assert.InRange(belief.Service(9).Mean, 29_000, 31_000);
        Assert.InRange(belief.Overall.Mean, 99, 101);

        // The less has come of late, the more counts what came before that; where nothing has, that is all that is known.
        var means = ((double[])[1, 0.75, 0.5, 0.25, 0]).Select(share => LatencyBelief.Build(prior, [deltas[1] with { Remembered = (int)(400 * share) }], new("e"), [], [], 25, 200).Overall.Mean).ToList();
        Assert.All(means, static mean => Assert.InRange(mean, 29_000, 31_000));
        Assert.InRange(LatencyBelief.Build(prior, deltas.AsSpan(1), new("e"), [], [], 25, 200).Overall.Mean, 29_000, 31_000);
    }

    [Fact]
    public void Size_classes_rise_with_the_input_and_with_the_output()
    {
        Assert.Equal(0, SizeClass.Of(0));
        Assert.Equal(15, SizeClass.Of(int.MaxValue));
        Assert.Equal(0, SizeClass.Of(4096, 0, 0));
        Assert.Equal(15, SizeClass.Of(4096, int.MaxValue, int.MaxValue));
        Assert.Equal(SizeClass.Of(700), SizeClass.Of(1, 700, 0));
        for (var tokens = 1; tokens < 100_000; tokens += 37)
        {
            Assert.True(SizeClass.Of(tokens + 37) >= SizeClass.Of(tokens));
            Assert.InRange(SizeClass.Of(4096, tokens, 300), SizeClass.Of(4096, tokens, 60) + 1, 15);
            Assert.InRange(SizeClass.Of(4096, tokens + 37, 300) - SizeClass.Of(4096, tokens, 300), 0, 1);
        }

        Assert.Equal([0, 2, 4, 6, 8, 10, 12, 14], ((int[])[32, 64, 128, 256, 512, 1_024, 2_048, 2_049]).Select(static output => SizeClass.Of(4096, 2_048, output)));
        Assert.Equal(15, SizeClass.Of(4096, 2_049, 4_096));
    }

    private static LatencyDistribution Of(double[] samples)
    {
        var sketch = new QuantileSketch();
        Array.ForEach(samples, sketch.Add);
        return LatencyDistribution.FromSketch(sketch);
    }
}
