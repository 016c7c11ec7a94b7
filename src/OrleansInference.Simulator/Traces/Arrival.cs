namespace OrleansInference.Simulator.Traces;

/// <summary>A request as the trace has it.</summary>
public struct Arrival
{
    /// <summary>Microseconds from the beginning.</summary>
    public long AtUs { get; set; }

    /// <summary>Index of the tenant in the scenario.</summary>
    public int Tenant { get; set; }

    /// <summary>Input tokens.</summary>
    public int InputTokens { get; set; }

    /// <summary>Output tokens.</summary>
    public int OutputTokens { get; set; }

    /// <summary>Factor on its service time, drawn once: the same whichever policy serves it.</summary>
    public float Jitter { get; set; }
}

/// <summary>Requests in the order of their arrival.</summary>
public interface IArrivals : IDisposable
{
    /// <summary>The next request; false at the end.</summary>
    bool TryNext(out Arrival arrival);
}
