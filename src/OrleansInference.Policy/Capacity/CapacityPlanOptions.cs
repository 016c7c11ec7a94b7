namespace OrleansInference.Capacity;

/// <summary>Which of its ideas a capacity plan uses: all, unless it is to be shown what one of them is worth.</summary>
public sealed record CapacityPlanOptions
{
    /// <summary>All of them.</summary>
    public static CapacityPlanOptions Default { get; } = new();

    /// <summary>Whether the load is forecast; else it is taken to stay as it is.</summary>
    public bool Forecasts { get; init; } = true;

    /// <summary>Whether instances that are not needed are kept for as long as that is worth a start; else they are released at once.</summary>
    public bool KeepsIdle { get; init; } = true;
}
