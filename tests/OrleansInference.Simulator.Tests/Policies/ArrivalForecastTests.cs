using OrleansInference.Simulator.Policies.Baselines;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Tests.Policies;

public sealed class ArrivalForecastTests
{
    [Fact]
    public void A_steady_rate_is_forecast_as_it_is()
    {
        var forecast = new ArrivalForecast(5);
        for (var minute = 0; minute < 3000; minute++)
        {
            forecast.Add(40);
        }

        Assert.Equal(40, forecast.Ahead, 6);
    }

    [Fact]
    public void On_a_ramp_it_is_ahead_of_the_level()
    {
        var forecast = new ArrivalForecast(5);
        for (var minute = 0; minute < 300; minute++)
        {
            forecast.Add(10 * minute);
        }

        Assert.InRange(forecast.Ahead, 2990 + 25, 2990 + 60);
    }

    [Fact]
    public void A_daily_pattern_is_foreseen_from_the_second_day_on()
    {
        double Daily(int minute) => 500 + (450 * Math.Sin(2 * Math.PI * minute / 1440)) + (minute % 1440 is >= 600 and < 720 ? 800 : 0);

        double Error(int from, int to, Func<ArrivalForecast, double> by)
        {
            var chance = new Chance(1, "test");
            var forecast = new ArrivalForecast(7);
            var sum = 0.0;
            for (var minute = 0; minute < to; minute++)
            {
                var rate = Daily(minute);
                forecast.Add(rate + (Math.Sqrt(rate) * chance.Normal()));
                sum += minute >= from ? Math.Abs(by(forecast) - Daily(minute + 7)) : 0;
            }

            return sum / (to - from);
        }

        var last = Error(3 * 1440, 4 * 1440, static forecast => forecast.Level);
        Assert.True(Error(3 * 1440, 4 * 1440, static forecast => forecast.Ahead) < 0.6 * last);
    }

    [Fact]
    public void It_is_never_negative()
    {
        var forecast = new ArrivalForecast(4);
        for (var minute = 0; minute < 4000; minute++)
        {
            forecast.Add(minute % 97 < 3 ? 1000 : 0);
            Assert.True(forecast.Ahead >= 0);
        }
    }
}
