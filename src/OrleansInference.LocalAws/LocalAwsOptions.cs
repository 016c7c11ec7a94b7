using System.Net;
using OrleansInference.Aws.Signing;
using OrleansInference.Hosting;

namespace OrleansInference.LocalAws;

/// <summary>How an embedded AWS is started.</summary>
public sealed record LocalAwsOptions
{
    /// <summary>Account number in ARNs and queue URLs.</summary>
    public const string AccountId = "000000000000";

    /// <summary>Region in ARNs and notifications.</summary>
    public string Region { get; init; } = "us-east-1";

    /// <summary>Folder that keeps objects, messages, queued calls and jobs over a restart; null keeps everything in memory.</summary>
    public string? DataFolder { get; init; }

    /// <summary>How many times faster than the wall the models, instances and jobs run; 1..1000. Queues stay on the wall clock: handling a message is real work.</summary>
    public double Speed { get; init; } = 1;

    /// <summary>The clock of models, instances and jobs; null makes one from <see cref="Speed"/>.</summary>
    public RouterClock? Clock { get; init; }

    /// <summary>Address to listen on. Beyond loopback it serves whoever reaches it.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>Port; 0 takes a free one.</summary>
    public int Port { get; init; }

    /// <summary>Seed of everything that is drawn by chance.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>SQS queue, created if need be, that receives the notifications of async endpoints; null sends none.</summary>
    public string? NotificationQueue { get; init; }

    /// <summary>Bucket, created if need be, for the outputs and failures of async endpoints.</summary>
    public string PayloadBucket { get; init; } = "orleans-inference";

    /// <summary>Address of a dynalite that answers DynamoDB's operations, with transactions and time to live added; null: they are refused.</summary>
    public Uri? Dynalite { get; init; }

    /// <summary>Requests that may wait in front of one instance's container; one more is throttled.</summary>
    public int QueuePerInstance { get; init; } = 64;

    /// <summary>The one key pair whose signatures are accepted; null accepts every well-formed signature unchecked.</summary>
    public SigV4Credentials? AccessKey { get; init; }
}
