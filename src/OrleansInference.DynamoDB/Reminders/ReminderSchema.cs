using System.Globalization;
using Amazon.DynamoDBv2;
using Item = System.Collections.Generic.Dictionary<string, Amazon.DynamoDBv2.Model.AttributeValue>;

namespace OrleansInference.DynamoDB;

/// <summary>The reminder table's layout, which is that of the official package.</summary>
internal static class ReminderSchema
{
    public const string DefaultTable = "OrleansReminders";
    public const string Id = "ReminderId";
    public const string Hash = "GrainHash";
    public const string Service = "ServiceId";
    public const string Grain = "GrainReference";
    public const string Name = "ReminderName";
    public const string StartTime = "StartTime";
    public const string Period = "Period";
    public const string ETag = "ETag";
    public const string ByHash = "ServiceIdIndex";
    public const string ByGrain = "ServiceIdGrainReferenceIndex";

    // Read by the official package in any culture, and exact.
    private const string TimeFormat = "yyyy-MM-ddTHH:mm:ss.fffffff";

    public static TableDefinition Table { get; } = new(
        new(Id, ScalarAttributeType.S),
        new(Hash, ScalarAttributeType.N),
        [
            new(ByHash, new(Service, ScalarAttributeType.S), new(Hash, ScalarAttributeType.N)),
            new(ByGrain, new(Service, ScalarAttributeType.S), new(Grain, ScalarAttributeType.S)),
        ]);

    public static Item Key(string service, GrainId grain, string name) => new()
    {
        [Id] = Items.S($"{service}_{grain}_{name}"),
        [Hash] = Items.N(grain.GetUniformHashCode()),
    };

    public static Item ToItem(string service, ReminderEntry entry, long etag)
    {
        var item = Key(service, entry.GrainId, entry.ReminderName);
        item[Service] = Items.S(service);
        item[Grain] = Items.S(entry.GrainId.ToString());
        item[Name] = Items.S(entry.ReminderName);

        // Orleans gives UTC, at times without saying so.
        var start = entry.StartAt.Kind == DateTimeKind.Local ? entry.StartAt.ToUniversalTime() : entry.StartAt;
        item[StartTime] = Items.S(start.ToString(TimeFormat, CultureInfo.InvariantCulture));
        item[Period] = Items.S(entry.Period.ToString("c", CultureInfo.InvariantCulture));
        item[ETag] = Items.N(etag);
        return item;
    }

    public static ReminderEntry ToEntry(Item item) => new()
    {
        GrainId = GrainId.Parse(item.Text(Grain) ?? "", CultureInfo.InvariantCulture),
        ReminderName = item.Text(Name) ?? "",
        StartAt = Time(item.Text(StartTime) ?? ""),
        Period = TimeSpan.Parse(item.Text(Period) ?? "", CultureInfo.InvariantCulture),
        ETag = item[ETag].N,
    };

    // The official package writes the time in the culture of its process.
    private static DateTime Time(string text) => DateTime.SpecifyKind(
        DateTime.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time)
            ? time
            : DateTime.Parse(text, CultureInfo.CurrentCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal),
        DateTimeKind.Utc);
}
