using System.Globalization;
using System.Text.Json;
using OrleansInference.LocalAws.Storage;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Queues;

/// <summary>The operations on whole queues.</summary>
internal sealed class QueueOperations(QueueStore store, TagStore tags, LocalAwsOptions options)
{
    private static readonly Dictionary<string, object> Nothing = [];

    /// <summary>Name of the queue that an operation is for.</summary>
    public string Name(JsonElement input)
    {
        var url = input.Text("QueueUrl") ?? throw new AwsFault(400, "MissingParameter", "The request must contain the parameter QueueUrl.");
        var name = url[(url.LastIndexOf('/') + 1)..];
        return store.Find(name) is not null ? name : throw Missing(name);
    }

    public object Create(JsonElement input, string host)
    {
        var name = input.Text("QueueName") ?? "";
        if (name.Length is 0 or > 80 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'))
        {
            throw new AwsFault(400, "InvalidParameterValue", $"The queue name '{name}' must be 1 to 80 letters, digits, hyphens and underscores (FIFO queues are not supported).");
        }

        var attributes = Strings(input.Object("Attributes"));
        QueueAttributes.Check(attributes);

        // The tags of a queue that exists stay.
        if (store.Create(name, attributes))
        {
            tags.Add(name, Strings(input.Object("tags")));
        }

        return new Dictionary<string, object> { ["QueueUrl"] = Url(name, host) };
    }

    public object Url(JsonElement input, string host)
    {
        var name = input.Text("QueueName") ?? "";
        return store.Find(name) is not null ? new Dictionary<string, object> { ["QueueUrl"] = Url(name, host) } : throw Missing(name);
    }

    public object List(JsonElement input, string host)
    {
        var prefix = input.Text("QueueNamePrefix") ?? "";
        return new Dictionary<string, object> { ["QueueUrls"] = store.Names().Where(n => n.StartsWith(prefix, StringComparison.Ordinal)).Take(1000).Select(n => Url(n, host)).ToList() };
    }

    public object Attributes(JsonElement input)
    {
        var name = Name(input);
        var all = store.Find(name)!;
        var counts = store.Count(name);
        var created = (store.CreatedAt(name) / 1000).ToString(CultureInfo.InvariantCulture);
        all["ApproximateNumberOfMessages"] = counts.Visible.ToString(CultureInfo.InvariantCulture);
        all["ApproximateNumberOfMessagesNotVisible"] = counts.InFlight.ToString(CultureInfo.InvariantCulture);
        all["ApproximateNumberOfMessagesDelayed"] = counts.Delayed.ToString(CultureInfo.InvariantCulture);
        all["CreatedTimestamp"] = created;
        all["LastModifiedTimestamp"] = created;
        all["QueueArn"] = $"arn:aws:sqs:{options.Region}:{LocalAwsOptions.AccountId}:{name}";
        var wanted = input.List("AttributeNames").Select(n => n.GetString()).ToHashSet();
        var answer = wanted.Contains("All") ? all : all.Where(a => wanted.Contains(a.Key)).ToDictionary();
        return answer.Count == 0 ? Nothing : new Dictionary<string, object> { ["Attributes"] = answer };
    }

    public object SetAttributes(JsonElement input)
    {
        var name = Name(input);
        var attributes = Strings(input.Object("Attributes"));
        QueueAttributes.Check(attributes);
        store.SetAttributes(name, attributes);
        return Nothing;
    }

    public object Purge(JsonElement input)
    {
        store.Purge(Name(input));
        return Nothing;
    }

    public object Delete(JsonElement input)
    {
        var name = Name(input);
        store.Delete(name);
        tags.Remove(name);
        return Nothing;
    }

    public object Tags(JsonElement input) => tags.Find(Name(input)) is { Count: > 0 } found ? new Dictionary<string, object> { ["Tags"] = found } : Nothing;

    private static string Url(string name, string host) => $"{host}/{LocalAwsOptions.AccountId}/{name}";

    private static Dictionary<string, string> Strings(JsonElement? map) => map is { } element
        ? element.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.ToString(), StringComparer.Ordinal)
        : [];

    private static AwsFault Missing(string name) => new(400, "QueueDoesNotExist", $"The specified queue does not exist: {name}") { QueryCode = "AWS.SimpleQueueService.NonExistentQueue" };
}
