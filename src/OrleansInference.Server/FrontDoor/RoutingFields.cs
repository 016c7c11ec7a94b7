using System.Collections.Frozen;
using System.Globalization;

namespace OrleansInference.FrontDoor;

/// <summary>What a caller may say about the route it wants. The same names, with the same rules, in both dialects.</summary>
internal static class RoutingFields
{
    public const string Class = "class";
    public const string Deadline = "deadline";
    public const string MinQuality = "min-quality";
    public const string MaxCharge = "max-charge";
    public const string Lanes = "lanes";
    public const string InputTokens = "input-tokens";
    public const string MaxOutputTokens = "max-output-tokens";
    public const string IdempotencyKey = "idempotency-key";
    private const int MaxKeyLength = 255;

    public static readonly FrozenSet<string> Names = FrozenSet.Create(StringComparer.Ordinal, Class, Deadline, MinQuality, MaxCharge, Lanes, InputTokens, MaxOutputTokens, IdempotencyKey);

    /// <summary>Reads every field into a request.</summary>
    /// <param name="request">The request so far.</param>
    /// <param name="get">The value sent for a field; null if none was.</param>
    /// <param name="label">What the caller calls a field: named in every refusal.</param>
    public static InferenceRequest Apply(InferenceRequest request, Func<string, string?> get, Func<string, string> label) => request with
    {
        Class = get(Class) is { } c ? ParseClass(c, label(Class)) : null,
        Deadline = get(Deadline) is { } d ? ParseDeadline(d, label(Deadline)) : null,
        MinQuality = get(MinQuality) is { } q ? ParseQuality(q, label(MinQuality)) : null,
        MaxCharge = get(MaxCharge) is { } m ? ParseCharge(m, label(MaxCharge)) : null,
        LaneMask = get(Lanes) is { } l ? ParseLanes(l, label(Lanes)) : 0,
        InputTokens = get(InputTokens) is { } i ? ParseTokens(i, label(InputTokens)) : null,
        MaxOutputTokens = get(MaxOutputTokens) is { } o ? ParseTokens(o, label(MaxOutputTokens)) : null,
        IdempotencyKey = get(IdempotencyKey) is { } k ? ParseKey(k, label(IdempotencyKey)) : null,
    };

    private static TrafficClass ParseClass(string text, string label) => TryEnum<TrafficClass>(text, out var value)
        ? value
        : throw Bad(label, text, "a class: High, Medium or Low");

    private static TimeSpan ParseDeadline(string text, string label) => DurationText.TryParse(text, out var span)
        ? span
        : throw Bad(label, text, "a deadline: " + DurationText.Description);

    private static double ParseQuality(string text, string label) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value) && value <= 1
            ? value
            : throw Bad(label, text, "a quality: a number from 0 to 1");

    private static Money ParseCharge(string text, string label) => Money.TryParse(text, out var money) && !money.IsNegative
        ? money
        : throw Bad(label, text, "a charge: dollars, not negative, with at most nine decimals, such as 0.0025");

    private static int ParseLanes(string text, string label)
    {
        var mask = 0;
        foreach (var name in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            mask |= TryEnum<Lane>(name, out var lane) ? 1 << (int)lane : throw Bad(label, text, "a list of lanes: Realtime, Serverless, Async, Batch, separated by commas");
        }

        return mask != 0 ? mask : throw Bad(label, text, "a list of lanes: Realtime, Serverless, Async, Batch, separated by commas");
    }

    private static int ParseTokens(string text, string label) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value)
            ? value
            : throw Bad(label, text, "a number of tokens: a whole number, not negative");

    private static string ParseKey(string text, string label) =>
        text.Length is 0 or > MaxKeyLength ? throw new RefusedException(Refusal.Invalid($"{label}: an idempotency key has 1 to {MaxKeyLength} characters, this one has {text.Length}."))
        : CustomAttributes.IsValid(text) ? text
        : throw new RefusedException(Refusal.Invalid($"{label}: an idempotency key has printable ASCII characters alone."));

    private static bool TryEnum<T>(string text, out T value)
        where T : struct, Enum
    {
        value = default;
        return text.Length > 0 && char.IsAsciiLetter(text[0]) && !text.Contains(',', StringComparison.Ordinal) && Enum.TryParse(text, ignoreCase: true, out value);
    }

    private static RefusedException Bad(string label, string text, string rule) => new(Refusal.Invalid($"{label}: '{Short(text)}' is not {rule}."));

    private static string Short(string text) => text.Length <= 64 ? text : text[..64] + "…";
}
