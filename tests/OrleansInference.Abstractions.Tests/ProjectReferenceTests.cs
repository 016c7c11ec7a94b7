using System.Runtime.CompilerServices;
using System.Xml.Linq;

namespace OrleansInference.Tests;

/// <summary>Holds the arrows between the projects of <c>src/</c>.</summary>
public sealed class ProjectReferenceTests
{
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Abstractions"] = [],
        ["Policy"] = ["Abstractions"],
        ["Grains"] = ["Abstractions", "Policy"],
        ["Sqlite"] = [],
        ["DynamoDB"] = [],
        ["Aws"] = ["Grains"],
        ["LocalAws"] = ["Aws"],
        ["Client"] = ["Abstractions"],
        ["Simulator"] = ["Policy"],
        ["Server"] = ["Grains", "Aws", "LocalAws", "Sqlite", "DynamoDB", "Client"],
    };

    [Fact]
    public void References_go_one_way()
    {
        var source = Path.Combine(Root(), "src");
        var found = Directory.GetDirectories(source).Select(d => Path.GetFileName(d)["OrleansInference.".Length..]).ToHashSet();
        Assert.Equal(Allowed.Keys.Order(), found.Order());
        foreach (var (project, allowed) in Allowed)
        {
            var name = $"OrleansInference.{project}";
            var references = XDocument.Load(Path.Combine(source, name, name + ".csproj")).Descendants("ProjectReference")
                .Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value.Replace('\\', '/'))["OrleansInference.".Length..]);
            Assert.Empty(references.Except(allowed).Select(r => $"{project} must not reference {r}"));
        }
    }

    [Fact]
    public void Policy_knows_neither_clock_nor_chance_nor_the_outside()
    {
        string[] forbidden =
        [
            "using Orleans;", "using Orleans.", "using Amazon", "System.IO", "System.Net", "DateTime.Now", "DateTime.UtcNow", "DateTimeOffset.Now", "DateTimeOffset.UtcNow",
            "Stopwatch", "Task.Delay", "Thread.Sleep", "new Random", "Random.Shared", "Guid.NewGuid", "Environment.TickCount", "TimeProvider", "File.", "HttpClient",
        ];
        var offences =
            from file in Directory.EnumerateFiles(Path.Combine(Root(), "src", "OrleansInference.Policy"), "*.cs", SearchOption.AllDirectories)
            where !file.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal)
            let text = File.ReadAllText(file)
            from word in forbidden
            where text.Contains(word, StringComparison.Ordinal)
            select $"{Path.GetFileName(file)}: {word}";
        Assert.Empty(offences);
    }

    [Fact]
    public void No_room_is_named_after_a_kind_of_class()
    {
        string[] forbidden = ["Helpers", "Utils", "Utilities", "Managers", "Services", "Common"];
        var offences = Directory.EnumerateDirectories(Path.Combine(Root(), "src"), "*", SearchOption.AllDirectories)
            .Where(d => forbidden.Contains(Path.GetFileName(d), StringComparer.OrdinalIgnoreCase));
        Assert.Empty(offences);
    }

    private static string Root([CallerFilePath] string here = "")
    {
        var folder = Path.GetDirectoryName(here);
        while (folder is not null && !File.Exists(Path.Combine(folder, "OrleansInference.sln")))
        {
            folder = Path.GetDirectoryName(folder);
        }

        return folder ?? throw new InvalidOperationException("The tests must be run from a checkout of the repository.");
    }
}
