namespace OrleansInference.Latency;

/// <summary>How long a request is expected to take by its tokens.</summary>
/// <param name="Ms">The mean in milliseconds, at least 1; 0: nothing can be said.</param>
/// <param name="Spread">By what share of it calls differ from it (root of the mean square), greater than 0 where something is said.</param>
public readonly record struct ServiceEstimate(double Ms, double Spread);

/// <summary>
/// How long a request of so many tokens takes on an endpoint: reading its input and writing its answer take a time a token each, and something is there for every request.
/// The three are fitted to the calls of this process by least squares of the relative error, and what is old fades. A size class (<see cref="SizeClass"/>) spans a factor of
/// four and knows nothing before requests of it have ended: a burst of unusually long ones is seen by this before the first is done. Says nothing where tokens do not explain
/// the time. Bounded; safe for concurrent use.
/// </summary>
public sealed class ServiceFit
{
    /// <summary>Calls before anything is said.</summary>
    public const int LeastCalls = 50;

    // A thousand calls are remembered, and of their squared relative error a tenth may be left: some thirty percent a call.
    private const double Share = 0.001;
    private const double MostError = 0.1;
    private const double LeastSpread = 0.05;
    private const int CallsPerSolution = 20;
    private const double Ridge = 1e-6;

    private readonly Lock _lock = new();
    private Sums _sums;
    private long _calls;
    private int _untilSolution;
    private volatile Line? _line;

    /// <summary>Takes a call that ended. One that comes while another is taken is left out.</summary>
    /// <param name="inputTokens">Input tokens; less than 0 counts as 0.</param>
    /// <param name="maxOutputTokens">The most output tokens that were asked for; less than 0 counts as 0.</param>
    /// <param name="milliseconds">How long it took; less than 1 counts as 1.</param>
    public void Observe(int inputTokens, int maxOutputTokens, double milliseconds)
    {
        if (!double.IsFinite(milliseconds) || !_lock.TryEnter())
        {
            return;
        }

        try
        {
            _calls++;
            _sums = _sums.With(Math.Max(0, inputTokens), Math.Max(0, maxOutputTokens), Math.Max(1, milliseconds), 1 - Math.Max(Share, 1.0 / (_calls + 1)));
            if (--_untilSolution <= 0 && _calls >= LeastCalls)
            {
                _untilSolution = CallsPerSolution;
                _line = _sums.Solve(input: true, output: true) ?? _sums.Solve(input: false, output: true) ?? _sums.Solve(input: true, output: false);
            }
        }
        finally
        {
            _lock.Exit();
        }
    }

    /// <summary>How long a request is expected to take.</summary>
    /// <param name="inputTokens">Input tokens; less than 0 counts as 0.</param>
    /// <param name="maxOutputTokens">The most output tokens that it asks for; less than 0 counts as 0.</param>
    public ServiceEstimate Estimate(int inputTokens, int maxOutputTokens) => _line is { } line
        ? new(Math.Max(1, line.Constant + (line.PerInput * Math.Max(0, inputTokens)) + (line.PerOutput * Math.Max(0, maxOutputTokens))), line.Spread)
        : default;

    private sealed record Line(double Constant, double PerInput, double PerOutput, double Spread);

    /// <summary>The sums of the normal equations, each call weighted by one over the square of its time.</summary>
    private readonly record struct Sums(double Calls, double W, double I, double O, double II, double IO, double OO, double Y, double IY, double OY)
    {
        public Sums With(double input, double output, double took, double fade)
        {
            var w = 1 / (took * took);
            return new(
                (Calls * fade) + 1,
                (W * fade) + w,
                (I * fade) + (w * input),
                (O * fade) + (w * output),
                (II * fade) + (w * input * input),
                (IO * fade) + (w * input * output),
                (OO * fade) + (w * output * output),
                (Y * fade) + (w * took),
                (IY * fade) + (w * took * input),
                (OY * fade) + (w * took * output));
        }

        /// <summary>The best line through the given parts; null if a token would take less than no time, or if it explains too little.</summary>
        public Line? Solve(bool input, bool output)
        {
            // Where a part is left out its row and column are those of the unit matrix.
            var (i, o, io, iy, oy) = (input ? I : 0, output ? O : 0, input && output ? IO : 0, input ? IY : 0, output ? OY : 0);
            var ii = input && II > 0 ? II * (1 + Ridge) : 1;
            var oo = output && OO > 0 ? OO * (1 + Ridge) : 1;
            var w = W * (1 + Ridge);
            var determinant = (w * ((ii * oo) - (io * io))) - (i * ((i * oo) - (io * o))) + (o * ((i * io) - (ii * o)));
            var constant = ((Y * ((ii * oo) - (io * io))) - (i * ((iy * oo) - (io * oy))) + (o * ((iy * io) - (ii * oy)))) / determinant;
            var perInput = ((w * ((iy * oo) - (io * oy))) - (Y * ((i * oo) - (io * o))) + (o * ((i * oy) - (iy * o)))) / determinant;
            var perOutput = ((w * ((ii * oy) - (iy * io))) - (i * ((i * oy) - (iy * o))) + (Y * ((i * io) - (ii * o)))) / determinant;
            var error = Calls - ((constant * Y) + (perInput * iy) + (perOutput * oy));
            return double.IsFinite(constant + perInput + perOutput) && perInput >= 0 && perOutput >= 0 && error < MostError * Calls
                ? new(constant, perInput, perOutput, Math.Max(LeastSpread, Math.Sqrt(Math.Max(0, error / Calls))))
                : null;
        }
    }
}
