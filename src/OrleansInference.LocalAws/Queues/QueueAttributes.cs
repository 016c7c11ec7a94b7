using System.Collections.Frozen;
using System.Globalization;
using System.Text.Json;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Queues;

/// <summary>Where messages go that were received too often.</summary>
/// <param name="Queue">Name of the dead-letter queue.</param>
/// <param name="MaxReceiveCount">Receipts after which a message goes there.</param>
internal sealed record RedrivePolicy(string Queue, int MaxReceiveCount);

/// <summary>The attributes of a queue, checked as SQS checks them.</summary>
internal static class QueueAttributes
{
    private static readonly FrozenDictionary<string, (long Default, long Least, long Most)> Numbers = new Dictionary<string, (long, long, long)>
    {
        ["DelaySeconds"] = (0, 0, 900),
        ["MaximumMessageSize"] = (1_048_576, 1024, 1_048_576),
        ["MessageRetentionPeriod"] = (345_600, 60, 1_209_600),
        ["ReceiveMessageWaitTimeSeconds"] = (0, 0, 20),
        ["VisibilityTimeout"] = (30, 0, 43_200),
    }.ToFrozenDictionary();

    // Taken and given back, without effect here.
    private static readonly FrozenSet<string> Carried = FrozenSet.Create(StringComparer.Ordinal, "Policy", "RedriveAllowPolicy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled");

    /// <summary>Checks attributes that a caller wants to set.</summary>
    public static void Check(IReadOnlyDictionary<string, string> attributes)
    {
        foreach (var (name, value) in attributes)
        {
            if (Numbers.TryGetValue(name, out var range))
            {
                if (!long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number < range.Least || number > range.Most)
                {
                    throw Invalid($"Invalid value for the parameter {name}: it must be a whole number from {range.Least} to {range.Most}.", "InvalidAttributeValue");
                }
            }
            else if (name == "RedrivePolicy")
            {
                _ = Redrive(attributes);
            }
            else if (name == "FifoQueue")
            {
                throw Invalid("FIFO queues are not supported by the embedded AWS: create a standard queue.", "InvalidAttributeName");
            }
            else if (!Carried.Contains(name))
            {
                throw Invalid($"Unknown Attribute {name}.", "InvalidAttributeName");
            }
        }
    }

    public static Dictionary<string, string> WithDefaults(IReadOnlyDictionary<string, string> attributes)
    {
        var all = Numbers.ToDictionary(n => n.Key, n => n.Value.Default.ToString(CultureInfo.InvariantCulture), StringComparer.Ordinal);
        foreach (var (name, value) in attributes)
        {
            all[name] = value;
        }

        return all;
    }

    public static long Number(IReadOnlyDictionary<string, string> attributes, string name) => long.Parse(attributes[name], CultureInfo.InvariantCulture);

    public static RedrivePolicy? Redrive(IReadOnlyDictionary<string, string> attributes)
    {
        if (attributes.GetValueOrDefault("RedrivePolicy") is not { Length: > 0 } json)
        {
            return null;
        }

        try
        {
            using var policy = JsonDocument.Parse(json);
            var target = policy.RootElement.Text("deadLetterTargetArn");

            // Clients write the count as a number or as text.
            var count = policy.RootElement.TryGetProperty("maxReceiveCount", out var value) ? value.ToString() : null;
            if (target is not null && int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out var most) && most is >= 1 and <= 1000)
            {
                return new(target[(target.LastIndexOf(':') + 1)..], most);
            }
        }
        catch (JsonException)
        {
            // Answered below, like a policy without its members.
        }

        throw Invalid("Invalid value for the parameter RedrivePolicy: it must be JSON with deadLetterTargetArn and a maxReceiveCount from 1 to 1000.", "InvalidAttributeValue");
    }

    private static AwsFault Invalid(string message, string code) => new(400, code, message);
}
