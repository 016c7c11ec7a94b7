using System.Globalization;
using OrleansInference.Hosting;

namespace OrleansInference.Batch;

/// <summary>Names the windows of a batch endpoint.</summary>
internal static class WindowKey
{
    public static string Of(EndpointName endpoint, long number) => string.Create(CultureInfo.InvariantCulture, $"{endpoint}/{number}");
}

/// <summary>What is stored of a batch endpoint's windows.</summary>
public sealed class BatchWindowsState
{
    /// <summary>The window to join.</summary>
    public long Current { get; set; } = 1;

    /// <summary>Milliseconds that transform jobs take beyond the requests; null before the first.</summary>
    public double? OverheadMs { get; set; }
}

/// <summary>Which window takes members, and how long its transform jobs take to start.</summary>
internal sealed class BatchWindowsGrain(
    [PersistentState("batch-windows", OrleansInferenceOptions.StorageName)] IPersistentState<BatchWindowsState> state) : Grain, IBatchWindowsGrain
{
    public Task<long> Current() => Task.FromResult(state.State.Current);

    public async Task<long> After(long closed)
    {
        if (closed >= state.State.Current)
        {
            state.State.Current = closed + 1;
            await WriteAsync();
        }

        return state.State.Current;
    }

    public Task<double?> GetOverhead() => Task.FromResult(state.State.OverheadMs);

    public Task ReportOverhead(double milliseconds)
    {
        state.State.OverheadMs = TransformOverhead.After(state.State.OverheadMs, milliseconds);
        return WriteAsync();
    }

    private async Task WriteAsync()
    {
        try
        {
            await state.WriteStateAsync();
        }
        catch
        {
            DeactivateOnIdle();
            throw;
        }
    }
}
