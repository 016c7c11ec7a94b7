using System.Text.Json;

namespace OrleansInference.Configuration;

/// <summary>Where settings come from, weakest first: the server's own appsettings.json, <c>--config</c>, the environment, the command line.</summary>
internal sealed class SettingsLayers
{
    private const string Section = "OrleansInference";
    private readonly List<Layer> _layers = [];

    /// <summary>A setting that was found.</summary>
    /// <param name="Text">Its value.</param>
    /// <param name="Source">Its file and key, or variable, or option: for messages.</param>
    /// <param name="Folder">Folder that a relative path in it starts from.</param>
    public readonly record struct Found(string Text, string Source, string Folder);

    /// <summary>Adds a JSON file; what is wrong with its JSON becomes a problem and the file is left out.</summary>
    /// <param name="path">Path of the file.</param>
    /// <param name="known">The name of every setting: one that stands beside the section, and not in it, is a problem, since it would be without effect.</param>
    /// <param name="problems">Receives every problem.</param>
    /// <param name="mustSet">Whether a file without the section is a problem too.</param>
    public void AddFile(string path, IEnumerable<string> known, ICollection<string> problems, bool mustSet = false)
    {
        try
        {
            var bytes = File.ReadAllBytes(path);
            using (JsonDocument.Parse(bytes.AsMemory(bytes.AsSpan().StartsWith("\uFEFF"u8) ? 3 : 0), new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true }))
            {
            }

            using var stream = new MemoryStream(bytes);
            var root = new ConfigurationBuilder().AddJsonStream(stream).Build();
            FindMisplaced(path, [.. root.GetChildren().Select(static child => child.Key)], known, problems, mustSet);
            var section = root.GetSection(Section);
            _layers.Add(new(section, key => $"{path}: {Section}:{key}", Path.GetDirectoryName(Path.GetFullPath(path))!));
        }
        catch (JsonException exception)
        {
            problems.Add(CatalogFile.Describe(path, exception));
        }
        catch (FormatException exception)
        {
            problems.Add($"{path}: {exception.Message}");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            problems.Add($"{path}: the file cannot be read ({exception.Message.TrimEnd('.')}). Check the path and its permissions.");
        }
    }

    /// <summary>Adds the variables <c>OrleansInference__…</c>.</summary>
    /// <param name="problems">Receives variables that look like one of them with a misspelt beginning.</param>
    public void AddEnvironment(ICollection<string> problems)
    {
        var root = new ConfigurationBuilder().AddEnvironmentVariables().Build();
        foreach (var other in Environment.GetEnvironmentVariables().Keys.Cast<string>().Where(LooksLikeVariable).Order(StringComparer.Ordinal))
        {
            problems.Add($"environment variable {other}: it is not one of this server's. Its settings begin with {Section}__, with two underscores.");
        }

        _layers.Add(new(
            root.GetSection(Section),
            static key => $"environment variable {Section}__{key.Replace(":", "__", StringComparison.Ordinal)}",
            Environment.CurrentDirectory));
    }

    /// <summary>Adds what the command line says.</summary>
    public void AddCommandLine(IReadOnlyDictionary<string, string?> values) => _layers.Add(new(
        new ConfigurationBuilder().AddInMemoryCollection(values).Build(),
        static key => $"command line, {key}",
        Environment.CurrentDirectory));

    /// <summary>The strongest value of a key; null if no layer has it.</summary>
    public Found? Find(string key)
    {
        for (var i = _layers.Count - 1; i >= 0; i--)
        {
            var section = _layers[i].Values.GetSection(key);
            var text = section.Value ?? (section.GetChildren().Any() ? string.Join(';', section.GetChildren().Select(static c => c.Value)) : null);
            if (!string.IsNullOrWhiteSpace(text))
            {
                return new(text.Trim(), _layers[i].Source(key), _layers[i].Folder);
            }
        }

        return null;
    }

    /// <summary>The items of a list of objects, each as settings of its own; of the strongest layer that has the list.</summary>
    public IEnumerable<SettingsLayers> Items(string key)
    {
        for (var i = _layers.Count - 1; i >= 0; i--)
        {
            var layer = _layers[i];
            var items = layer.Values.GetSection(key).GetChildren().ToList();
            if (items.Count > 0)
            {
                return items.Select(item =>
                {
                    var settings = new SettingsLayers();
                    settings._layers.Add(new(item, member => layer.Source($"{key}:{item.Key}:{member}"), layer.Folder));
                    return settings;
                });
            }
        }

        return [];
    }

    /// <summary>Where a key would be set, for messages about one that is missing.</summary>
    public string Describe(string key) => _layers[^1].Source(key);

    /// <summary>Names every key that no setting has: it would be a setting without effect.</summary>
    public void FindUnknown(IReadOnlySet<string> known, ICollection<string> problems)
    {
        foreach (var layer in _layers)
        {
            foreach (var key in Leaves(layer.Values, "").Where(key => !known.Contains(key)).Order(StringComparer.Ordinal))
            {
                problems.Add($"{layer.Source(key)}: there is no such setting. {(NearestName.Of(key, known) is { } near ? $"'{near}' may be meant." : $"Remove it, or correct its name; known are {string.Join(", ", known.Order(StringComparer.Ordinal))}.")}");
            }
        }
    }

    // Other names are other programs': Logging, Kestrel and the like.
    private static void FindMisplaced(string path, IReadOnlyList<string> names, IEnumerable<string> known, ICollection<string> problems, bool mustSet)
    {
        var misspelt = names.Where(LooksLikeSection).ToList();
        foreach (var other in misspelt)
        {
            problems.Add($"{path}: {other}: there is no such section. Call it {Section}.");
        }

        var settings = known.Select(static key => key.Split(':')[0]).ToHashSet(StringComparer.OrdinalIgnoreCase);
        var misplaced = names.Where(settings.Contains).ToList();
        const string Form = $$"""Settings stand under "{{Section}}": { "{{Section}}": { "Urls": "http://127.0.0.1:8080" } }.""";
        if (misplaced.Count > 0)
        {
            problems.Add($"{path}: {string.Join(", ", misplaced)}: {(misplaced.Count == 1 ? "it is" : "they are")} beside the section {Section}, and not in it. {Form}");
        }
        else if (mustSet && misspelt.Count == 0 && !names.Contains(Section, StringComparer.OrdinalIgnoreCase))
        {
            problems.Add($"{path}: it has no section {Section}, and so sets nothing. {Form}");
        }
    }

    // A root key with the section's name, or nearly; the section itself is only meant by its exact name.
    private static bool LooksLikeSection(string key) => !key.Equals(Section, StringComparison.OrdinalIgnoreCase) && NearestName.Of(key, [Section]) is not null;

    private static bool LooksLikeVariable(string name) =>
        LooksLikeSection(name.Split('_')[0])
        || (name.StartsWith(Section + "_", StringComparison.OrdinalIgnoreCase) && !name.StartsWith(Section + "__", StringComparison.OrdinalIgnoreCase));

    private static IEnumerable<string> Leaves(IConfiguration section, string prefix)
    {
        foreach (var child in section.GetChildren())
        {
            var path = prefix + child.Key;
            var isList = child.GetChildren().Any() && child.GetChildren().All(static c => int.TryParse(c.Key, out _));
            if (isList || !child.GetChildren().Any())
            {
                yield return path;
            }
            else
            {
                foreach (var leaf in Leaves(child, path + ":"))
                {
                    yield return leaf;
                }
            }
        }
    }

    private sealed record Layer(IConfiguration Values, Func<string, string> Source, string Folder);
}
