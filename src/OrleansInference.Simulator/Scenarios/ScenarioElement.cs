using System.Text.Json;

namespace OrleansInference.Simulator.Scenarios;

/// <summary>A place in a scenario's JSON. What is wrong there is noted, and reading goes on with a stand-in, so that all problems are found at once.</summary>
internal readonly struct ScenarioElement(string file, List<ScenarioProblem> problems, JsonElement json, string path)
{
    public string Path => path;

    public void Problem(string what) => problems.Add(new(file, path, what));

    public void Problem(string field, string what) => problems.Add(new(file, $"{path}.{field}", what));

    public bool Has(string field) => Find(field) is not null;

    public ScenarioElement Object(string field)
    {
        if (Find(field) is { ValueKind: JsonValueKind.Object } found)
        {
            return At(found, $"{path}.{field}");
        }

        Wrong(field, "an object");
        return At(default, $"{path}.{field}");
    }

    public IEnumerable<(string Name, ScenarioElement Element)> Fields()
    {
        var self = this;
        return json.ValueKind == JsonValueKind.Object
            ? json.EnumerateObject().Select(each => (each.Name, self.At(each.Value, $"{self.Path}.{each.Name}")))
            : [];
    }

    public IReadOnlyList<ScenarioElement> List(string field)
    {
        if (Find(field) is not { ValueKind: JsonValueKind.Array } found)
        {
            Wrong(field, "a list");
            return [];
        }

        if (found.GetArrayLength() == 0)
        {
            Problem(field, "is empty; it needs at least one entry.");
        }

        var list = new List<ScenarioElement>();
        foreach (var each in found.EnumerateArray())
        {
            var element = At(each, $"{path}.{field}[{list.Count}]");
            if (each.ValueKind != JsonValueKind.Object)
            {
                element.Problem("must be an object.");
            }

            list.Add(element);
        }

        return list;
    }

    public string Text(string field, string? otherwise = null)
    {
        switch (Find(field))
        {
            case { ValueKind: JsonValueKind.String } found when found.GetString() is { Length: > 0 } text:
                return text;
            case null when otherwise is not null:
                return otherwise;
            default:
                Wrong(field, "a text that is not empty");
                return "";
        }
    }

    public double Number(string field, Bound bound, double? otherwise = null)
    {
        if (Find(field) is not { } found)
        {
            if (otherwise is null)
            {
                Wrong(field, "a number");
            }

            return otherwise ?? 1;
        }

        if (found.ValueKind != JsonValueKind.Number || !found.TryGetDouble(out var value) || !double.IsFinite(value))
        {
            Wrong(field, "a number");
            return otherwise ?? 1;
        }

        if (bound.Allows(value))
        {
            return value;
        }

        Problem(field, $"is {found.GetRawText()}; it must be {bound.What}.");
        return otherwise ?? 1;
    }

    public int Whole(string field, Bound bound, int? otherwise = null)
    {
        var value = Number(field, bound, otherwise);
        if (value == Math.Floor(value) && value <= int.MaxValue)
        {
            return (int)value;
        }

        Problem(field, $"must be a whole number up to {int.MaxValue}.");
        return otherwise ?? 1;
    }

    public bool Flag(string field, bool otherwise)
    {
        switch (Find(field))
        {
            case null:
                return otherwise;
            case { ValueKind: JsonValueKind.True or JsonValueKind.False } found:
                return found.GetBoolean();
            default:
                Wrong(field, "true or false");
                return otherwise;
        }
    }

    public Money Price(string field)
    {
        var value = Number(field, Bound.Positive);
        if (value < 1e9)
        {
            return Money.FromDollars((decimal)value);
        }

        Problem(field, "must be less than a billion dollars.");
        return Money.Zero;
    }

    public ulong Seed(string field, ulong otherwise)
    {
        if (Find(field) is not { } found)
        {
            return otherwise;
        }

        if (found.ValueKind == JsonValueKind.Number && found.TryGetUInt64(out var seed))
        {
            return seed;
        }

        Wrong(field, "a whole number, not negative");
        return otherwise;
    }

    public T Named<T>(string field, IReadOnlyDictionary<string, T> names)
    {
        var text = Text(field);
        if (names.TryGetValue(text, out var named))
        {
            return named;
        }

        if (text.Length > 0)
        {
            Problem(field, $"'{text}' is unknown; it must be one of {string.Join(", ", names.Keys)}.");
        }

        return names.Values.First();
    }

    public IReadOnlyList<T> NamedList<T>(string field, IReadOnlyDictionary<string, T> names)
    {
        if (Find(field) is not { ValueKind: JsonValueKind.Array } found)
        {
            Wrong(field, "a list");
            return [];
        }

        var list = new List<T>();
        foreach (var (index, each) in found.EnumerateArray().Index())
        {
            if (each.ValueKind == JsonValueKind.String && names.TryGetValue(each.GetString()!, out var named))
            {
                list.Add(named);
            }
            else
            {
                Problem($"{field}[{index}]", $"{each.GetRawText()} is unknown; it must be one of {string.Join(", ", names.Keys)}.");
            }
        }

        return list;
    }

    public LengthQuantiles? Lengths(string field)
    {
        if (Find(field) is { ValueKind: JsonValueKind.Number })
        {
            return new([(0, Number(field, Bound.NotNegative))]);
        }

        var points = new List<(double, double)>();
        foreach (var (name, _) in Object(field).Fields())
        {
            if (LengthQuantiles.TryLevel(name, out var level))
            {
                points.Add((level, Object(field).Number(name, Bound.NotNegative)));
            }
            else
            {
                Problem($"{field}.{name}", "is no quantile; name it p and the percentage, such as p50.");
            }
        }

        try
        {
            return new([.. points]);
        }
        catch (ArgumentException wrong)
        {
            if (Has(field))
            {
                Problem(field, wrong.Message);
            }

            return null;
        }
    }

    private ScenarioElement At(JsonElement element, string at) => new(file, problems, element, at);

    private JsonElement? Find(string field) =>
        json.ValueKind == JsonValueKind.Object && json.TryGetProperty(field, out var found) && found.ValueKind != JsonValueKind.Null ? found : null;

    private void Wrong(string field, string wanted)
    {
        if (json.ValueKind == JsonValueKind.Object)
        {
            Problem(field, Has(field) ? $"must be {wanted}." : $"is missing; it must be {wanted}.");
        }
    }
}

/// <summary>What a number of a scenario may be.</summary>
internal sealed record Bound(string What, Func<double, bool> Allows)
{
    public static readonly Bound Positive = new("greater than 0", static value => value > 0);
    public static readonly Bound NotNegative = new("0 or greater", static value => value >= 0);
    public static readonly Bound Window = new("a window of 60 to 31622400 seconds", static value => value is >= 60 and <= 31_622_400);
    public static readonly Bound Share = new("between 0 and 1", static value => value is >= 0 and <= 1);
}
