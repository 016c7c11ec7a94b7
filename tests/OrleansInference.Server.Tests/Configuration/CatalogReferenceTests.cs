using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using OrleansInference.Configuration;
using OrleansInference.Pricing;

namespace OrleansInference.Tests.Configuration;

/// <summary>The reference of the catalog says what the definitions say.</summary>
public sealed class CatalogReferenceTests
{
    // What is described member by member, under which heading.
    private static readonly Dictionary<Type, string> Headings = new()
    {
        [typeof(CatalogDefinition)] = "Catalog",
        [typeof(ClassDeadlines)] = "Deadlines",
        [typeof(ModelDefinition)] = "Model",
        [typeof(VariantDefinition)] = "Variant",
        [typeof(EndpointDefinition)] = "Endpoint",
        [typeof(Tariff)] = "Tariff",
        [typeof(LatencyPrior)] = "Prior",
        [typeof(SimulatedModel)] = "Simulation",
        [typeof(TenantDefinition)] = "Tenant",
        [typeof(BudgetWindowDefinition)] = "Budget",
        [typeof(LimitDefinition)] = "Limit",
    };

    private static string Page => File.ReadAllText(Path.Combine(Root(), "docs", "catalog.md")).ReplaceLineEndings("\n");

    [Fact]
    public void Every_member_is_described_with_its_default()
    {
        var reached = new HashSet<Type>();
        Reach(typeof(CatalogDefinition), reached);
        Assert.Equal(Headings.Keys.Order(ByName), reached.Order(ByName));
        foreach (var (type, heading) in Headings)
        {
            var described = Regex.Matches(Section(heading), "^\\| `(\\w+)` \\| ([^|]+) \\|", RegexOptions.Multiline).ToDictionary(static row => row.Groups[1].Value, static row => row.Groups[2].Value);
            var unset = Activator.CreateInstance(type)!;
            var defined = Members(type).ToDictionary(static member => JsonNamingPolicy.CamelCase.ConvertName(member.Name), member => Default(member, unset));
            Assert.Equal(defined.OrderBy(static member => member.Key, StringComparer.Ordinal), described.OrderBy(static member => member.Key, StringComparer.Ordinal));
        }
    }

    [Fact]
    public void The_example_is_a_catalog()
    {
        var json = Regex.Match(Page, "```json\n(.*?)```", RegexOptions.Singleline).Groups[1].Value;
        Assert.Empty(CatalogValidation.Validate(JsonSerializer.Deserialize<CatalogDefinition>(json, CatalogFile.Json)!));
    }

    [Fact]
    public void Every_name_of_an_enumeration_is_there()
    {
        var names = new[] { typeof(Lane), typeof(ScalingMode), typeof(TrafficClass), typeof(BudgetWindowKind), typeof(LowBudgetStep), typeof(RoutingPolicyKind) }.SelectMany(Enum.GetNames);
        Assert.All(names, static name => Assert.Matches($"\\b{name}\\b", Page));
    }

    private static Comparer<Type> ByName => Comparer<Type>.Create(static (left, right) => string.CompareOrdinal(left.Name, right.Name));

    private static string Section(string heading)
    {
        var begin = Page.IndexOf($"## {heading}\n", StringComparison.Ordinal);
        Assert.True(begin >= 0, heading);
        var end = Page.IndexOf("\n## ", begin, StringComparison.Ordinal);
        return end < 0 ? Page[begin..] : Page[begin..end];
    }

    private static IEnumerable<PropertyInfo> Members(Type type) =>
        type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(static member => member.GetCustomAttribute<JsonIgnoreAttribute>() is null);

    private static void Reach(Type type, HashSet<Type> reached)
    {
        if (reached.Add(type))
        {
            foreach (var of in Members(type).SelectMany(static member => (Type[])[member.PropertyType, .. member.PropertyType.GenericTypeArguments]).Where(static of => of.IsClass && of.Namespace == nameof(OrleansInference)))
            {
                Reach(of, reached);
            }
        }
    }

    private static string Default(PropertyInfo member, object unset) => member.GetCustomAttribute<RequiredMemberAttribute>() is not null ? "required" : Words(member.GetValue(unset));

    private static string Words(object? value) => value switch
    {
        null or "" => "none",
        string text => text,
        bool flag => flag ? "true" : "false",
        Money money => money.ToString().TrimEnd('0').TrimEnd('.') is { Length: > 0 } dollars ? dollars : "0",
        IEnumerable list => string.Join(", ", list.Cast<object>()) is { Length: > 0 } items ? items : "none",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => "see below",
    };

    private static string Root([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", "..", ".."));
}
