using System.CommandLine;
using System.Globalization;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Commands;

/// <summary>The options that say on what ground a command runs.</summary>
internal sealed class ScenarioOptions(bool isRequired = true)
{
    private const double MostDays = 3660;
    private const double MostScale = 1e6;

    private readonly Option<string> _scenario = new("--scenario")
    {
        Description = "Scenario file (JSON), or the name of a shipped one; 'scenarios' lists them.",
        Required = isRequired,
        HelpName = "file-or-name",
    };

    private readonly Option<double?> _days = Numeric("--days", "Days to run, from the first; default: the scenario's.", MostDays);
    private readonly Option<double?> _rateScale = Numeric("--rate-scale", "Factor on all arrival rates; default: the scenario's.", MostScale);
    private readonly Option<ulong?> _seed = new("--seed")
    {
        Description = "Seed of all that is drawn by chance; default: the scenario's.",
        HelpName = "number",
        CustomParser = static result =>
        {
            if (ulong.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var seed))
            {
                return seed;
            }

            result.AddError($"--seed {result.Tokens[0].Value} is no whole number from 0 to {ulong.MaxValue}.");
            return null;
        },
    };

    private readonly Option<bool?> _oneChange = new("--one-change-at-a-time")
    {
        Description = "Whether an endpoint of which instances are coming cannot be changed until they serve, as SageMaker has it; default: the scenario's.",
        HelpName = "true|false",
    };

    /// <summary>Gives a command these options.</summary>
    public void AddTo(Command command)
    {
        command.Options.Add(_scenario);
        command.Options.Add(_days);
        command.Options.Add(_rateScale);
        command.Options.Add(_seed);
        command.Options.Add(_oneChange);
    }

    /// <summary>Whether one of these options was given.</summary>
    public bool IsGiven(ParseResult parsed) =>
        new Option[] { _scenario, _days, _rateScale, _seed, _oneChange }.Any(option => parsed.GetResult(option) is { Implicit: false });

    /// <summary>The scenario that was asked for.</summary>
    /// <exception cref="ScenarioException">There is none such, or it cannot be used.</exception>
    public Scenario Read(ParseResult parsed, Bench bench)
    {
        var nameOrFile = parsed.GetValue(_scenario) ?? "";
        return nameOrFile.Length == 0
            ? throw new UserMistakeException("--scenario is empty; give a file or the name of a shipped scenario.")
            : bench.Read(nameOrFile, new() { Days = parsed.GetValue(_days), RateScale = parsed.GetValue(_rateScale), Seed = parsed.GetValue(_seed), OneChangeAtATime = parsed.GetValue(_oneChange) });
    }

    /// <summary>The options as they would be given again, each stated.</summary>
    public string Again(ParseResult parsed, Scenario scenario) => string.Create(
        CultureInfo.InvariantCulture,
        $"--scenario {Quoted(parsed.GetRequiredValue(_scenario))} --days {scenario.Days} --rate-scale {scenario.RateScale} --seed {scenario.Seed}{(scenario.OneChangeAtATime ? " --one-change-at-a-time true" : "")}");

    /// <summary>Finds policies by their names; all, if none are given.</summary>
    /// <exception cref="UserMistakeException">There is none of a name, and the message has those that there are; or one cannot run the scenario.</exception>
    public static IReadOnlyList<PolicyChoice> Find(Bench bench, Scenario scenario, IEnumerable<string>? names)
    {
        var known = string.Join(", ", bench.Policies.Select(static choice => choice.Name));
        var found = names is null ? bench.Policies : [
            .. names
                .Distinct(StringComparer.Ordinal)
                .Select(name => bench.Policies.FirstOrDefault(choice => choice.Name == name) ?? throw new UserMistakeException($"There is no policy '{name}'. There are: {known}.")),
        ];
        if (found.Count == 0)
        {
            throw new UserMistakeException($"No policy is named. There are: {known}.");
        }

        var unfit = string.Join(", ", found.Where(static choice => choice.NeedsRealtime).Select(static choice => choice.Name));
        return unfit.Length > 0 && scenario.Models.FirstOrDefault(static model => model.LaneOf(Lane.Realtime) is null) is { } model
            ? throw new UserMistakeException($"Model '{model.Model}' has no lane Realtime, without which there is no {unfit}. Give it one, or name policies that do without: {string.Join(", ", bench.Policies.Where(static choice => !choice.NeedsRealtime).Select(static choice => choice.Name))}.")
            : found;
    }

    private static Option<double?> Numeric(string name, string description, double most) => new(name)
    {
        Description = description,
        HelpName = "number",
        CustomParser = result =>
        {
            var text = result.Tokens[0].Value;
            if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value > 0 && value <= most)
            {
                return value;
            }

            result.AddError(string.Create(CultureInfo.InvariantCulture, $"{name} {text} is no number above 0 and at most {most}."));
            return null;
        },
    };

    private static string Quoted(string text) => text.All(static letter => char.IsAsciiLetterOrDigit(letter) || "-_./\\:".Contains(letter, StringComparison.Ordinal)) ? text : $"\"{text}\"";
}
