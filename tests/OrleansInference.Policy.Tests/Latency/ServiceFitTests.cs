using OrleansInference.Latency;

namespace OrleansInference.Tests.Latency;

public sealed class ServiceFitTests
{
    private const double Jitter = 0.1;

    [Fact]
    public void The_time_of_sizes_that_were_never_served_follows_from_those_that_were()
    {
        var (fit, random) = (new ServiceFit(), new Random(1));
        Feed(fit, random, 1_000, static (input, output) => 40 + (0.2 * input) + (10 * output));

        foreach (var (input, output) in new[] { (1, 1), (500, 20), (10_000, 0), (0, 3_000), (40_000, 4_000) })
        {
            var estimate = fit.Estimate(input, output);
            Assert.InRange(estimate.Ms / (40 + (0.2 * input) + (10 * output)), 0.93, 1.07);
            Assert.InRange(estimate.Spread, 0.8 * Jitter, 1.2 * Jitter);
        }
    }

    [Theory]
    [InlineData(0, 0.0, 0.0)] // Without tokens there is but what every request takes.
    [InlineData(1, 0.0, 10.0)] // Of the output alone,
    [InlineData(2, 0.2, 0.0)] // of the input alone,
    [InlineData(3, 0.2, 10.0)] // and where both always go together.
    public void What_tells_nothing_is_left_out(int kind, double perInput, double perOutput)
    {
        var (fit, random) = (new ServiceFit(), new Random(2));
        for (var i = 0; i < 500; i++)
        {
            var size = random.Next(1, 400);
            var (input, output) = Tokens(kind, size);
            fit.Observe(input, output, (40 + (perInput * input) + (perOutput * output)) * Noise(random));
        }

        var (more, longer) = Tokens(kind, 1_000);
        Assert.InRange(fit.Estimate(more, longer).Ms / (40 + (perInput * more) + (perOutput * longer)), 0.93, 1.07);

        static (int Input, int Output) Tokens(int kind, int size) => kind switch { 0 => (0, 0), 1 => (0, size), 2 => (size, 0), _ => (size, size) };
    }

    [Fact]
    public void Nothing_is_said_before_enough_is_known_or_where_tokens_do_not_explain_the_time()
    {
        var (fit, random) = (new ServiceFit(), new Random(3));
        Feed(fit, random, ServiceFit.LeastCalls - 1, static (input, output) => 40 + input + output);
        Assert.Equal(default, fit.Estimate(10, 10));
        Feed(fit, random, 1, static (input, output) => 40 + input + output);
        Assert.True(fit.Estimate(10, 10).Ms > 0);

        var erratic = new ServiceFit();
        Feed(erratic, random, 2_000, (_, _) => 100 * Math.Exp(2 * random.NextDouble()));
        Assert.Equal(default, erratic.Estimate(10, 10));

        // Longer requests that take less: no line of tokens that cost time.
        var falling = new ServiceFit();
        Feed(falling, random, 2_000, static (input, _) => 10_000.0 / (1 + input));
        Assert.Equal(default, falling.Estimate(10, 10));
    }

    [Fact]
    public void A_model_that_becomes_slower_is_believed_to_be_after_some_thousand_calls()
    {
        var (fit, random) = (new ServiceFit(), new Random(4));
        Feed(fit, random, 5_000, static (input, output) => 40 + (0.2 * input) + (10 * output));
        Feed(fit, random, 5_000, static (input, output) => 80 + (0.4 * input) + (20 * output));
        Assert.InRange(fit.Estimate(200, 30).Ms / (80 + (0.4 * 200) + (20 * 30)), 0.93, 1.07);
    }

