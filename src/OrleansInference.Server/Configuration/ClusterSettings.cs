using System.Net;

namespace OrleansInference.Configuration;

/// <summary>A cluster of several servers: membership, grain state and reminders in DynamoDB, called by who calls the rest of AWS.</summary>
public sealed record ClusterSettings
{
    /// <summary>The cluster's name; silos find those of the same one.</summary>
    public string ClusterId { get; init; } = "orleans-inference";

    /// <summary>The service's name, which its state and reminders keep over all deployments.</summary>
    public string ServiceId { get; init; } = "orleans-inference";

    /// <summary>The address at which other silos reach this one; null: the machine's first that is not loopback.</summary>
    public IPAddress? AdvertisedAddress { get; init; }

    /// <summary>Address of DynamoDB; null: that of the region.</summary>
    public Uri? Endpoint { get; init; }

    /// <summary>Table of silos.</summary>
    public string MembershipTable { get; init; } = "OrleansSilos";

    /// <summary>Table of grain state.</summary>
    public string GrainTable { get; init; } = "OrleansGrainState";

    /// <summary>Table of reminders.</summary>
    public string ReminderTable { get; init; } = "OrleansReminders";

    /// <summary>Whether tables that do not exist are created, on demand billing.</summary>
    public bool CreateTables { get; init; }
}
