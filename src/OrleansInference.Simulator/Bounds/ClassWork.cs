namespace OrleansInference.Simulator.Bounds;

/// <summary>The requests of a model's class, and what each must cost at least.</summary>
internal sealed class ClassWork
{
    /// <summary>Those that some lane can serve.</summary>
    public long Requests { get; private set; }

    /// <summary>Those of them that nobody can answer in time.</summary>
    public long Unattainable { get; private set; }

    /// <summary>What the others must cost.</summary>
    public DearestRequests Dearest { get; } = new();

    /// <summary>Counts a request.</summary>
    /// <param name="nanos">What must be spent on it at least; null if nobody can answer it in time.</param>
    public void Add(double? nanos)
    {
        Requests++;
        if (nanos is { } spent)
        {
            Dearest.Add(spent);
        }
        else
        {
            Unattainable++;
        }
    }
}
