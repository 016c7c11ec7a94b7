using System.Collections.Frozen;
using System.Globalization;
using OrleansInference.Webhooks;

namespace OrleansInference.FrontDoor;

/// <summary>What a routing field's value is where it is more than text, as in JSON.</summary>
internal enum FieldForm
{
    /// <summary>Text.</summary>
    Text = 0,

    /// <summary>A number, or its text.</summary>
    Number = 1,

    /// <summary>Texts, or one text of them separated by commas.</summary>
    List = 2,
}

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
    public const string Webhook = "webhook";
    private const int MaxKeyLength = 255;

    /// <summary>The form of each field.</summary>
    public static readonly FrozenDictionary<string, FieldForm> Forms = new Dictionary<string, FieldForm>
    {
        [Class] = FieldForm.Text,
        [Deadline] = FieldForm.Number,
        [MinQuality] = FieldForm.Number,
        [MaxCharge] = FieldForm.Number,
        [Lanes] = FieldForm.List,
        [InputTokens] = FieldForm.Number,
        [MaxOutputTokens] = FieldForm.Number,
        [IdempotencyKey] = FieldForm.Text,
        [Webhook] = FieldForm.Text,
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>The name of each field.</summary>
    public static readonly FrozenSet<string> Names = Forms.Keys.ToFrozenSet(StringComparer.Ordinal);

    /// <summary>Reads every field into a request.</summary>
    /// <param name="request">The request so far.</param>
    /// <param name="get">The value sent for a field, be it empty; null if none was.</param>
    /// <param name="label">What the caller calls a field: named in every problem.</param>
    /// <param name="problems">Receives what is wrong with each field. With problems the request must not be used.</param>
    public static InferenceRequest Apply(InferenceRequest request, Func<string, string?> get, Func<string, string> label, ICollection<string> problems)
    {
        return request with
        {
            Class = Field<TrafficClass>(Class, TryEnum, "a class: High, Medium or Low"),
            Deadline = Field<TimeSpan>(Deadline, TryDeadline, "a deadline: " + DurationText.Description),
            MinQuality = Field<double>(MinQuality, TryQuality, "a quality: a number from 0 to 1"),
            MaxCharge = Field<Money>(MaxCharge, TryCharge, "a charge: dollars, not negative, with at most nine decimals, such as 0.0025"),
            LaneMask = Field<int>(Lanes, TryLanes, "a list of lanes: Realtime, Serverless, Async, Batch, separated by commas") ?? 0,
            InputTokens = Field<int>(InputTokens, static (string text, out int value) => TryTokens(text, 0, out value), $"a number of tokens: a whole number from 0 to {InferenceRequest.MostTokens}"),
            MaxOutputTokens = Field<int>(MaxOutputTokens, static (string text, out int value) => TryTokens(text, 1, out value), $"a number of tokens: a whole number from 1 to {InferenceRequest.MostTokens}"),
            IdempotencyKey = Key(),
            ReplyTo = Reply(),
        };

        T? Field<T>(string name, TryParse<T> tryParse, string rule)
            where T : struct
        {
            if (get(name) is not { } text)
            {
                return null;
            }

            if (tryParse(text, out var value))
            {
                return value;
            }

            problems.Add($"{label(name)}: '{Short(text)}' is not {rule}.");
            return null;
        }

        string? Key()
        {
            var key = get(IdempotencyKey);
            if (key is { Length: 0 or > MaxKeyLength })
            {
                problems.Add($"{label(IdempotencyKey)}: an idempotency key has 1 to {MaxKeyLength} characters, this one has {key.Length}.");
            }
            else if (key is not null && !CustomAttributes.IsValid(key))
            {
                problems.Add($"{label(IdempotencyKey)}: an idempotency key has printable ASCII characters alone.");
            }

            return key;
        }

        ReplyTo? Reply()
        {
            if (get(Webhook) is not { } url)
            {
                return request.ReplyTo;
            }

            if (url.Length is 0 or > WebhookDestinations.MaxUrl || !Uri.TryCreate(url, UriKind.Absolute, out var address) || address.Scheme is not ("https" or "http"))
            {
                problems.Add($"{label(Webhook)}: '{Short(url)}' is not an absolute https address of at most {WebhookDestinations.MaxUrl} characters.");
            }

            return new() { Webhook = url };
        }
    }

    private delegate bool TryParse<T>(string text, out T value);

    private static bool TryDeadline(string text, out TimeSpan value) => DurationText.TryParse(text, out value);

    private static bool TryQuality(string text, out double value) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out value) && value is >= 0 and <= 1;

    private static bool TryCharge(string text, out Money value) => Money.TryParse(text, out value) && !value.IsNegative;

    private static bool TryLanes(string text, out int mask)
    {
        mask = 0;
        foreach (var name in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (!TryEnum<Lane>(name, out var lane))
            {
                return false;
            }

            mask |= 1 << (int)lane;
        }

        return mask != 0;
    }

    private static bool TryTokens(string text, int least, out int value) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value >= least && value <= InferenceRequest.MostTokens;

    private static bool TryEnum<T>(string text, out T value)
        where T : struct, Enum
    {
        value = default;
        return text.Length > 0 && char.IsAsciiLetter(text[0]) && !text.Contains(',', StringComparison.Ordinal) && Enum.TryParse(text, ignoreCase: true, out value);
    }

    private static string Short(string text) => text.Length <= 64 ? text : text[..64] + "…";
}
