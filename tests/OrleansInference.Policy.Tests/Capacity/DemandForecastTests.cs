using System.Text.Json;
using FsCheck.Xunit;
using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

public sealed class DemandForecastTests
{
    private const long Poll = 5_000;
    private const long Midnight = 1_700_000_000_000 / 86_400_000 * 86_400_000;
    private const long Horizon = 300_000;
    private readonly DemandForecast _forecast = new();
    private readonly Random _random = new(4);
    private long _now = Midnight;

    [Fact]
    public void A_steady_rate_is_forecast_to_stay_and_is_not_bursty()
    {
        Drive(7_200_000, static _ => 4);
        var ahead = _forecast.At(Horizon);
        Assert.InRange(ahead.Rate, 3.3, 4.7);
        Assert.InRange(ahead.HighRate, ahead.Rate, 6);
        Assert.InRange(ahead.Dispersion, 1, 1.6);
        Assert.InRange(_forecast.SeasonSkill, 0, 0.01);
    }

    [Fact]
    public void Bursts_of_the_same_mean_are_seen_and_a_single_change_of_the_rate_is_none()
    {
        for (var i = 0; i < 1_440; i++)
        {
            _forecast.Observe(_now += Poll, i % 6 == 0 ? 120 : 0, 0, 0);
        }

        Assert.InRange(_forecast.At(Horizon).Dispersion, 8, 32);
        Assert.InRange(_forecast.At(Horizon).Peakedness, 4.5, 16.5);

        var stepped = new DemandForecast();
        for (var i = 0; i < 1_440; i++)
        {
            stepped.Observe(_now += Poll, Poisson(i < 1_000 ? 20 : 100), 0, 0);
        }

        Assert.InRange(stepped.At(Horizon).Dispersion, 1, 3);
    }

    [Theory]
    [InlineData(0.01, 3)]
    [InlineData(0.5, 2)]
    [InlineData(2, 1.5)]
    [InlineData(6, 1.5)]
    public void A_burst_counts_as_it_begins_and_chance_does_not(double perSecond, double most)
    {
        Drive(3_600_000, _ => perSecond);
        var (recent, present) = (0.0, 0.0);
        for (var i = 0; i < 1_440; i++)
        {
            Drive(Poll, _ => perSecond);
            recent += _forecast.RecentRate;
            present += _forecast.PresentRate;
            Assert.InRange(_forecast.PresentRate, 0, most * Math.Max(perSecond, _forecast.RecentRate));
        }

        Assert.InRange(present / recent, 1, 1.02);
        Drive(10_000, _ => 20 * Math.Max(0.5, perSecond));
        Assert.InRange(_forecast.RecentRate, 0, 7 * Math.Max(0.5, perSecond));
        Assert.InRange(_forecast.PresentRate, 9 * Math.Max(0.5, perSecond), 27 * Math.Max(0.5, perSecond));
        Assert.True(_forecast.At(Horizon).Rate > 1.5 * _forecast.At(Horizon, countsBurst: false).Rate);
    }

    [Fact]
    public void What_comes_all_at_once_is_no_burst_that_goes_on()
    {
        Drive(3_600_000, static _ => 2);
        _forecast.Observe(_now += Poll, 0, 0, 0);
        foreach (var arrivals in (int[])[300, 10, 300, 0, 10])
        {
            _forecast.Observe(_now += Poll, arrivals, 0, 0);
            Assert.Equal(_forecast.RecentRate, _forecast.PresentRate);
        }

        // Nor is what was not seen a beginning of one.
        _forecast.Observe(_now += Poll, 300, 0, 0);
        _forecast.Observe(_now += 3_600_000, 300, 0, 0);
        _forecast.Observe(_now += Poll, 300, 0, 0);
        Assert.Equal(_forecast.RecentRate, _forecast.PresentRate);
        _forecast.Observe(_now += Poll, 300, 0, 0);
        Assert.True(_forecast.PresentRate > _forecast.RecentRate);
    }

