namespace OrleansInference.DynamoDB;

/// <summary>How long a table is waited for.</summary>
/// <param name="Retries">How often a call that was throttled, or failed by a fault of the service or the network, is repeated; 0 or more. The SDK pauses before each, at most 1 s before the first and twice as long before the next.</param>
/// <param name="Attempt">How long one attempt may take.</param>
/// <param name="Call">How long a call may take with all its attempts and pauses.</param>
/// <param name="SharesRetries">Whether the SDK's bound of retries counts, which all clients of one service share: under long throttling what waits fails at once instead of knocking again and again.</param>
internal sealed record TablePatience(int Retries, TimeSpan Attempt, TimeSpan Call, bool SharesRetries)
{
    /// <summary>Where a request waits: who sent it is told to come back rather than kept waiting. Three attempts and their pauses fit.</summary>
    public static readonly TablePatience OnRequests = new(2, TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(4), SharesRetries: true);

    /// <summary>Where no request waits and much depends on the answer: membership, and opening a table at the start.</summary>
    public static readonly TablePatience InBackground = new(5, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(45), SharesRetries: false);

    /// <summary>Where somebody looks whether a table can be used.</summary>
    public static readonly TablePatience OfExamination = new(1, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(25), SharesRetries: false);
}
