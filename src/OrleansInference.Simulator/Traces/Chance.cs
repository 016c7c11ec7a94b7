namespace OrleansInference.Simulator.Traces;

/// <summary>A stream of chance with its own seed: xoshiro256** (Blackman, Vigna, Scrambled linear pseudorandom number generators, 2021), seeded by SplitMix64.</summary>
public struct Chance
{
    private const double PerUnit = 1.0 / (1UL << 53);
    private ulong _a;
    private ulong _b;
    private ulong _c;
    private ulong _d;
    private double _spare;
    private bool _hasSpare;

    /// <summary>A stream of a seed and of a name, unrelated to that of another name.</summary>
    public Chance(ulong seed, string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var state = seed;
        foreach (var letter in name)
        {
            state = (state ^ letter) * 0x100_0000_01B3;
        }

        _a = Next(ref state);
        _b = Next(ref state);
        _c = Next(ref state);
        _d = Next(ref state);
    }

    /// <summary>64 bits.</summary>
    public ulong Bits()
    {
        var result = ulong.RotateLeft(_b * 5, 7) * 9;
        var t = _b << 17;
        _c ^= _a;
        _d ^= _b;
        _b ^= _c;
        _a ^= _d;
        _c ^= t;
        _d = ulong.RotateLeft(_d, 45);
        return result;
    }

    /// <summary>Uniform in [0, 1).</summary>
    public double Uniform() => (Bits() >> 11) * PerUnit;

    /// <summary>Uniform in (0, 1).</summary>
    public double Positive() => ((Bits() >> 11) + 0.5) * PerUnit;

    /// <summary>Standard normal (polar method: Marsaglia, Bray, SIAM Review 6, 1964).</summary>
    public double Normal()
    {
        if (_hasSpare)
        {
            _hasSpare = false;
            return _spare;
        }

        double u, v, s;
        do
        {
            u = (2 * Uniform()) - 1;
            v = (2 * Uniform()) - 1;
            s = (u * u) + (v * v);
        }
        while (s is >= 1 or 0);
        var factor = Math.Sqrt(-2 * Math.Log(s) / s);
        _spare = v * factor;
        _hasSpare = true;
        return u * factor;
    }

    /// <summary>Gamma with scale 1 (Marsaglia, Tsang, A simple method for generating gamma variables, 2000).</summary>
    /// <param name="shape">Greater than 0.</param>
    public double Gamma(double shape)
    {
        if (shape < 1)
        {
            return Gamma(shape + 1) * Math.Pow(Positive(), 1 / shape);
        }

        var d = shape - (1.0 / 3);
        var c = 1 / Math.Sqrt(9 * d);
        while (true)
        {
            var x = Normal();
            var v = 1 + (c * x);
            if (v <= 0)
            {
                continue;
            }

            v = v * v * v;
            var u = Positive();
            if (u < 1 - (0.0331 * x * x * x * x) || Math.Log(u) < (0.5 * x * x) + (d * (1 - v + Math.Log(v))))
            {
                return d * v;
            }
        }
    }

    /// <summary>Weibull with scale 1.</summary>
    /// <param name="shape">Greater than 0.</param>
    public double Weibull(double shape) => Math.Pow(-Math.Log(Positive()), 1 / shape);

    /// <summary>Log-normal with median 1.</summary>
    /// <param name="sigma">Standard deviation of the logarithm.</param>
    public double LogNormal(double sigma) => Math.Exp(sigma * Normal());

    private static ulong Next(ref ulong state)
    {
        state += 0x9E37_79B9_7F4A_7C15;
        var z = (state ^ (state >> 30)) * 0xBF58_476D_1CE4_E5B9;
        z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB;
        return z ^ (z >> 31);
    }
}