    [Fact]
    public void A_load_that_lasts_is_remembered_for_an_hour_where_the_time_of_day_tells_nothing()
    {
        void Busy(long forMs, int calls)
        {
            for (var end = _now + forMs; _now < end;)
            {
                _forecast.Observe(_now += Poll, calls, calls, calls * Poll);
            }
        }

        Busy(14_400_000, 10);
        Assert.InRange(_forecast.LastingLoad, 9, 10);
        Busy(1_800_000, 0);
        Assert.InRange(_forecast.LastingLoad, 5, 7);
        Busy(7_200_000, 0);
        Assert.InRange(_forecast.LastingLoad, 0, 1);

        // Eight hours a day, day after day: what stops in the evening is not expected back.
        for (var day = 0; day < 5; day++)
        {
            Busy(8 * 3_600_000, 10);
            Busy(16 * 3_600_000, 0);
        }

        Busy(8 * 3_600_000, 10);
        Assert.InRange(_forecast.LastingLoad, 0, 5);
    }

    [Fact]
    public void A_rise_is_expected_to_go_on_and_chance_is_not_taken_for_one()
    {
        Drive(3_600_000, static _ => 4);
        Drive(1_200_000, static at => 4 + ((at - 3_600_000) / 60_000.0));
        var now = 4 + 20;
        Assert.InRange(_forecast.At(Horizon).Rate, now, now + 10);
        Assert.True(_forecast.At(Horizon).Rate > _forecast.At(0).Rate);
    }

    [Fact]
    public void The_highest_rate_and_load_of_late_fade_also_while_nobody_looks()
    {
        var forecast = new DemandForecast();
        var now = 1_000_000L;
        for (; now < 3_000_000; now += 5_000)
        {
            forecast.Observe(now, 50, 50, 100_000);
        }

        Assert.Equal(10, forecast.PeakRate, 0.1);
        Assert.Equal(20, forecast.PeakLoad, 0.1);

        // A quarter of an hour, and a day.
        var seen = (forecast.PeakRate, forecast.PeakLoad);
        forecast.Observe(now += 900_000, 0, 0, 0);
        Assert.InRange(forecast.PeakRate / seen.PeakRate, 0.85, 0.9);
        Assert.InRange(forecast.PeakLoad / seen.PeakLoad, 0.85, 0.9);
        forecast.Observe(now + 86_400_000, 0, 0, 0);
        forecast.Observe(now + 86_405_000, 0, 0, 0);
        Assert.InRange(forecast.PeakRate, 0, 0.001);
        Assert.InRange(forecast.PeakLoad, 0, 0.001);
    }

