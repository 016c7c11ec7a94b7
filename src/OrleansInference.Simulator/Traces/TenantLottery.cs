using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Traces;

/// <summary>Gives each request to one of the tenants, by their shares.</summary>
internal sealed class TenantLottery
{
    private const double Sigma = 0.1;
    private readonly double[] _upTo;

    public TenantLottery(Scenario scenario)
    {
        _upTo = new double[scenario.Tenants.Length];
        var sum = 0.0;
        for (var i = 0; i < _upTo.Length; i++)
        {
            _upTo[i] = sum += scenario.Tenants[i].Share;
        }
    }

    public Arrival Draw(ref Chance chance, long atUs, int input, int output)
    {
        var found = Array.BinarySearch(_upTo, chance.Uniform() * _upTo[^1]);
        return new()
        {
            AtUs = atUs,
            Tenant = Math.Min(found < 0 ? ~found : found + 1, _upTo.Length - 1),
            InputTokens = input,
            OutputTokens = output,
            Jitter = (float)chance.LogNormal(Sigma),
        };
    }

    /// <summary>A whole number whose mean is the value.</summary>
    public static long Round(ref Chance chance, double value)
    {
        var whole = Math.Floor(value);
        return (long)whole + (chance.Uniform() < value - whole ? 1 : 0);
    }
}
