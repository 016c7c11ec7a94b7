using OrleansInference.Ingest;

namespace OrleansInference.Configuration;

/// <summary>Reads the queues that requests come from, and finds everything that is wrong with them.</summary>
internal static class QueueSettingsReader
{
    /// <summary>Name of the setting.</summary>
    public const string Key = "Queues";

    private const int MaxQueues = 100;
    private const string NameRuleText = "a standard queue is named by its name of at most 80 letters, digits, hyphens and underscores, or by its URL";

    private static readonly IReadOnlySet<string> Known = new HashSet<string>(
        [
            nameof(QueueSettings.Queue), nameof(QueueSettings.Tenant), nameof(QueueSettings.Tenants), nameof(QueueSettings.Model), nameof(QueueSettings.DeadLetterQueue),
            nameof(QueueSettings.ReplyQueue), nameof(QueueSettings.ReplyQueues), nameof(QueueSettings.MaxInFlight), nameof(QueueSettings.Visibility), nameof(QueueSettings.RetryAtMost),
        ],
        StringComparer.OrdinalIgnoreCase);

    /// <summary>The queues of the strongest layer that has any.</summary>
    public static IReadOnlyList<QueueSettings> Read(SettingsLayers layers, List<string> problems)
    {
        var queues = new List<QueueSettings>();
        foreach (var item in layers.Items(Key))
        {
            item.FindUnknown(Known, problems);
            queues.Add(ReadItem(item, problems));
        }

        if (queues.Count > MaxQueues)
        {
            problems.Add($"{Key}: there are {queues.Count} queues; at most {MaxQueues} are read.");
        }

        foreach (var twice in queues.GroupBy(static queue => queue.Queue, StringComparer.Ordinal).Where(static group => group.Key.Length > 0 && group.Count() > 1))
        {
            problems.Add($"{Key}: '{twice.Key}' is there {twice.Count()} times; name each queue once.");
        }

        return queues;
    }

    private static QueueSettings ReadItem(SettingsLayers item, List<string> problems)
    {
        var values = new SettingValues(item, problems);
        var defaults = new QueueSettings { Queue = "" };
        var queue = values.Text(nameof(QueueSettings.Queue), IsQueue, NameRuleText);
        if (item.Find(nameof(QueueSettings.Queue)) is null)
        {
            problems.Add($"{item.Describe(nameof(QueueSettings.Queue))}: it is missing; {NameRuleText}.");
        }

        var tenant = values.Text(nameof(QueueSettings.Tenant), static text => TenantId.TryParse(text, out _), $"a tenant's id must be {NameRule.Description}");
        var tenants = List(values, nameof(QueueSettings.Tenants), static text => text == QueueSettings.AnyTenant || TenantId.TryParse(text, out _), $"a tenant's id must be {NameRule.Description}; {QueueSettings.AnyTenant} is any", problems);
        if ((item.Find(nameof(QueueSettings.Tenant)) is null) == (item.Find(nameof(QueueSettings.Tenants)) is null))
        {
            problems.Add($"{item.Describe(nameof(QueueSettings.Tenant))}: a queue has either the {nameof(QueueSettings.Tenant)} of all its messages, or the {nameof(QueueSettings.Tenants)} that they may name ({QueueSettings.AnyTenant}: any).");
        }

        var model = values.Text(nameof(QueueSettings.Model), static text => ModelName.TryParse(text, out _), $"a model's name must be {NameRule.Description}");
        return new()
        {
            Queue = queue ?? "",
            Tenant = tenant is null ? null : new TenantId(tenant),
            Tenants = tenants,
            Model = model is null ? null : new ModelName(model),
            DeadLetterQueue = values.Text(nameof(QueueSettings.DeadLetterQueue), text => IsQueue(text) && text != queue, $"{NameRuleText}, and is another one"),
            ReplyQueue = values.Text(nameof(QueueSettings.ReplyQueue), text => IsQueue(text) && text != queue, $"{NameRuleText}, and is another one"),
            ReplyQueues = List(values, nameof(QueueSettings.ReplyQueues), text => IsQueue(text) && text != queue, $"{NameRuleText}, and is another one", problems),
            MaxInFlight = (int)values.Number(nameof(QueueSettings.MaxInFlight), 1, 1_000, defaults.MaxInFlight),
            Visibility = Within(item, values, nameof(QueueSettings.Visibility), defaults.Visibility, TimeSpan.FromSeconds(2), TimeSpan.FromHours(1), problems),
            RetryAtMost = Within(item, values, nameof(QueueSettings.RetryAtMost), defaults.RetryAtMost, TimeSpan.FromSeconds(1), TimeSpan.FromHours(12), problems),
        };
    }

    private static TimeSpan Within(SettingsLayers item, SettingValues values, string key, TimeSpan otherwise, TimeSpan least, TimeSpan most, List<string> problems)
    {
        var span = values.Span(key, otherwise);
        if (span < least || span > most)
        {
            problems.Add($"{item.Describe(key)}: {span.TotalSeconds} s is not from {least.TotalSeconds} to {most.TotalSeconds} s.");
        }

        return span;
    }

    private static string[] List(SettingValues values, string key, Func<string, bool> isValid, string rule, List<string> problems)
    {
        if (values.Find(key) is not { } found)
        {
            return [];
        }

        var items = found.Text.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        foreach (var item in items.Where(item => !isValid(item)))
        {
            problems.Add($"{found.Source}: '{item}' is not usable; {rule}.");
        }

        return items;
    }

    private static bool IsQueue(string text) =>
        (text.Length is >= 1 and <= 80 && text.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'))
        || (text.Length <= 2_048 && !text.EndsWith(".fifo", StringComparison.Ordinal) && Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme is "http" or "https");
}
