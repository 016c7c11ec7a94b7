namespace OrleansInference.Hosting;

/// <summary>What the grains and the dispatcher of a silo are told by their host.</summary>
public sealed class OrleansInferenceOptions
{
    /// <summary>Name of the Orleans grain storage that holds every grain's state.</summary>
    public const string StorageName = "orleans-inference";

    /// <summary>S3 bucket for the inputs and results of jobs; it is created if it does not exist.</summary>
    public string PayloadBucket { get; set; } = "orleans-inference";

    /// <summary>SQS queue that receives the notifications of async endpoints; null: results are found by polling alone.</summary>
    public string? NotificationQueue { get; set; }

    /// <summary>
    /// Time between two looks for an async job's result at least; they become rarer as the wait grows. With a
    /// <see cref="NotificationQueue"/> looking is the fallback, for notifications that were lost.
    /// </summary>
    public TimeSpan MinPollInterval { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Time between two looks for an async job's result at most, with a <see cref="NotificationQueue"/> twelve times as much; at least
    /// <see cref="MinPollInterval"/>. The last look is at the deadline in any case.
    /// </summary>
    public TimeSpan MaxPollInterval { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>Time after which a batch job asks its window, should the window's word not have come; up to six times as much where it waits long.</summary>
    public TimeSpan WindowPollInterval { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>Prefix of transform job names, so that several deployments can share an account; letters, digits and hyphens.</summary>
    public string TransformJobPrefix { get; set; } = "oi";

    /// <summary>Tags for the bill of everything that is created in AWS and billed (transform jobs), beside the kind of inference.</summary>
    public IReadOnlyDictionary<string, string> CostTags { get; set; } = CostTag.Default;

    /// <summary>How long an ended job and its objects, and the outcome under an idempotency key, are kept.</summary>
    public TimeSpan JobRetention { get; set; } = TimeSpan.FromHours(24);

    /// <summary>How long after its end a job's webhook is tried, as long as the job is kept.</summary>
    public TimeSpan WebhookRetryFor { get; set; } = TimeSpan.FromHours(12);

    /// <summary>Largest request body in bytes that is taken at all.</summary>
    public long MaxBodyBytes { get; set; } = 104_857_600;

    /// <summary>Most bytes of the records of one batch.</summary>
    public long MaxBatchBytes { get; set; } = 1L << 30;

    /// <summary>Most records of one batch.</summary>
    public int MaxBatchRecords { get; set; } = 100_000;

    /// <summary>Tries of one in-line request on successive candidates, at least 1.</summary>
    public int MaxAttempts { get; set; } = 3;

    /// <summary>
    /// When a real-time call deserves a second try on another endpoint beside the first: once this share of such calls would have been
    /// answered and it has become unlikely to make its deadline, 0.5..1; 0: never. The first answer counts, and alone is charged.
    /// </summary>
    public double HedgeQuantile { get; set; }

    /// <summary>Most second tries as a share of the real-time calls, 0..1.</summary>
    public double MaxHedgeShare { get; set; } = 0.05;

    /// <summary>Most requests at once that one silo lets through to an endpoint that has failed, to see whether it serves again; at least 1.</summary>
    public int MaxProbes { get; set; } = 1;

    /// <summary>Most requests in flight on one silo; beyond it callers are asked to come back.</summary>
    public int MaxInFlight { get; set; } = 20_000;

    /// <summary>Most jobs and batches of one tenant that wait for its budget at once; beyond it requests are refused. 0 holds none.</summary>
    public int MaxHeldJobs { get; set; } = 1_000;

    /// <summary>
    /// Within what time, on the router's clock, a changed budget limit holds on every silo that is alive; 3 to 20 seconds. The shorter it is,
    /// the more often silos report what they spent, each a write to storage for each tenant in use.
    /// </summary>
    public TimeSpan LimitChange { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Longest that a caller who takes no job is kept waiting for an async or batch lane.</summary>
    public TimeSpan InlineWait { get; set; } = TimeSpan.FromMinutes(5);
}
