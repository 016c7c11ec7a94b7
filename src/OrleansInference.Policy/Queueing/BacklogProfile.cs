namespace OrleansInference.Queueing;

/// <summary>
/// How much work the tenants of a class have waiting, seen so that one sum tells how much of it a fair share serves within a virtual time: none gets
/// more than its share and none more than it has. Tenants are kept together by the octave of their work over their weight, so a sum takes a
/// few dozen steps however many there are, and only within one octave is it an estimate.
/// </summary>
internal sealed class BacklogProfile
{
    private const int Octaves = 64;
    private const int LeastExponent = -20;
    private const double WeightUnits = 65_536;
    private const double MostWeight = 1e9;

    private readonly long[] _work = new long[Octaves];
    private readonly long[] _weights = new long[Octaves];
    private long _allWeights;

    /// <summary>A weight in units that add up exactly, at least 1.</summary>
    public static long UnitsOf(double weight) => Math.Max(1, (long)(Math.Min(weight, MostWeight) * WeightUnits));

    /// <summary>Adds a tenant's work, which is not 0.</summary>
    public void Add(long work, long weightUnits) => Change(work, weightUnits, 1);

    /// <summary>Takes out what was added.</summary>
    public void Remove(long work, long weightUnits) => Change(work, weightUnits, -1);

    /// <summary>The work that a fair share serves within a virtual time (work over weight), without that of one tenant.</summary>
    public double Served(double virtualMs, long withoutWork, long withoutUnits)
    {
        var perUnit = virtualMs / WeightUnits;
        var without = withoutWork > 0 ? OctaveOf(withoutWork, withoutUnits) : -1;
        var last = OctaveOf(virtualMs);
        var served = 0.0;
        var weights = _allWeights - (without >= 0 ? withoutUnits : 0);
        for (var i = 0; i <= last; i++)
        {
            var work = _work[i] - (i == without ? withoutWork : 0);
            var units = _weights[i] - (i == without ? withoutUnits : 0);
            served += i < last ? work : Math.Min(work, units * perUnit);
            weights -= units;
        }

        return served + (weights * perUnit);
    }

    private void Change(long work, long weightUnits, int sign)
    {
        var octave = OctaveOf(work, weightUnits);
        _work[octave] += sign * work;
        _weights[octave] += sign * weightUnits;
        _allWeights += sign * weightUnits;
    }

    private static int OctaveOf(long work, long weightUnits) => OctaveOf(work / (weightUnits / WeightUnits));

    private static int OctaveOf(double virtualMs)
    {
        var exponent = (int)(BitConverter.DoubleToInt64Bits(virtualMs) >> 52) - 1023;
        return Math.Clamp(exponent - LeastExponent, 0, Octaves - 1);
    }
}
