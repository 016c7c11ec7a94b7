using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace OrleansInference.Aws;

/// <summary>
/// A path to members of a JSON value, of RFC 9535: <c>$</c>, then steps <c>.name</c>, <c>['name']</c>, <c>[3]</c>, <c>[-1]</c>, <c>.*</c>, <c>[*]</c>, each also over all descendants
/// after <c>..</c>. Filters and slices are not taken.
/// </summary>
public sealed class JsonPath
{
    private readonly List<Step> _steps = [];

    private JsonPath(string text) => Text = text;

    /// <summary>The path as it was written.</summary>
    public string Text { get; }

    /// <summary>Reads a path; null with what is wrong if it is none.</summary>
    public static JsonPath? Parse(string text, out string problem)
    {
        ArgumentNullException.ThrowIfNull(text);
        var path = new JsonPath(text);
        problem = "";
        if (!text.StartsWith('$') || text.Length == 1)
        {
            problem = "a path begins with $ and names something below it, such as $.user.email";
            return null;
        }

        for (var at = 1; at < text.Length;)
        {
            var isDeep = false;
            if (text[at] == '.')
            {
                isDeep = at + 1 < text.Length && text[at + 1] == '.';
                at += isDeep ? 2 : 1;
                if (at < text.Length && text[at] != '[')
                {
                    var end = at;
                    while (end < text.Length && text[end] is not ('.' or '[' or ']' or ' '))
                    {
                        end++;
                    }

                    if (end == at)
                    {
                        problem = At(at, "a name is missing");
                        return null;
                    }

                    var name = text[at..end];
                    if (name != "*" && !name.All(static c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' || c > 127))
                    {
                        // Taken as it stands, $.ssn,$.email would be one path, and lead nowhere.
                        problem = At(at, $"'{name}' has characters that a name after a dot does not have; such a name stands in brackets and quotes, and paths are separated by semicolons");
                        return null;
                    }

                    path._steps.Add(name == "*" ? new(null, null, isDeep) : new(name, null, isDeep));
                    at = end;
                    continue;
                }

                if (!isDeep || at >= text.Length)
                {
                    problem = At(at, "a name is missing");
                    return null;
                }
            }

            if (text[at] != '[')
            {
                problem = At(at, "'.name' or '[…]' is wanted");
                return null;
            }

            if (TryQuoted(text, at + 1, out var quoted, out var after))
            {
                path._steps.Add(new(quoted, null, isDeep));
                at = after;
                continue;
            }

            if (text.IndexOf(']', at) is var close && close < 0)
            {
                problem = At(at, "'.name' or '[…]' is wanted");
                return null;
            }

            var inside = text[(at + 1)..close].Trim();
            if (inside == "*")
            {
                path._steps.Add(new(null, null, isDeep));
            }
            else if (int.TryParse(inside, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var index))
            {
                path._steps.Add(new(null, index, isDeep));
            }
            else
            {
                problem = At(at, "in brackets stands a quoted name, an index or *");
                return null;
            }

            at = close + 1;
        }

        return path;

        string At(int position, string what) => string.Create(CultureInfo.InvariantCulture, $"at character {position + 1} {what}");
    }

    /// <summary>Replaces all that the path leads to.</summary>
    /// <param name="root">The value; changed in place.</param>
    /// <param name="make">Makes what stands there instead.</param>
    public void Replace(JsonNode? root, Func<JsonNode?> make)
    {
        ArgumentNullException.ThrowIfNull(make);
        Walk(root, 0, make);
    }

    /// <summary>Reads a name in quotes and the bracket behind it; false if there is no such thing.</summary>
    private static bool TryQuoted(string text, int at, out string name, out int after)
    {
        (name, after) = ("", at);
        while (at < text.Length && text[at] == ' ')
        {
            at++;
        }

        if (at >= text.Length || text[at] is not ('\'' or '"'))
        {
            return false;
        }

        var quote = text[at];
        var written = new StringBuilder("\"");
        for (at++; at < text.Length && text[at] != quote; at++)
        {
            if (text[at] == '\\' && at + 1 < text.Length)
            {
                // JSON's own escapes, and that of the single quote, which JSON has not.
                written.Append(text[at + 1] == '\'' ? "'" : text[at..(at + 2)]);
                at++;
            }
            else
            {
                written.Append(text[at] == '"' ? "\\\"" : text[at].ToString());
            }
        }

        for (at++; at < text.Length && text[at] == ' '; at++)
        {
        }

        if (at >= text.Length || text[at] != ']')
        {
            return false;
        }

        try
        {
            name = JsonNode.Parse(written.Append('"').ToString())!.GetValue<string>();
            after = at + 1;
            return true;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    private void Walk(JsonNode? node, int at, Func<JsonNode?> make)
    {
        var step = _steps[at];
        foreach (var (child, set) in Children(node).ToList())
        {
            if (step.Takes(child.Name, child.Index, child.Count))
            {
                if (at == _steps.Count - 1)
                {
                    set(make());
                    continue;
                }

                Walk(child.Node, at + 1, make);
            }

            if (step.IsDeep)
            {
                Walk(child.Node, at, make);
            }
        }
    }

    private static IEnumerable<((JsonNode? Node, string? Name, int Index, int Count) Child, Action<JsonNode?> Set)> Children(JsonNode? node)
    {
        if (node is JsonObject members)
        {
            foreach (var (name, value) in members.ToList())
            {
                yield return ((value, name, -1, 0), made => members[name] = made);
            }
        }
        else if (node is JsonArray items)
        {
            for (var i = 0; i < items.Count; i++)
            {
                var index = i;
                yield return ((items[i], null, i, items.Count), made => items[index] = made);
            }
        }
    }

    private readonly record struct Step(string? Name, int? Index, bool IsDeep)
    {
        public bool Takes(string? name, int index, int count) =>
            Name is not null ? name == Name : Index is not { } wanted || (name is null && index == (wanted < 0 ? count + wanted : wanted));
    }
}
