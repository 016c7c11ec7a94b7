namespace OrleansInference.Ingest;

/// <summary>A queue whose messages are requests. Whoever may send to it asks in the name of its tenant.</summary>
public sealed record QueueSettings
{
    /// <summary>Among <see cref="Tenants"/>: any tenant.</summary>
    public const string AnyTenant = "*";

    /// <summary>Name or URL of the SQS queue.</summary>
    public required string Queue { get; init; }

    /// <summary>The tenant of every message; null if the messages name theirs.</summary>
    public TenantId? Tenant { get; init; }

    /// <summary>The tenants that messages may name, or <see cref="AnyTenant"/>; empty with a <see cref="Tenant"/>.</summary>
    public IReadOnlyList<string> Tenants { get; init; } = [];

    /// <summary>Model of the messages that name none; null if they must.</summary>
    public ModelName? Model { get; init; }

    /// <summary>Name or URL of the queue that refused messages go to, with the reason; null leaves them to the queue's redrive policy.</summary>
    public string? DeadLetterQueue { get; init; }

    /// <summary>Name or URL of the queue that is told the end of every request that names no other; null: none is.</summary>
    public string? ReplyQueue { get; init; }

    /// <summary>Names or URLs of further queues that a message may name for its reply.</summary>
    public IReadOnlyList<string> ReplyQueues { get; init; } = [];

    /// <summary>Most messages that one silo has in hand at once; 1..1000.</summary>
    public int MaxInFlight { get; init; } = 20;

    /// <summary>How long a received message stays hidden, on the wall's clock; renewed while it is in hand. 2 seconds to an hour.</summary>
    public TimeSpan Visibility { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Longest that a message which cannot be taken now stays hidden, on the wall's clock; 1 second to 12 hours.</summary>
    public TimeSpan RetryAtMost { get; init; } = TimeSpan.FromMinutes(15);
}
