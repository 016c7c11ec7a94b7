using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Traces;

/// <summary>One window of a client: how many requests come, and how the gaps between them are distributed.</summary>
/// <param name="StartSeconds">Its beginning, from the trace's.</param>
/// <param name="Rate">Requests per second, greater than 0.</param>
/// <param name="IsWeibull">Weibull, else gamma.</param>
/// <param name="Shape">The distribution's shape, greater than 0.</param>
public readonly record struct RateWindow(double StartSeconds, double Rate, bool IsWeibull, double Shape);

/// <summary>A client of the trace: its windows in order, and how long its requests are.</summary>
/// <param name="Windows">Windows with requests.</param>
/// <param name="Input">Input tokens.</param>
/// <param name="Output">Output tokens.</param>
public sealed record RateClient(RateWindow[] Windows, LengthQuantiles Input, LengthQuantiles Output);

/// <summary>
/// Arrivals drawn from rates: within a window the gaps are drawn from the fitted shape and scaled to the window's rate (ServeGen: Workload characterization and
/// generation of large language model serving in production, 2025). Each client has its own stream of chance.
/// </summary>
public sealed class ServeGenArrivals : IArrivals
{
    /// <summary>Length of a window in seconds.</summary>
    public const double WindowSeconds = 600;

    private const double Sigma = 0.1;
    private readonly Source[] _sources;
    private readonly int[] _heap;
    private int _count;

    /// <summary>Arrivals of the given clients.</summary>
    /// <param name="clients">By tenant.</param>
    /// <param name="names">Names of the streams of chance, by tenant.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="rateScale">Factor on the rates.</param>
    /// <param name="untilSeconds">No request comes after.</param>
    public ServeGenArrivals(IReadOnlyList<RateClient> clients, IReadOnlyList<string> names, ulong seed, double rateScale, double untilSeconds)
    {
        ArgumentNullException.ThrowIfNull(clients);
        ArgumentNullException.ThrowIfNull(names);
        _sources = new Source[clients.Count];
        _heap = new int[clients.Count];
        for (var i = 0; i < clients.Count; i++)
        {
            _sources[i] = new(clients[i], new(seed, names[i]), rateScale, untilSeconds);
            if (_sources[i].Advance())
            {
                _heap[_count++] = i;
            }
        }

        for (var i = (_count / 2) - 1; i >= 0; i--)
        {
            Sink(i);
        }
    }

    /// <inheritdoc/>
    public bool TryNext(out Arrival arrival)
    {
        if (_count == 0)
        {
            arrival = default;
            return false;
        }

        var first = _heap[0];
        _sources[first].Draw(first, out arrival);
        if (!_sources[first].Advance())
        {
            _heap[0] = _heap[--_count];
        }

        Sink(0);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private void Sink(int at)
    {
        if (at >= _count)
        {
            return;
        }

        var moving = _heap[at];
        while (true)
        {
            var child = (2 * at) + 1;
            if (child >= _count)
            {
                break;
            }

            if (child + 1 < _count && IsBefore(_heap[child + 1], _heap[child]))
            {
                child++;
            }

            if (!IsBefore(_heap[child], moving))
            {
                break;
            }

            _heap[at] = _heap[child];
            at = child;
        }

        _heap[at] = moving;
    }

    private bool IsBefore(int one, int other) =>
        _sources[one].NextSeconds < _sources[other].NextSeconds || (_sources[one].NextSeconds == _sources[other].NextSeconds && one < other);

    private sealed class Source(RateClient client, Chance chance, double rateScale, double untilSeconds)
    {
        private Chance _chance = chance;
        private int _window = -1;
        private double _end;
        private double _scale;
        private bool _isWeibull;
        private double _shape;

        public double NextSeconds { get; private set; } = double.NegativeInfinity;

        public void Draw(int tenant, out Arrival arrival)
        {
            arrival = new()
            {
                AtUs = (long)(NextSeconds * 1e6),
                Tenant = tenant,
                InputTokens = client.Input.At(_chance.Uniform()),
                OutputTokens = client.Output.At(_chance.Uniform()),
                Jitter = (float)_chance.LogNormal(Sigma),
            };
        }

        public bool Advance()
        {
            var at = NextSeconds;
            while (true)
            {
                if (_window >= 0)
                {
                    at += _scale * (_isWeibull ? _chance.Weibull(_shape) : _chance.Gamma(_shape));
                    if (at < _end)
                    {
                        NextSeconds = at;
                        return true;
                    }
                }

                if (++_window >= client.Windows.Length || client.Windows[_window].StartSeconds >= untilSeconds)
                {
                    return false;
                }

                ref readonly var next = ref client.Windows[_window];
                at = next.StartSeconds;
                _end = Math.Min(untilSeconds, at + WindowSeconds);
                (_isWeibull, _shape) = (next.IsWeibull, next.Shape);
                var mean = next.IsWeibull ? GammaFunction(1 + (1 / next.Shape)) : next.Shape;
                _scale = 1 / (next.Rate * rateScale * mean);
            }
        }
    }

    /// <summary>Γ(x) for x ≥ 1 (Lanczos' approximation, g = 7, n = 9).</summary>
    internal static double GammaFunction(double x)
    {
        ReadOnlySpan<double> terms =
        [
            0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
            12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
        ];
        x -= 1;
        var sum = terms[0];
        for (var i = 1; i < terms.Length; i++)
        {
            sum += terms[i] / (x + i);
        }

        var t = x + 7.5;
        return Math.Sqrt(2 * Math.PI) * Math.Pow(t, x + 0.5) * Math.Exp(-t) * sum;
    }
}
