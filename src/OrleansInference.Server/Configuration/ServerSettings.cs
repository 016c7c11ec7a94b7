using OrleansInference.Aws;
using OrleansInference.Hosting;
using OrleansInference.Ingest;

namespace OrleansInference.Configuration;

/// <summary>Everything that a server is told when it starts.</summary>
public sealed record ServerSettings
{
    /// <summary>Folder of everything durable: databases, keys, and the objects of the embedded AWS. One server at a time may use it.</summary>
    public required string DataFolder { get; init; }

    /// <summary>What is served. It is put in force when it differs from what was configured at the last start; changes made through the admin API stay until then.</summary>
    public required CatalogDefinition Catalog { get; init; }

    /// <summary>Addresses of the front door; port 0 takes a free one.</summary>
    public IReadOnlyList<string> Urls { get; init; } = ["http://127.0.0.1:8080"];

    /// <summary>How many times faster than life requests, budgets and the embedded AWS live; 1..1000, and 1 with Amazon.</summary>
    public double Speed { get; init; } = 1;

    /// <summary>Key of the admin API, at least 20 characters; null keeps one in the data folder.</summary>
    public string? AdminKey { get; init; }

    /// <summary>32 bytes in base64 under which the secrets of issued keys are encrypted; null keeps them in the data folder.</summary>
    public string? MasterKey { get; init; }

    /// <summary>Largest request body of <c>/v1</c> in bytes.</summary>
    public long MaxBodyBytes { get; init; } = 104_857_600;

    /// <summary>Most bytes of the records of one batch; 1 to 1 GiB.</summary>
    public long MaxBatchBytes { get; init; } = 1L << 30;

    /// <summary>Most records of one batch; 1..100,000.</summary>
    public int MaxBatchRecords { get; init; } = 100_000;

    /// <summary>S3 bucket of job inputs and results.</summary>
    public string PayloadBucket { get; init; } = "orleans-inference";

    /// <summary>Tags for the bill of everything that the server creates in AWS and that is billed, which are transform jobs, which have InferenceType besides, and the tables, bucket and queues that it creates where they are missing.</summary>
    public IReadOnlyDictionary<string, string> CostTags { get; init; } = CostTag.Default;

    /// <summary>Most requests in flight.</summary>
    public int MaxInFlight { get; init; } = 20_000;

    /// <summary>Tries of one in-line request on successive candidates; 1..10.</summary>
    public int MaxAttempts { get; init; } = 3;

    /// <summary>When a real-time call deserves a second try on another endpoint beside the first: once this share of such calls would have been answered, 0.5..1; 0: never.</summary>
    public double HedgeQuantile { get; init; }

    /// <summary>Most second tries beside a first as a share of the real-time calls; 0..1.</summary>
    public double MaxHedgeShare { get; init; } = 0.05;

    /// <summary>Most jobs of one tenant that wait for its budget at once; 0..100,000.</summary>
    public int MaxHeldJobs { get; init; } = 1_000;

    /// <summary>Seconds of the router's clock within which a changed budget limit holds on every silo; 3..20.</summary>
    public double LimitChangeSeconds { get; init; } = 5;

    /// <summary>How long an ended job and its objects are kept.</summary>
    public TimeSpan JobRetention { get; init; } = TimeSpan.FromHours(24);

    /// <summary>How long after its end a job's webhook is tried, as long as the job is kept.</summary>
    public TimeSpan WebhookRetryFor { get; init; } = TimeSpan.FromHours(12);

    /// <summary>Hosts and networks that webhooks may go to besides public addresses; an entry that begins with http:// without TLS too.</summary>
    public IReadOnlyList<string> WebhookAllow { get; init; } = [];

    /// <summary>Days that a record of the audit log is kept, on the router's clock; its sums stay for good. At least 1.</summary>
    public int AuditRetentionDays { get; init; } = 400;

    /// <summary>Most bytes that the audit log's records may fill, at least 1,000,000; beyond it the oldest are removed before their time.</summary>
    public long AuditMaxBytes { get; init; } = 10_000_000_000;

    /// <summary>Longest that a caller who takes no job is kept waiting for an async or batch lane.</summary>
    public TimeSpan InlineWait { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long a silo trusts what it knows of an issued key; a revocation on another silo takes effect after this time at the latest.</summary>
    public TimeSpan KeyCacheLifetime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A cluster of several servers, with state in DynamoDB; null: this server alone, with state in the data folder.</summary>
    public ClusterSettings? Cluster { get; init; }

    /// <summary>Port between silos, on loopback without a cluster; 0 takes a free one.</summary>
    public int SiloPort { get; init; }

    /// <summary>Port for grain clients, on loopback without a cluster; 0 takes a free one.</summary>
    public int GatewayPort { get; init; }

    /// <summary>Port of the embedded AWS on loopback; 0 takes a free one.</summary>
    public int LocalAwsPort { get; init; }

    /// <summary>Where AWS is; null runs the embedded one.</summary>
    public AwsOptions? Aws { get; init; }

    /// <summary>The region that callers who sign by Signature Version 4 must sign for.</summary>
    public string Region { get; init; } = "us-east-1";

    /// <summary>SQS queue that receives the notifications of async endpoints; null finds their results by polling alone.</summary>
    public string? NotificationQueue { get; init; } = "orleans-inference-notifications";

    /// <summary>SQS queues whose messages are requests.</summary>
    public IReadOnlyList<QueueSettings> Queues { get; init; } = [];

    /// <summary>Seed of the embedded AWS.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Which calls of models are captured in S3; null: none.</summary>
    public DataCaptureOptions? DataCapture { get; init; }

    /// <summary>Where metrics and traces are sent by OTLP; null sends none.</summary>
    public Uri? OtlpEndpoint { get; init; }

    /// <summary>How long requests under way may take to end when the server stops.</summary>
    public TimeSpan ShutdownTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Least level that is logged to the console.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Warning;
}
