using System.Collections.Immutable;

namespace OrleansInference.DynamoDB;

/// <summary>Where DynamoDB is, who calls it, and the table. Names are those of the official Orleans packages.</summary>
public abstract class DynamoDBClientOptions
{
    /// <summary>A region, such as <c>eu-central-1</c>, or the URL of an emulator or of a VPC endpoint.</summary>
    public string Service { get; set; } = "";

    /// <summary>Whether to use the region's FIPS 140 address. Excludes a URL as <see cref="Service"/>.</summary>
    public bool UseFips { get; set; }

    /// <summary>Access key id; null takes credentials from <see cref="ProfileName"/> or the SDK's chain (environment, profile, container, instance).</summary>
    [Redact]
    public string? AccessKey { get; set; }

    /// <summary>Secret of <see cref="AccessKey"/>.</summary>
    [Redact]
    public string? SecretKey { get; set; }

    /// <summary>Session token, if the access key is a temporary one.</summary>
    [Redact]
    public string? Token { get; set; }

    /// <summary>Named profile whose credentials are used; null or empty: none.</summary>
    public string? ProfileName { get; set; }

    /// <summary>The table.</summary>
    public string TableName { get; set; } = "";

    /// <summary>Whether a table that does not exist is created, on demand billing, and waited for. Without it a missing table stops the silo's start.</summary>
    public bool CreateIfNotExists { get; set; } = true;

    /// <summary>Tags of a table that is created, such as those that a bill is split by; at most 50. A table that exists keeps its own.</summary>
    public IReadOnlyDictionary<string, string> Tags { get; set; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>How long a call of grain state or reminders that a request waits for may take. Tests on slow machines have more.</summary>
    internal TablePatience Patience { get; set; } = TablePatience.OnRequests;
}

/// <summary>Options of the membership table of silos.</summary>
public sealed class DynamoDBClusteringOptions : DynamoDBClientOptions
{
    /// <summary>Begins with the official table name.</summary>
    public DynamoDBClusteringOptions() => TableName = MembershipSchema.DefaultTable;
}

/// <summary>Options of a client that looks up gateways in the membership table.</summary>
public sealed class DynamoDBGatewayOptions : DynamoDBClientOptions
{
    /// <summary>Begins with the official table name.</summary>
    public DynamoDBGatewayOptions() => TableName = MembershipSchema.DefaultTable;
}

/// <summary>Options of the reminder table.</summary>
public sealed class DynamoDBReminderStorageOptions : DynamoDBClientOptions
{
    /// <summary>Begins with the official table name.</summary>
    public DynamoDBReminderStorageOptions() => TableName = ReminderSchema.DefaultTable;
}
