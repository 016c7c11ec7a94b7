namespace OrleansInference.Demo;

/// <summary>What the demo sends for one row of the trace.</summary>
/// <param name="Offset">Arrival, from the start of the replay, on the router's clock.</param>
/// <param name="Tenant">Who sends it.</param>
/// <param name="Model">What is asked.</param>
/// <param name="Class">The class it declares.</param>
/// <param name="InputTokens">Input tokens, from the trace.</param>
/// <param name="OutputTokens">Output tokens, from the trace; 1 for an embedding.</param>
/// <param name="MaxOutputTokens">The most output tokens it asks for: a power of two, as callers do not know the answer's length.</param>
internal readonly record struct DemoRequest(
    TimeSpan Offset,
    TenantId Tenant,
    ModelName Model,
    TrafficClass Class,
    int InputTokens,
    int OutputTokens,
    int MaxOutputTokens)
{
    /// <summary>Whether the caller takes a job instead of an answer: all but <see cref="TrafficClass.High"/> do.</summary>
    public bool TakesJob => Class != TrafficClass.High;
}

/// <summary>
/// Splits the trace over tenants, models and classes. The split of a row depends on its file and number alone, so every
/// replay is the same.
/// </summary>
internal static class TrafficMix
{
    private const int SmallestMaxOutput = 64;

    private static readonly (double UpTo, TenantId Tenant, ModelName Model, TrafficClass Class)[] Conversation =
    [
        (0.30, DemoCatalog.Harbor, DemoCatalog.ChatLarge, TrafficClass.High),
        (0.45, DemoCatalog.Spark, DemoCatalog.ChatLarge, TrafficClass.High),
        (0.60, DemoCatalog.Harbor, DemoCatalog.ChatLarge, TrafficClass.Medium),
        (0.75, DemoCatalog.Quill, DemoCatalog.ChatLarge, TrafficClass.Low),
        (0.90, DemoCatalog.Lumen, DemoCatalog.EmbedSmall, TrafficClass.High),
        (1.00, DemoCatalog.Lumen, DemoCatalog.EmbedSmall, TrafficClass.Low),
    ];

    private static readonly (double UpTo, TenantId Tenant, ModelName Model, TrafficClass Class)[] Code =
    [
        (0.60, DemoCatalog.Atlas, DemoCatalog.CodeAssist, TrafficClass.High),
        (0.85, DemoCatalog.Atlas, DemoCatalog.CodeAssist, TrafficClass.Medium),
        (1.00, DemoCatalog.Quill, DemoCatalog.CodeAssist, TrafficClass.Low),
    ];

    /// <summary>The request for a row.</summary>
    public static DemoRequest Assign(TraceRow row)
    {
        var draw = Draw(row);
        var (_, tenant, model, trafficClass) = (row.Source == TraceSource.Code ? Code : Conversation).First(share => draw < share.UpTo);
        var output = model == DemoCatalog.EmbedSmall ? 1 : row.OutputTokens;
        var most = model == DemoCatalog.EmbedSmall ? 1 : SmallestMaxOutput;
        while (most < output)
        {
            most *= 2;
        }

        return new(row.Offset, tenant, model, trafficClass, row.InputTokens, output, most);
    }

    // SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) over file and row, as a number in 0..1.
    private static double Draw(TraceRow row)
    {
        var z = (((ulong)row.Source << 32) | (uint)row.Row) + 0x9E37_79B9_7F4A_7C15;
        z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9;
        z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB;
        z ^= z >> 31;
        return (z >> 11) * (1.0 / (1UL << 53));
    }
}
