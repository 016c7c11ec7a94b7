using System.Collections.Immutable;
using System.Text.Json;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Simulator.Scenarios;

/// <summary>Reads scenarios from JSON. Fields that it does not know are passed over.</summary>
public static class ScenarioReader
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };
    private static readonly Dictionary<string, Lane> Lanes = Enum.GetValues<Lane>().ToDictionary(static each => each.ToString(), StringComparer.OrdinalIgnoreCase);
    private static readonly Dictionary<string, TrafficClass> Classes = Enum.GetValues<TrafficClass>().ToDictionary(static each => each.ToString(), StringComparer.OrdinalIgnoreCase);
    private static readonly Dictionary<string, LowBudgetStep> Steps = Enum.GetValues<LowBudgetStep>().ToDictionary(static each => each.ToString(), StringComparer.OrdinalIgnoreCase);
    private static readonly Dictionary<string, TraceFormat> Formats = new(StringComparer.Ordinal)
    {
        ["servegen"] = TraceFormat.ServeGen,
        ["azure-llm"] = TraceFormat.AzureLlm,
        ["requests"] = TraceFormat.Requests,
        ["counts"] = TraceFormat.Counts,
    };

    /// <summary>The file of a scenario: the path itself, or a shipped one of that bare name.</summary>
    /// <exception cref="ScenarioException">There is neither.</exception>
    public static string Find(string nameOrPath)
    {
        ArgumentException.ThrowIfNullOrEmpty(nameOrPath);
        if (File.Exists(nameOrPath))
        {
            return Path.GetFullPath(nameOrPath);
        }

        var folder = Path.Combine(AppContext.BaseDirectory, "data", "scenarios");
        var isBare = Path.GetFileName(nameOrPath) == nameOrPath;
        var shipped = Path.Combine(folder, nameOrPath + ".json");
        if (isBare && File.Exists(shipped))
        {
            return shipped;
        }

        IEnumerable<string?> names = Directory.Exists(folder) ? Directory.GetFiles(folder, "*.json").Select(Path.GetFileNameWithoutExtension).Order(StringComparer.Ordinal) : [];
        throw new ScenarioException(nameOrPath, "", $"there is no such file. Name a scenario file, or one of {string.Join(", ", names)}.");
    }

    /// <summary>Reads a scenario.</summary>
    /// <param name="file">Its file.</param>
    /// <param name="overrides">What to set in place of what it says.</param>
    /// <exception cref="ScenarioException">It cannot be used; all that is wrong with it is named.</exception>
    public static Scenario Read(string file, ScenarioOverrides? overrides = null)
    {
        file = Path.GetFullPath(file);
        using var document = Parse(file);
        var problems = new List<ScenarioProblem>();
        var root = new ScenarioElement(file, problems, document.RootElement, "$");
        if (document.RootElement.ValueKind != JsonValueKind.Object)
        {
            throw new ScenarioException(file, "$", "must be an object.");
        }

        var models = root.List("models").Select(ReadModel).ToImmutableArray();
        Unique(root, "models", "model", models.Select(static each => each.Model));
        var terms = ReadClasses(root.Object("classes"));
        var tenants = root.List("tenants");
        var scenario = new Scenario
        {
            Name = root.Text("name", Path.GetFileNameWithoutExtension(file)),
            Seed = overrides?.Seed ?? root.Seed("seed", 1),
            Days = Override("days", overrides?.Days) ?? root.Number("days", Bound.Positive, 7),
            RateScale = Override("rateScale", overrides?.RateScale) ?? root.Number("rateScale", Bound.Positive, 1),
            OneChangeAtATime = overrides?.OneChangeAtATime ?? root.Flag("oneChangeAtATime", false),
            Trace = ReadTrace(root, file),
            Classes = [.. Enum.GetValues<TrafficClass>().Select(each => terms.GetValueOrDefault(each) ?? new(0, 0))],
            Models = models,
            Tenants = [.. tenants.Select(each => ReadTenant(each, root.Has("classes") ? terms : null, models))],
        };
        Unique(root, "tenants", "tenant", scenario.Tenants.Select(static each => each.Tenant));
        if (scenario.Trace.Format == TraceFormat.ServeGen)
        {
            CheckClients(scenario, tenants, problems);
        }

        return problems.Count == 0 ? scenario : throw new ScenarioException(problems);

        double? Override(string field, double? value)
        {
            if (value is { } given && !(given > 0 && double.IsFinite(given)))
            {
                root.Problem(field, $"is set to {given}; it must be greater than 0.");
            }

            return value;
        }
    }

    private static JsonDocument Parse(string file)
    {
        try
        {
            return JsonDocument.Parse(File.ReadAllBytes(file), Strict);
        }
        catch (JsonException wrong)
        {
            throw new ScenarioException(file, $"line {wrong.LineNumber + 1}, position {wrong.BytePositionInLine + 1}", $"is not JSON: {wrong.Message}", wrong);
        }
        catch (Exception wrong) when (wrong is IOException or UnauthorizedAccessException)
        {
            throw new ScenarioException(file, "", $"cannot be read: {wrong.Message}", wrong);
        }
    }

    private static TraceDefinition ReadTrace(ScenarioElement root, string file)
    {
        var trace = root.Object("trace");
        var format = trace.Named("format", Formats);
        var isCounts = format == TraceFormat.Counts && trace.Has("format");
        return new()
        {
            Format = format,
            File = Existing(format == TraceFormat.ServeGen ? "rates" : "file")!,
            Clients = format == TraceFormat.ServeGen ? Existing("clients") : null,
            StepSeconds = isCounts ? trace.Number("stepSeconds", Bound.Positive) : 0,
            InputTokens = isCounts ? trace.Lengths("inputTokens") : null,
            OutputTokens = isCounts ? trace.Lengths("outputTokens") : null,
        };

        string Existing(string field)
        {
            var name = trace.Text(field);
            var path = Path.GetFullPath(name, Path.GetDirectoryName(file)!);
            if (name.Length > 0 && !File.Exists(path))
            {
                trace.Problem(field, $"there is no file '{path}'; paths are relative to the scenario's file.");
            }

            return path;
        }
    }

    private static Dictionary<TrafficClass, ClassTerms> ReadClasses(ScenarioElement classes)
    {
        var terms = new Dictionary<TrafficClass, ClassTerms>();
        foreach (var (name, element) in classes.Fields())
        {
            if (!Classes.TryGetValue(name, out var found))
            {
                element.Problem($"there is no such class; it must be one of {string.Join(", ", Classes.Keys)}.");
            }
            else if (!terms.TryAdd(found, new(element.Number("slackSeconds", Bound.NotNegative), element.Number("targetAttainment", Bound.Share))))
            {
                element.Problem("the class is named twice.");
            }
        }

        return terms;
    }

    private static ScenarioModel ReadModel(ScenarioElement element)
    {
        var model = new ScenarioModel
        {
            Model = element.Text("model"),
            Variants = [.. element.List("variants").Select(ReadVariant)],
            Lanes = [.. element.List("lanes").Select(ReadLane)],
        };
        Unique(element, "variants", "name", model.Variants.Select(static each => each.Name));
        Unique(element, "lanes", "lane", model.Lanes.Select(static each => each.Lane.ToString()));
        return model;
    }

    private static ScenarioVariant ReadVariant(ScenarioElement element) => new()
    {
        Name = element.Text("name"),
        Quality = element.Number("quality", Bound.Share, 1),
        InstanceType = element.Text("instanceType", ""),
        PricePerHour = element.Price("pricePerHourUsd"),
        Concurrency = element.Whole("concurrencyPerInstance", Bound.Positive),
        BaseSeconds = element.Number("baseSeconds", Bound.NotNegative, 0),
        PrefillTokensPerSecond = element.Number("prefillTokensPerSecond", Bound.Positive),
        DecodeTokensPerSecond = element.Has("decodeTokensPerSecond") ? element.Number("decodeTokensPerSecond", Bound.Positive) : null,
    };

    private static ScenarioLane ReadLane(ScenarioElement element)
    {
        var lane = new ScenarioLane
        {
            Lane = element.Named("lane", Lanes),
            MaxPayloadBytes = (long)element.Number("maxPayloadBytes", Bound.Positive, long.MaxValue),
            MaxServiceSeconds = element.Number("maxServiceSeconds", Bound.Positive),
        };
        switch (lane.Lane)
        {
            case Lane.Serverless:
                return lane with
                {
                    MemoryMb = element.Whole("memoryMb", Bound.Positive),
                    PricePerGbSecond = element.Price("pricePerGbSecondUsd"),
                    MaxConcurrency = element.Whole("maxConcurrency", Bound.Positive),
                    ColdStartSeconds = element.Number("coldStartSeconds", Bound.NotNegative),
                    KeepWarmSeconds = element.Number("keepWarmSeconds", Bound.NotNegative),
                    SpeedFactor = element.Number("speedFactor", Bound.Positive, 1),
                };
            case Lane.Batch:
                return lane with
                {
                    MaxJobs = element.Whole("maxJobs", Bound.Positive),
                    MaxInstancesPerJob = element.Whole("maxInstancesPerJob", Bound.Positive),
                    StartSeconds = element.Number("startSeconds", Bound.NotNegative),
                };
            default:
                lane = lane with
                {
                    MinInstances = element.Whole("minInstances", Bound.NotNegative, 0),
                    MaxInstances = element.Whole("maxInstances", Bound.Positive),
                    ProvisionSeconds = element.Number("provisionSeconds", Bound.NotNegative),
                };
                if (lane.MinInstances > lane.MaxInstances)
                {
                    element.Problem("minInstances", "is more than maxInstances; lower it.");
                }

                return lane;
        }
    }

    private static ScenarioTenant ReadTenant(ScenarioElement element, Dictionary<TrafficClass, ClassTerms>? terms, ImmutableArray<ScenarioModel> models)
    {
        var tenant = new ScenarioTenant
        {
            Tenant = element.Text("tenant"),
            Model = element.Text("model"),
            Client = element.Has("client") ? element.Text("client") : null,
            Class = element.Named("class", Classes),
            MinQuality = element.Number("minQuality", Bound.Share, 0),
            Share = element.Number("share", Bound.Positive, 1),
            Budget = element.Has("budget") ? ReadBudget(element.Object("budget")) : null,
        };
        if (terms is not null && !terms.ContainsKey(tenant.Class))
        {
            element.Problem("class", $"the class {tenant.Class} has no terms; state them under $.classes.{tenant.Class}.");
        }

        var model = models.FirstOrDefault(each => each.Model == tenant.Model);
        if (model is null && tenant.Model.Length > 0)
        {
            element.Problem("model", $"there is no model '{tenant.Model}'; it must be one of {string.Join(", ", models.Select(static each => each.Model))}.");
        }
        else if (model is { Variants.Length: > 0 } && model.Variants.Max(static each => each.Quality) < tenant.MinQuality)
        {
            element.Problem("minQuality", $"no variant of {tenant.Model} is of quality {tenant.MinQuality} or better; lower it.");
        }

        return tenant;
    }

    private static ScenarioBudget ReadBudget(ScenarioElement element)
    {
        var budget = new ScenarioBudget { Limit = element.Price("limitUsd"), WindowSeconds = element.Whole("windowSeconds", Bound.Window, 86_400) };
        return element.Has("lowBudget") ? budget with { LowBudget = [.. element.NamedList("lowBudget", Steps)] } : budget;
    }

    private static void Unique(ScenarioElement element, string list, string field, IEnumerable<string> names)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (index, name) in names.Index())
        {
            if (!seen.Add(name) && name.Length > 0)
            {
                element.Problem($"{list}[{index}].{field}", $"'{name}' is there twice; names must be unique.");
            }
        }
    }

    private static void CheckClients(Scenario scenario, IReadOnlyList<ScenarioElement> tenants, List<ScenarioProblem> problems)
    {
        HashSet<(string, string)>? clients = null;
        if (scenario.Trace.Clients is { } file && File.Exists(file))
        {
            try
            {
                clients = [.. ServeGenReader.ReadClients(file).Keys];
            }
            catch (ScenarioException wrong)
            {
                problems.AddRange(wrong.Problems);
            }
        }

        foreach (var (tenant, element) in scenario.Tenants.Zip(tenants))
        {
            if (tenant.Client is null)
            {
                element.Problem("client", "is missing; name the client of the trace that the tenant is.");
            }
            else if (clients is not null && tenant.Model.Length > 0 && !clients.Contains((tenant.Model, tenant.Client)))
            {
                element.Problem("client", $"the trace has no client '{tenant.Client}' of {tenant.Model}; name one that {scenario.Trace.Clients} lists.");
            }
        }
    }
}
