namespace OrleansInference.Tests;

/// <summary>Settings of the templates that the server does not know yet. Empty it when it does.</summary>
internal static class PendingSettings
{
    public static IReadOnlySet<string> Names { get; } = new HashSet<string>(StringComparer.Ordinal)
    {
        "Aws:State", "Aws:DynamoDBEndpoint", "Aws:MembershipTable", "Aws:GrainTable", "Aws:ReminderTable", "Aws:CreateTables", "ClusterId", "ServiceId", "AdvertisedAddress",
    };
}
