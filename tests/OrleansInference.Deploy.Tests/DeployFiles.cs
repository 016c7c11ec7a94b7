using System.Runtime.CompilerServices;
using System.Text.Json;
using OrleansInference.Tests;

[assembly: AssemblyFixture(typeof(DeployFiles))]

namespace OrleansInference.Tests;

/// <summary>
/// The files of <c>deploy/</c> as they are read and checked by the linter, which runs once over them and over a copy for each mutation. Its packages are installed once
/// from the lock file beside the tests.
/// </summary>
public sealed class DeployFiles : IAsyncLifetime
{
    private readonly string _scratch = Directory.CreateTempSubdirectory("deploy-").FullName;
    private JsonElement _results;

    /// <summary>Root of the repository.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The folder under test.</summary>
    public static string Folder { get; } = Path.Combine(Root, "deploy");

    /// <summary>What is wrong with the files.</summary>
    public IReadOnlyList<string> Problems => ProblemsOf(Folder);

    public async ValueTask InitializeAsync()
    {
        var tools = Path.Combine(AppContext.BaseDirectory, "JavaScript");

        // npm writes this file last: a whole installation of this very lock file is not repeated.
        var installed = Path.Combine(tools, "node_modules", ".package-lock.json");
        if (!File.Exists(installed) || File.GetLastWriteTimeUtc(installed) < File.GetLastWriteTimeUtc(Path.Combine(tools, "package-lock.json")))
        {
            (await ExternalCommand.RunAsync("npm", ["ci"], folder: tools)).Success();
        }

        foreach (var mutation in Mutation.All)
        {
            mutation.Apply(Folder, Mutated(mutation));
        }

        var result = await ExternalCommand.RunAsync("node", [Path.Combine(tools, "lint.mjs"), Folder, .. Mutation.All.Select(Mutated)], folder: tools);
        _results = JsonDocument.Parse(result.Success()).RootElement;
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_scratch, recursive: true);
        return ValueTask.CompletedTask;
    }

    /// <summary>What is wrong with the files after a mutation.</summary>
    internal IReadOnlyList<string> ProblemsAfter(Mutation mutation) => ProblemsOf(Mutated(mutation));

    /// <summary>The documents of a YAML file, named from the folder on; tags of CloudFormation in their long form.</summary>
    internal IReadOnlyList<JsonElement> Documents(string name) => [.. _results.GetProperty(Folder).GetProperty("files").GetProperty(name).EnumerateArray()];

    /// <summary>The only document of a file.</summary>
    internal JsonElement Document(string name) => Assert.Single(Documents(name));

    /// <summary>A resource of a template.</summary>
    internal JsonElement Resource(string template, string name) => Document($"cloudformation/{template}.yaml").GetProperty("Resources").GetProperty(name);

    /// <summary>Every resource of every template.</summary>
    internal IEnumerable<(string Name, string Type, JsonElement Properties)> Resources() =>
        from template in new[] { "state", "lanes", "router", "monitoring" }
        from resource in Document($"cloudformation/{template}.yaml").GetProperty("Resources").EnumerateObject()
        select (resource.Name, resource.Value.GetProperty("Type").GetString()!, resource.Value.GetProperty("Properties"));

    /// <summary>A container of the task definition.</summary>
    internal JsonElement Container(string name) =>
        Resource("router", "Task").GetProperty("Properties").GetProperty("ContainerDefinitions").EnumerateArray().Single(container => container.GetProperty("Name").GetString() == name);

    /// <summary>The pods' one container.</summary>
    internal JsonElement Pod() => Document("kubernetes/deployment.yaml").GetProperty("spec").GetProperty("template").GetProperty("spec");

    /// <summary>Everything that a container is given by its environment, conditions aside; what is not plain text is empty.</summary>
    internal static Dictionary<string, string> Environment(JsonElement container) => container.GetProperty("Environment").EnumerateArray()
        .Select(static variable => variable.TryGetProperty("Fn::If", out var branches) ? branches[1] : variable)
        .ToDictionary(static variable => variable.GetProperty("Name").GetString()!, static variable => Text(variable.GetProperty("Value")), StringComparer.Ordinal);

    /// <summary>The members of an object of texts.</summary>
    internal static Dictionary<string, string> Members(JsonElement values) => values.EnumerateObject().ToDictionary(static member => member.Name, static member => Text(member.Value), StringComparer.Ordinal);

    private static string Text(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()! : "";

    private static string FindRoot([CallerFilePath] string file = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, "..", ".."));

    private string Mutated(Mutation mutation) => Path.Combine(_scratch, mutation.Name);

    private string[] ProblemsOf(string folder) => [.. _results.GetProperty(folder).GetProperty("problems").EnumerateArray().Select(static problem => problem.GetString()!)];
}
