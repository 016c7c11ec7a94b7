namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>
/// Forecasts arrivals per minute some minutes ahead from one-minute counts. Three forecasters run side by side: the recent level; level and damped trend (Holt;
/// Gardner and McKenzie, Management Science 31, 1985); and the time-of-day profile learnt so far with an autoregression of the departure from it. Each counts by
/// the inverse square of its squared error of late.
/// </summary>
/// <param name="horizon">Minutes ahead, at least 1.</param>
internal sealed class ArrivalForecast(int horizon)
{
    private const int MinutesPerDay = 1440;
    private const int MinutesPerBin = 10;
    private const int Bins = MinutesPerDay / MinutesPerBin;
    private const int Forecasters = 3;
    private const double LevelWeight = 0.3;
    private const double TrendWeight = 0.1;
    private const double Damping = 0.97;
    private const double DayWeight = 0.4;
    private const double ErrorMemory = 0.99;
    private const double RegressionMemory = 0.999;

    private readonly double[] _profile = new double[Bins];
    private readonly double[][] _made = [new double[horizon], new double[horizon], new double[horizon]];
    private readonly double[] _departures = new double[horizon];
    private readonly double[] _errors = new double[Forecasters];
    private long _minute;
    private double _level;
    private double _trend;
    private double _binSum;
    private double _product;
    private double _square;

    /// <summary>The recent level in arrivals per minute.</summary>
    public double Level => _level;

    /// <summary>Arrivals per minute, the given minutes ahead.</summary>
    public double Ahead { get; private set; }

    /// <summary>A minute is over.</summary>
    public void Add(double count)
    {
        var before = _level;
        _level = _minute == 0 ? count : (LevelWeight * count) + ((1 - LevelWeight) * (_level + (Damping * _trend)));
        _trend = _minute == 0 ? 0 : (TrendWeight * (_level - before)) + ((1 - TrendWeight) * Damping * _trend);
        var slot = (int)(_minute % horizon);
        if (_minute >= horizon)
        {
            Judge(slot);
        }

        var departure = Departure(slot);
        Learn(count);
        _minute++;
        _made[0][slot] = Math.Max(0, _level);
        _made[1][slot] = Math.Max(0, _level + (_trend * Damping * (1 - Math.Pow(Damping, horizon)) / (1 - Damping)));
        _made[2][slot] = Seasonal(departure);
        Combine(slot);
    }

    private bool HasDay => _minute >= MinutesPerDay;

    private void Judge(int slot)
    {
        for (var i = 0; i < Forecasters; i++)
        {
            var error = _made[i][slot] - _level;
            _errors[i] = (ErrorMemory * _errors[i]) + ((1 - ErrorMemory) * error * error);
        }
    }

    /// <summary>How far the level is from the profile; the autoregression learns from how far it was a horizon ago.</summary>
    private double Departure(int slot)
    {
        if (!HasDay)
        {
            return 0;
        }

        var departure = _level - ProfileAt(_minute);
        var before = _departures[slot];
        _departures[slot] = departure;
        _product = (RegressionMemory * _product) + (before * departure);
        _square = (RegressionMemory * _square) + (before * before);
        return departure;
    }

    private void Learn(double count)
    {
        _binSum += count;
        if ((_minute + 1) % MinutesPerBin == 0)
        {
            var bin = (int)(_minute % MinutesPerDay) / MinutesPerBin;
            var mean = _binSum / MinutesPerBin;
            _profile[bin] = HasDay ? (DayWeight * mean) + ((1 - DayWeight) * _profile[bin]) : mean;
            _binSum = 0;
        }
    }

    private double Seasonal(double departure)
    {
        if (!HasDay)
        {
            return Math.Max(0, _level);
        }

        var carried = _square > 0 ? Math.Clamp(_product / _square, 0, 1) : 1;
        return Math.Max(0, ProfileAt(_minute - 1 + horizon) + (carried * departure));
    }

    private void Combine(int slot)
    {
        double sum = 0, weights = 0;
        for (var i = 0; i < Forecasters; i++)
        {
            var error = _errors[i] + 1e-6;
            var weight = 1 / (error * error);
            sum += weight * _made[i][slot];
            weights += weight;
        }

        Ahead = sum / weights;
    }

    private double ProfileAt(long minute)
    {
        // Between the middles of two bins the profile is a straight line.
        var position = (((minute % MinutesPerDay) + 0.5) / MinutesPerBin) - 0.5 + Bins;
        var bin = (int)position;
        var share = position - bin;
        return ((1 - share) * _profile[bin % Bins]) + (share * _profile[(bin + 1) % Bins]);
    }
}
