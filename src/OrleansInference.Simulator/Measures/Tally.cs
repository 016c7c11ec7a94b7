using OrleansInference.Latency;

namespace OrleansInference.Simulator.Measures;

/// <summary>What became of the requests of a class.</summary>
public sealed class ClassTally
{
    /// <summary>Requests that some lane could serve.</summary>
    public long Requests { get; set; }

    /// <summary>Requests that no lane can serve.</summary>
    public long Infeasible { get; set; }

    /// <summary>Requests answered in time with the quality asked for.</summary>
    public long Attained { get; set; }

    /// <summary>Share of <see cref="Requests"/> that was attained, 0..1; 1 if there were none.</summary>
    public double Attainment => Requests == 0 ? 1 : (double)Attained / Requests;

    /// <summary>Milliseconds from arrival to answer of all that were answered.</summary>
    public QuantileSketch Latency { get; } = new(wholeRange: true);

    /// <summary>The time in seconds that a share of the answers took at most; 0 if there are none.</summary>
    /// <param name="share">0..1.</param>
    public double LatencySeconds(double share) => Latency.Quantile(share) / 1000;
}

/// <summary>What became of a tenant's requests, and its share of the work.</summary>
public sealed class TenantTally
{
    /// <summary>Requests that some lane could serve.</summary>
    public long Requests { get; set; }

    /// <summary>Requests answered in time.</summary>
    public long Attained { get; set; }
}