    [Fact]
    public void The_time_of_day_is_learned_and_the_office_opens_as_it_did_the_days_before()
    {
        static double Rate(long at) => at % 86_400_000 is > 9 * 3_600_000 and < 17 * 3_600_000 ? 10 : 0.2;
        Drive((4 * 86_400_000L) + (9 * 3_600_000) - 60_000, Rate);
        Assert.InRange(_forecast.SeasonSkill, 0.5, 1);
        Assert.InRange(_forecast.RecentRate, 0, 0.6);
        Assert.InRange(_forecast.At(900_000).Rate, 4, 14);

        // And closes so; and after a restart it knows as much.
        Drive((8 * 3_600_000L) - 60_000, Rate);
        var restored = new DemandForecast(JsonSerializer.Deserialize<DemandForecastState>(JsonSerializer.Serialize(_forecast.ToState())));
        Assert.Equal(_forecast.At(1_200_000), restored.At(1_200_000));
        Assert.InRange(restored.At(1_200_000).Rate, 0, 7);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Without_a_season_the_profile_does_no_harm(int seed)
    {
        // Rates that wander, the same at no time of the day.
        var random = new Random(seed);
        var (rate, until) = (5.0, 0L);
        var (with, without, count) = (0.0, 0.0, 0);
        var due = new Queue<(long At, double With, double Without)>();
        var season = new DaySeason();
        for (var at = 0L; at < 6 * 86_400_000L; at += 60_000)
        {
            if (at >= until)
            {
                (rate, until) = (Math.Clamp(rate * Math.Exp(0.6 * (random.NextDouble() - 0.5)), 0.5, 40), at + random.NextInt64(3_600_000));
            }

            while (due.TryPeek(out var oldest) && oldest.At <= at)
            {
                due.Dequeue();
                with += Math.Pow(oldest.With - rate, 2);
                without += Math.Pow(oldest.Without - rate, 2);
                count++;
            }

            due.Enqueue((at + Horizon, season.At(Midnight + at, Midnight + at + Horizon, rate, rate), rate));
            season.Observe(Midnight + at, Midnight + at + 60_000, rate * 60);
        }

        Assert.True(count > 8_000);
        Assert.InRange(with, 0, without * 1.02);
    }

    [Fact]
    public void What_was_not_seen_is_not_taken_for_silence()
    {
        Drive(3_600_000, static _ => 4);
        _now += 600_000;
        _forecast.Observe(_now, 3, 0, 0);
        Assert.InRange(_forecast.At(Horizon).Rate, 3, 5);
    }

    [Fact]
    public void Service_time_is_believed_until_it_is_measured()
    {
        var prior = new LatencyPrior { ServiceP50Seconds = 2, ServiceP99Seconds = 2 };
        Assert.Equal(2_000, _forecast.ServiceMs(prior), 3);
        Assert.True(_forecast.ServiceMs(prior with { ServiceP99Seconds = 20 }) > 2_500);
        _forecast.Observe(_now += Poll, 10, 500, 500 * 300);
        Assert.InRange(_forecast.ServiceMs(prior), 300, 330);
    }

    [Property(MaxTest = 200)]
    public void Nothing_makes_it_negative_or_no_number_and_what_is_stored_stays_small(int seed)
    {
        var random = new Random(seed);
        var forecast = new DemandForecast();
        var now = random.NextInt64(0, 2_000_000_000_000);
        for (var i = 0; i < 500; i++)
        {
            now += random.Next(10) switch { 0 => random.NextInt64(-5_000, 200_000_000), 1 => 0, _ => random.NextInt64(10_000) };
            forecast.Observe(Math.Max(0, now), random.Next(4) == 0 ? random.Next(100_000) : 0, random.Next(10), random.Next(2) * random.NextInt64(1_000_000));
            forecast.Promise(random.NextInt64(1_000, 4_000_000));
            var ahead = forecast.At(random.NextInt64(0, 7_200_000));
            Assert.True(ahead.Rate >= 0 && ahead.HighRate >= ahead.Rate && double.IsFinite(ahead.HighRate), $"{ahead} {forecast.ToState()}");
            Assert.InRange(ahead.Dispersion, 1, 32);
            Assert.True(forecast.PresentRate >= 0 && double.IsFinite(forecast.PresentRate) && forecast.LastingLoad >= 0 && double.IsFinite(forecast.LastingLoad), $"{forecast.ToState()}");
        }

        Assert.InRange(JsonSerializer.Serialize(forecast.ToState()).Length, 100, 4_000);
    }

    private void Drive(long forMs, Func<long, double> perSecond)
    {
        for (var end = _now + forMs; _now < end;)
        {
            _now += Poll;
            _forecast.Observe(_now, Poisson(perSecond(_now - Midnight) * Poll / 1000), 0, 0);
        }
    }

    private int Poisson(double mean)
    {
        var (count, product) = (0, _random.NextDouble());
        for (var limit = Math.Exp(-Math.Min(mean, 700)); product > limit; product *= _random.NextDouble())
        {
            count++;
        }

        return count;
    }
}
