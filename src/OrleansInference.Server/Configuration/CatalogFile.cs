using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using OrleansInference.Pricing;

namespace OrleansInference.Configuration;

/// <summary>A catalog as JSON: camel-case names, enums and money as strings, comments and trailing commas allowed.</summary>
public static class CatalogFile
{
    /// <summary>How a catalog is read and written. A member that does not exist is an error: it would be a setting without effect.</summary>
    public static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web)
    {
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        ReadCommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
        WriteIndented = true,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    /// <summary>Reads and checks a catalog.</summary>
    /// <param name="path">Path of the file.</param>
    /// <param name="problems">Receives every problem, with the file, line and key, or line and column where the JSON breaks.</param>
    /// <returns>The catalog; null if it cannot be read. One with problems must not be used.</returns>
    public static CatalogDefinition? Read(string path, ICollection<string> problems)
    {
        ArgumentNullException.ThrowIfNull(problems);
        byte[] json = [];
        try
        {
            json = File.ReadAllBytes(path);
            if (JsonSerializer.Deserialize<CatalogDefinition>(json.AsSpan().TrimStart("\uFEFF"u8), Json) is not { } catalog)
            {
                problems.Add($"{path}: the catalog is null; it must be an object with \"models\", \"tenants\" and \"instancePrices\".");
                return null;
            }

            if (!CatalogValidation.Validate(catalog).IsEmpty)
            {
                foreach (var problem in CatalogRepair.Problems(json.AsSpan().TrimStart("\uFEFF"u8), static rest => CatalogValidation.Validate(rest)))
                {
                    problems.Add($"{path}{problem}.");
                }
            }

            return catalog;
        }
        catch (JsonException exception)
        {
            foreach (var problem in Problems(path, json, static catalog => CatalogValidation.Validate(catalog), exception))
            {
                problems.Add(problem);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            problems.Add($"{path}: the file cannot be read ({exception.Message.TrimEnd('.')}). Check the path and its permissions.");
        }

        return null;
    }

    /// <summary>Tells catalogs apart: the same in every process, whatever order the members of their JSON come in.</summary>
    internal static string Fingerprint(CatalogDefinition catalog) => Fingerprint(JsonSerializer.SerializeToNode(catalog, Json));

    internal static string Fingerprint(JsonNode? json) => Convert.ToHexString(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(Ordered(json))));

    // A dictionary comes in the order of its hashes, which differ from process to process.
    private static JsonNode? Ordered(JsonNode? node) => node switch
    {
        JsonObject members => new JsonObject(members.OrderBy(static member => member.Key, StringComparer.Ordinal).Select(static member => KeyValuePair.Create(member.Key, Ordered(member.Value)))),
        JsonArray items => new JsonArray([.. items.Select(Ordered)]),
        _ => node?.DeepClone(),
    };

    /// <summary>What is wrong with JSON that is no catalog, with the line and key of each problem.</summary>
    /// <param name="source">What the problems are said to be in.</param>
    /// <param name="json">The JSON.</param>
    /// <param name="validate">Checks what is left when what has the wrong form is taken out.</param>
    /// <param name="first">What the reader said first, for when nothing more can be told.</param>
    internal static IEnumerable<string> Problems(string source, byte[] json, Func<CatalogDefinition, IEnumerable<string>> validate, JsonException? first = null)
    {
        try
        {
            var found = CatalogRepair.Problems(json.AsSpan().TrimStart("\uFEFF"u8), validate);
            return found.Count > 0 ? found.Select(problem => $"{source}{problem}.") : [first is null ? $"{source}: it cannot be read." : Describe(source, first)];
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException)
        {
            // No JSON at all, or a key twice: the reader's own words name the place.
            return [exception is JsonException unreadable ? Describe(source, unreadable) : first is null ? $"{source}: a key is there twice." : Describe(source, first)];
        }
    }

    /// <summary>What is wrong with a piece of JSON, and where.</summary>
    internal static string Describe(string source, JsonException exception)
    {
        var message = exception.Message;
        var end = message.IndexOf(" Path: ", StringComparison.Ordinal);
        end = end < 0 ? message.IndexOf(" LineNumber: ", StringComparison.Ordinal) : end;
        message = end < 0 ? message : message[..end].TrimEnd(' ', '|');
        var place = exception.LineNumber is { } line ? $"({line + 1},{(exception.BytePositionInLine ?? 0) + 1})" : "";
        var path = exception.Path is { Length: > 1 } at ? $" {at.TrimStart('$', '.')}:" : "";
        return $"{source}{place}:{path} {message}";
    }
}
