using Microsoft.Extensions.Options;
using OrleansInference.Hosting;
using OrleansInference.Jobs;
using OrleansInference.Payloads;

namespace OrleansInference.Idempotency;

/// <summary>Keeps answers under idempotency keys that are too large for a grain's state, as objects beside those of jobs.</summary>
internal sealed class AnswerStore(IObjectStore objects, IOptions<OrleansInferenceOptions> options)
{
    /// <summary>The most bytes of an answer that are kept in the grain's state.</summary>
    public const int MaxInState = 32_768;

    private bool _hasBucket;

    public static string Prefix(JobAddress address) => $"keys/{address.Key}/";

    /// <summary>Stores the body under the claim's name and answers its key; null if it goes into the state.</summary>
    public async Task<string?> PutAsync(JobAddress address, string claim, InferenceOutcome outcome)
    {
        if (outcome.Body.Length <= MaxInState)
        {
            return null;
        }

        if (!_hasBucket)
        {
            await objects.EnsureBucketAsync(options.Value.PayloadBucket, CancellationToken.None);
            _hasBucket = true;
        }

        var key = Prefix(address) + claim;
        await objects.PutAsync(options.Value.PayloadBucket, key, outcome.Body, outcome.ContentType ?? "application/octet-stream", CancellationToken.None);
        return key;
    }

    /// <summary>The body; null if it is not there.</summary>
    public async Task<ReadOnlyMemory<byte>?> GetAsync(string key, CancellationToken cancellationToken) =>
        (await objects.GetAsync(options.Value.PayloadBucket, key, cancellationToken))?.Body;
}
