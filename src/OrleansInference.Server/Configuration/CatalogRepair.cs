using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace OrleansInference.Configuration;

/// <summary>
/// Finds every mistake in a catalog. The JSON reader stops at the first value of the wrong form, so that one is noted and taken out, and the
/// rest is read again. Then what is left is checked with several guesses in place of what was taken out: wrong is what is wrong with each.
/// </summary>
internal sealed partial class CatalogRepair
{
    // A value takes two at most: to be taken out, and to be replaced if it is required.
    private const int MaxRounds = 200;
    private const string Prices = "instancePrices.";

    // As many as there are lanes.
    private const int Guesses = 4;

    // Where a node stood before others were taken out in front of it.
    private readonly Dictionary<JsonNode, string> _paths = new(ReferenceEqualityComparer.Instance);
    private readonly HashSet<string> _removed = new(StringComparer.Ordinal);
    private readonly List<(JsonObject Parent, string Name, Type Type)> _unknown = [];
    private readonly Dictionary<string, int> _lines;
    private readonly JsonNode _root;

    private CatalogRepair(JsonNode root, Dictionary<string, int> lines)
    {
        _root = root;
        _lines = lines;
        Remember(root, "");
    }

    /// <summary>Every problem of form as <c>(line): key: what is wrong; remedy</c>, and those of meaning in what is left.</summary>
    public static List<string> Problems(ReadOnlySpan<byte> json, Func<CatalogDefinition, IEnumerable<string>> validate)
    {
        var root = JsonNode.Parse(json, documentOptions: new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
        return root is null ? [] : new CatalogRepair(root, JsonLines.Of(json)).Find(validate);
    }

    private List<string> Find(Func<CatalogDefinition, IEnumerable<string>> validate)
    {
        var problems = new List<string>();
        for (var round = 0; round < MaxRounds; round++)
        {
            try
            {
                if (_root.Deserialize<CatalogDefinition>(CatalogFile.Json) is { } rest)
                {
                    problems.AddRange(Check(rest, validate).Select(p => $"{Line(p.Path)}: {p.Path}{p.Text}"));
                }

                break;
            }
            catch (JsonException exception)
            {
                var steps = Steps(exception.Path ?? "$");
                var path = Resolve(steps);
                if (Say(exception, path) is { } text)
                {
                    problems.Add($"{Line(path)}: {(path.Length == 0 ? "the catalog" : path)}: {text}");
                }

                if (!Assume(exception, steps, path))
                {
                    if (steps.Count == 0 || !Remove(steps, exception))
                    {
                        break;
                    }

                    _removed.Add(path);
                }
            }
        }

        return problems;
    }

    /// <summary>What is wrong with the rest whatever stood where something was taken out.</summary>
    private List<(string Path, string Text)> Check(CatalogDefinition rest, Func<CatalogDefinition, IEnumerable<string>> validate)
    {
        var wrong = validate(rest).Select(Original).Where(IsNoConsequence).ToList();
        for (var guess = 1; guess < Guesses && _unknown.Count > 0 && wrong.Count > 0; guess++)
        {
            foreach (var (parent, name, type) in _unknown)
            {
                parent[name] = Guess(type, guess, name);
            }

            var other = validate(_root.Deserialize<CatalogDefinition>(CatalogFile.Json)!).Select(problem => Original(problem).Path).ToHashSet(StringComparer.Ordinal);
            wrong.RemoveAll(problem => !other.Contains(problem.Path));
        }

        return wrong;
    }

    /// <summary>Puts a guess where something required is missing, so that what is around it can be checked; false if that is not what is wrong.</summary>
    private bool Assume(JsonException exception, List<string> steps, string path)
    {
        if (!exception.Message.Contains("missing required", StringComparison.Ordinal) || Node(steps, steps.Count) is not JsonObject parent)
        {
            return false;
        }

        var names = Quoted().Matches(exception.Message.Split(" Path: ")[0]).Select(static m => m.Groups[1].Value).ToArray();
        if (Named(names[0]) is not { } owner)
        {
            return false;
        }

        var isAny = false;
        foreach (var property in CatalogFile.Json.GetTypeInfo(owner).Properties.Where(property => names.Skip(1).Contains(property.Name) && !parent.ContainsKey(property.Name)))
        {
            parent[property.Name] = Guess(property.PropertyType, 0, property.Name);
            _unknown.Add((parent, property.Name, property.PropertyType));
            _removed.Add(Join(path, property.Name));
            isAny = true;
        }

        return isAny;
    }

    private JsonNode Guess(Type type, int guess, string name) => type switch
    {
        _ when type.IsEnum => Enum.GetNames(type)[guess % Enum.GetNames(type).Length],
        _ when type == typeof(int) || type == typeof(long) => new[] { 1, 0, 1000, 100_000 }[guess],
        _ when type == typeof(double) || type == typeof(decimal) => new[] { 1, 0, 1000, 0.5 }[guess],
        _ when type == typeof(bool) => guess % 2 == 0,
        _ when type == typeof(Money) => new[] { "1", "0", "1000", "0.5" }[guess],
        _ => $"no-{name}-{_removed.Count}",
    };

    /// <summary>What to say of an error; null if it only follows from what was taken out before.</summary>
    private string? Say(JsonException exception, string path)
    {
        var message = exception.Message.Split(" Path: ")[0].TrimEnd(' ', '|', '.');
        if (Unmapped().Match(message) is { Success: true } unmapped)
        {
            var known = Members(unmapped.Groups[2].Value);
            return NearestName.Of(unmapped.Groups[1].Value, known) is { } near
                ? $"there is no such setting; '{near}' may be meant"
                : $"there is no such setting; remove it, or use one of {string.Join(", ", known)}";
        }

        if (message.Contains("missing required", StringComparison.Ordinal))
        {
            var missing = Quoted().Matches(message).Select(static m => m.Groups[1].Value).Skip(1).Where(name => !_removed.Contains(Join(path, name))).ToArray();
            return missing.Length == 0 ? null : $"{string.Join(", ", missing)} is missing; add it";
        }

        return Form().Match(message) is { Success: true } form
            ? $"the value has the wrong form; give {Expected(form.Groups[1].Value)}"
            : message;
    }

    private static string Expected(string type) => type switch
    {
        "System.Int32" or "System.Int64" => "a whole number",
        "System.Double" or "System.Decimal" => "a number",
        "System.Boolean" => "true or false",
        "System.String" => "a text in quotes",
        _ when type.Contains("ImmutableArray", StringComparison.Ordinal) => "a list in [ ]",
        _ when Named(type) is { IsEnum: true } values => "one of " + string.Join(", ", Enum.GetNames(values)),
        _ => "an object in { }",
    };

    private static Type? Named(string type) => typeof(CatalogDefinition).Assembly.GetType(type);

    private static string[] Members(string type) => Named(type) is { } known
        ? [.. CatalogFile.Json.GetTypeInfo(known).Properties.Select(static property => property.Name)]
        : [];

    private bool Remove(List<string> steps, JsonException exception)
    {
        var parent = Node(steps, steps.Count - 1);
        switch (parent)
        {
            case JsonObject known when known.Remove(steps[^1]):
                if (Form().Match(exception.Message.Split(" Path: ")[0].TrimEnd(' ', '|', '.')) is { Success: true } form
                    && (Type.GetType(form.Groups[1].Value) ?? Named(form.Groups[1].Value)) is { } type && (type.IsEnum || (type.IsPrimitive && type != typeof(char)) || type == typeof(decimal)))
                {
                    _unknown.Add((known, steps[^1], type));
                }

                return true;
            case JsonArray list when int.TryParse(steps[^1], out var index) && index < list.Count:
                list.RemoveAt(index);
                return true;
            default:
                return false;
        }
    }

    private (string Path, string Text) Original(string problem)
    {
        var end = problem.IndexOf(": ", StringComparison.Ordinal);
        return (Resolve(Steps("$." + problem[..end])), problem[end..]);
    }

    // What lacks a part that was taken out is not to blame.
    private bool IsNoConsequence((string Path, string Text) problem) => !_removed.Any(removed =>
        IsWithin(removed, problem.Path) || IsWithin(problem.Path, removed)
        || (removed.StartsWith(Prices, StringComparison.Ordinal) && problem.Text.Contains($"'{removed[Prices.Length..]}'", StringComparison.Ordinal))
        || (ModelOrItsName().IsMatch(removed) && problem.Text.Contains("there is no model", StringComparison.Ordinal)));

    private static bool IsWithin(string path, string outer) =>
        path.StartsWith(outer, StringComparison.Ordinal) && (path.Length == outer.Length || path[outer.Length] is '.' or '[');

    private string Resolve(List<string> steps)
    {
        for (var length = steps.Count; length >= 0; length--)
        {
            if (Node(steps, length) is { } node && _paths.TryGetValue(node, out var path))
            {
                return steps.Skip(length).Aggregate(path, static (at, step) => int.TryParse(step, out _) ? $"{at}[{step}]" : Join(at, step));
            }
        }

        return "";
    }

    private JsonNode? Node(List<string> steps, int length)
    {
        var node = _root;
        for (var i = 0; i < length && node is not null; i++)
        {
            node = node switch
            {
                JsonObject known => known[steps[i]],
                JsonArray list => int.TryParse(steps[i], out var index) && index < list.Count ? list[index] : null,
                _ => null,
            };
        }

        return node;
    }

    private void Remember(JsonNode node, string path)
    {
        _paths[node] = path;
        if (node is JsonObject known)
        {
            foreach (var (name, child) in known)
            {
                if (child is not null)
                {
                    Remember(child, Join(path, name));
                }
            }
        }
        else if (node is JsonArray list)
        {
            for (var i = 0; i < list.Count; i++)
            {
                if (list[i] is { } child)
                {
                    Remember(child, $"{path}[{i}]");
                }
            }
        }
    }

    // What is not there is to be added to what would hold it.
    private string Line(string path)
    {
        int line;
        while (!_lines.TryGetValue(path, out line) && path.Length > 0)
        {
            path = path[..Math.Max(0, path.LastIndexOfAny(['.', '[']))];
        }

        return line > 0 ? $"({line})" : "";
    }

    private static string Join(string path, string name) => JsonLines.Join(path, name);

    /// <summary>The steps of <c>$.models[0]['a.b'].c</c>.</summary>
    private static List<string> Steps(string path) =>
        [.. Step().Matches(path.StartsWith('$') ? path[1..] : path).Select(static m => m.Groups[1].Success ? m.Groups[1].Value : m.Groups[2].Success ? m.Groups[2].Value : m.Groups[3].Value)];

    [GeneratedRegex(@"^The JSON property '(.*)' could not be mapped to any \.NET member contained in type '(.*)'$")]
    private static partial Regex Unmapped();

    [GeneratedRegex(@"^The JSON value could not be converted to (.*)$")]
    private static partial Regex Form();

    [GeneratedRegex(@"^models\[\d+\](\.name)?$")]
    private static partial Regex ModelOrItsName();

    [GeneratedRegex("'([^']*)'")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"\['([^']*)'\]|\[(\d+)\]|\.?([^.\[\]]+)")]
    private static partial Regex Step();
}
