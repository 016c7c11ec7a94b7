using System.Text.Json;

namespace OrleansInference.Configuration;

/// <summary>Finds the lines of a JSON text that its values stand on.</summary>
internal static class JsonLines
{
    /// <summary>Line of each key and list element, from 1, by a path such as <c>models[0].name</c>.</summary>
    public static Dictionary<string, int> Of(ReadOnlySpan<byte> json)
    {
        var lines = new Dictionary<string, int>(StringComparer.Ordinal);
        var reader = new Utf8JsonReader(json, new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
        var open = new Stack<(string Path, int Next)>();
        var name = "";
        var (line, at) = (1, 0);
        while (reader.Read())
        {
            line += json[at..(int)reader.TokenStartIndex].Count((byte)'\n');
            at = (int)reader.TokenStartIndex;
            if (reader.TokenType == JsonTokenType.PropertyName)
            {
                name = Join(open.Peek().Path, reader.GetString()!);
                lines[name] = line;
                continue;
            }

            if (reader.TokenType is JsonTokenType.EndArray or JsonTokenType.EndObject)
            {
                open.Pop();
                continue;
            }

            var path = name;
            if (open.TryPeek(out var parent) && parent.Next >= 0)
            {
                open.Pop();
                open.Push((parent.Path, parent.Next + 1));
                path = $"{parent.Path}[{parent.Next}]";
                lines[path] = line;
            }

            if (reader.TokenType is JsonTokenType.StartArray or JsonTokenType.StartObject)
            {
                open.Push((path, reader.TokenType == JsonTokenType.StartArray ? 0 : -1));
            }
        }

        return lines;
    }

    /// <summary>The path of a member.</summary>
    public static string Join(string path, string name) => path.Length == 0 ? name : $"{path}.{name}";
}
