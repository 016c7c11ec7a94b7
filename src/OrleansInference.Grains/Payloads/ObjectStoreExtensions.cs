using System.Runtime.ExceptionServices;

namespace OrleansInference.Payloads;

internal static class ObjectStoreExtensions
{
    private const int AtOnce = 8;

    /// <summary>Deletes every object below a prefix. Each is tried whatever becomes of the others; then what failed first is thrown, and it is to be asked for again.</summary>
    public static async Task DeleteBelowAsync(this IObjectStore objects, string bucket, string prefix, CancellationToken cancellationToken)
    {
        Exception? failed = null;
        while (failed is null && await objects.ListAsync(bucket, prefix, cancellationToken) is { Count: > 0 } keys)
        {
            foreach (var some in keys.Chunk(AtOnce))
            {
                cancellationToken.ThrowIfCancellationRequested();
                try
                {
                    await Task.WhenAll(some.Select(key => objects.DeleteAsync(bucket, key, cancellationToken)));
                }
                catch (Exception exception)
                {
                    failed ??= exception;
                }
            }
        }

        if (failed is not null)
        {
            ExceptionDispatchInfo.Throw(failed);
        }
    }
}
