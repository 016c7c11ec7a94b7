using System.Runtime.CompilerServices;

namespace OrleansInference.Tests;

/// <summary>What the README shows is what runs.</summary>
[Collection(WireServerGroup.Name)]
public sealed class ReadmeTests(WireServer server)
{
    [Fact]
    public async Task The_sample_of_a_front_end_service_answers()
    {
        var outcome = await FrontEndSample.RunAsync(server.GatewayPort);
        Assert.True(outcome.IsAnswer, outcome.Problem?.Message);
        Assert.True(outcome.Route!.Charge > Money.Zero);
        Assert.True(outcome.Route.Charge <= outcome.Route.ChargeCap);
    }

    [Fact]
    public async Task The_sample_in_the_readme_is_the_one_that_runs()
    {
        var root = Root();
        var readme = (await File.ReadAllTextAsync(Path.Combine(root, "README.md"))).ReplaceLineEndings("\n");
        var begin = readme.IndexOf("```csharp\n", StringComparison.Ordinal) + "```csharp\n".Length;
        var sample = readme[begin..readme.IndexOf("```", begin, StringComparison.Ordinal)].Split('\n').Select(line => line.Trim());
        var compiled = (await File.ReadAllLinesAsync(Path.Combine(root, "tests", "OrleansInference.Wire.Tests", "FrontEndSample.cs"))).Select(line => line.Trim()).ToHashSet();
        Assert.DoesNotContain(sample, line => !compiled.Contains(line) && line.Length > 0);
    }

    [Fact]
    public async Task Every_link_of_the_readme_and_the_docs_leads_somewhere()
    {
        var root = Root();
        foreach (var file in Directory.GetFiles(Path.Combine(root, "docs"), "*.md").Append(Path.Combine(root, "README.md")))
        {
            var text = await File.ReadAllTextAsync(file);
            foreach (var part in text.Split("](").Skip(1))
            {
                var link = part[..part.IndexOf(')', StringComparison.Ordinal)];
                if (!link.StartsWith("http", StringComparison.Ordinal))
                {
                    Assert.True(File.Exists(Path.Combine(Path.GetDirectoryName(file)!, link)), $"{Path.GetFileName(file)} links to {link}, which does not exist.");
                }
            }
        }
    }

    private static string Root([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", ".."));
}
