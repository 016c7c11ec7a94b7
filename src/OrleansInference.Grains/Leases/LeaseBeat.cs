namespace OrleansInference.Leases;

/// <summary>One beat of many accounts; a failure of one is the next beat's to repair.</summary>
internal static class LeaseBeat
{
    public static async Task RunAsync(IEnumerable<LeaseAccount> accounts, bool closing)
    {
        var beats = accounts.Select(account => account.BeatAsync(closing)).ToArray();
        try
        {
            await Task.WhenAll(beats);
        }
        catch (Exception) when (!closing)
        {
            // Counters are cumulative: the next report states what this one could not.
        }
    }
}
