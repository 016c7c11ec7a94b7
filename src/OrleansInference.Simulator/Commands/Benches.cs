using System.Text.Json;
using OrleansInference.Simulator.Policies;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Commands;

/// <summary>What the product's own commands work with.</summary>
internal static class Benches
{
    /// <summary>The policies and scenarios that come with the product.</summary>
    public static Bench Shipped { get; } = new()
    {
        Policies = PolicyChoices.All,
        Read = static (nameOrFile, overrides) => ScenarioReader.Read(ScenarioReader.Find(nameOrFile), overrides),
        Shipped = Scenarios,
        LowerBound = static (scenario, progress, cancellationToken) => Bounds.LowerBound.Compute(scenario, fullOnly: false, progress, cancellationToken),
    };

    private static List<ShippedScenario> Scenarios()
    {
        var folder = Path.Combine(AppContext.BaseDirectory, "data", "scenarios");
        return [.. Directory.GetFiles(folder, "*.json").Order(StringComparer.Ordinal).Select(static file =>
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            return new ShippedScenario(Path.GetFileNameWithoutExtension(file), document.RootElement.TryGetProperty("about", out var about) ? about.GetString() ?? "" : "");
        })];
    }
}
