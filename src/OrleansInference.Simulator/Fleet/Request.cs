namespace OrleansInference.Simulator.Fleet;

/// <summary>A request in the simulated world.</summary>
public struct Request
{
    /// <summary>Microseconds at which it came.</summary>
    public long ArrivedUs { get; set; }

    /// <summary>Microseconds until which its answer is worth something.</summary>
    public long DeadlineUs { get; set; }

    /// <summary>Microseconds at which its service began; of one that waits of no meaning.</summary>
    public long StartedUs { get; set; }

    /// <summary>Microseconds that an environment needed to start before; 0: it was warm, or an instance.</summary>
    public long ColdUs { get; set; }

    /// <summary>Counts arrivals up from 0.</summary>
    public long Number { get; set; }

    /// <summary>Index of the tenant.</summary>
    public int Tenant { get; set; }

    /// <summary>Input tokens.</summary>
    public int InputTokens { get; set; }

    /// <summary>Output tokens.</summary>
    public int OutputTokens { get; set; }

    /// <summary>Factor on its service time.</summary>
    public float Jitter { get; set; }

    /// <summary>Index of the pool that serves it.</summary>
    public int Pool { get; set; }

    /// <summary>What the policy keeps with it.</summary>
    public int Mark { get; set; }

    /// <summary>The class.</summary>
    public TrafficClass Class { get; set; }

    /// <summary>Whether the lane's limit cuts its service off.</summary>
    public bool IsCutOff { get; set; }
}
