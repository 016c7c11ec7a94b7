using Orleans.Runtime.Messaging;

namespace OrleansInference.Tests;

/// <summary>Calls that could not be delivered because a silo, a gateway as a rule, has just been killed.</summary>
internal static class LostCalls
{
    /// <summary>Whether that is what happened: the call did nothing, and a caller calls again.</summary>
    public static bool IsOne(Exception exception) => exception is ConnectionFailedException or SiloUnavailableException or OrleansMessageRejectionException;

    /// <summary>Calls until the call is delivered.</summary>
    public static async Task<T> AgainAsync<T>(Func<Task<T>> call)
    {
        while (true)
        {
            try
            {
                return await call();
            }
            catch (Exception exception) when (IsOne(exception))
            {
                await Task.Delay(50, TestContext.Current.CancellationToken);
            }
        }
    }
}