    [Fact]
    public void No_other_line_through_the_calls_leaves_a_smaller_relative_error()
    {
        var (fit, random) = (new ServiceFit(), new Random(5));
        var calls = new List<(int Input, int Output, double Took)>();
        for (var i = 0; i < 900; i++)
        {
            var (input, output) = (random.Next(2_000), random.Next(300));
            calls.Add((input, output, (25 + (0.3 * input) + (8 * output)) * Noise(random)));
            fit.Observe(input, output, calls[^1].Took);
        }

        // Recent calls count for more: the nth of the first thousand n times as much as the first. The last ones after the last solution are in none.
        var told = calls.Count - ((calls.Count - ServiceFit.LeastCalls) % 20);
        double Error(double constant, double perInput, double perOutput) => calls.Take(told)
            .Select((call, i) => (i + 2) * Math.Pow((call.Took - constant - (perInput * call.Input) - (perOutput * call.Output)) / call.Took, 2)).Sum();
        var atNone = fit.Estimate(0, 0).Ms;
        var (ofInput, ofOutput) = ((fit.Estimate(1_000_000, 0).Ms - atNone) / 1e6, (fit.Estimate(0, 1_000_000).Ms - atNone) / 1e6);
        var least = Error(atNone, ofInput, ofOutput);
        foreach (var factor in new[] { 0.98, 1.02 })
        {
            Assert.True(least <= Error(atNone * factor, ofInput, ofOutput), $"the constant {atNone} × {factor} is better");
            Assert.True(least <= Error(atNone, ofInput * factor, ofOutput), $"{ofInput} × {factor} a token of the input is better");
            Assert.True(least <= Error(atNone, ofInput, ofOutput * factor), $"{ofOutput} × {factor} a token of the output is better");
        }
    }

    [Fact]
    public void What_is_no_time_and_no_number_of_tokens_does_no_harm()
    {
        var (fit, random) = (new ServiceFit(), new Random(6));
        for (var i = 0; i < 300; i++)
        {
            fit.Observe(-1, int.MinValue, double.NaN);
            fit.Observe(1, 1, double.PositiveInfinity);
            Feed(fit, random, 1, static (input, output) => 40 + (0.2 * input) + (10 * output));
        }

        Assert.InRange(fit.Estimate(100, 100).Ms / 1_060, 0.93, 1.07);
        Assert.Equal(fit.Estimate(0, 0), fit.Estimate(-5, -5));
        fit.Observe(int.MaxValue, int.MaxValue, -1);
        fit.Observe(int.MaxValue, int.MaxValue, double.MaxValue);
        Feed(fit, random, 40, static (input, output) => 40 + (0.2 * input) + (10 * output));
        var estimate = fit.Estimate(int.MaxValue, int.MaxValue);
        Assert.True(double.IsFinite(estimate.Ms) && estimate.Ms >= 0);
    }

    [Fact]
    public async Task Calls_that_end_at_once_on_many_threads_leave_a_sound_estimate()
    {
        var fit = new ServiceFit();
        await Task.WhenAll(Enumerable.Range(0, 4).Select(thread => Task.Run(() => Feed(fit, new Random(thread), 20_000, static (input, output) => 40 + (0.2 * input) + (10 * output)))));
        Assert.InRange(fit.Estimate(200, 30).Ms / (40 + (0.2 * 200) + (10 * 30)), 0.93, 1.07);
    }

    [Fact]
    public void An_estimate_allocates_nothing()
    {
        var fit = new ServiceFit();
        Feed(fit, new Random(7), 200, static (input, output) => 40 + (0.2 * input) + (10 * output));
        var before = GC.GetAllocatedBytesForCurrentThread();
        var sum = 0.0;
        for (var i = 0; i < 1_000; i++)
        {
            sum += fit.Estimate(i, i).Ms;
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.True(sum > 0);
    }

    [Theory]
    [InlineData(0.06)]
    [InlineData(0.1)]
    [InlineData(0.3)]
    public void The_service_time_that_tokens_tell_spreads_as_calls_did(double spread)
    {
        var service = ServiceTime.Of(7_000, spread);
        foreach (var z in new[] { -1.5, -0.5, 0, 0.5, 1, 2 })
        {
            var limit = 7_000 * Math.Exp((z * spread) - (0.5 * spread * spread));
            Assert.Equal(NormalDistribution.Cdf(z), service.ProbabilityWithin(limit), 0.06);
            Assert.Equal(service.ProbabilityWithin(limit), service.ProbabilityWithin(limit + 500, 500, LatencyDistribution.Zero, 0), 1e-9);
        }

        Assert.Equal(0, service.ProbabilityWithin(0));
        Assert.Equal(1, service.ProbabilityWithin(70_000));
    }

    private static void Feed(ServiceFit fit, Random random, int calls, Func<int, int, double> ms)
    {
        for (var i = 0; i < calls; i++)
        {
            var (input, output) = (random.Next(500), random.Next(60));
            fit.Observe(input, output, ms(input, output) * Noise(random));
        }
    }

    // Lognormal of mean one (Box–Muller).
    private static double Noise(Random random) =>
        Math.Exp((Jitter * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())) - (0.5 * Jitter * Jitter));
}
