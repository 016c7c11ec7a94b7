using OrleansInference.Budgets;

namespace OrleansInference.Pricing;

/// <summary>The rules of the tenants of a catalog.</summary>
internal static class TenantValidation
{
    private const long MinRollingSeconds = 60;
    private const long MaxRollingSeconds = 31_622_400;
    private const int MaxBudgets = 16;
    private const double MaxRate = 1_000_000;
    private const int MaxBurst = 10_000_000;
    private const int MaxInFlight = 1_000_000;

    public static void Validate(CatalogDefinition catalog, Func<ModelName, bool> exists, ProblemList problems)
    {
        var tenants = new Dictionary<TenantId, string>();
        for (var i = 0; i < CatalogValidation.Length(catalog.Tenants); i++)
        {
            var tenant = catalog.Tenants[i];
            var path = $"tenants[{i}]";
            if (tenant.Id.Value.Length == 0 || !tenants.TryAdd(tenant.Id, path))
            {
                problems.Add($"{path}.id", tenant.Id.Value.Length == 0 ? $"the tenant has no id; give it {NameRule.Description}" : (FormattableString)$"tenant '{tenant.Id}' is already at {tenants[tenant.Id]}; rename one of the two");
            }

            Budgets(tenant, path, problems);
            Policy(tenant, path, problems);
            Limits(tenant, path, problems);
            Models(catalog, tenant, path, exists, problems);
        }
    }

    private static void Budgets(TenantDefinition tenant, string path, ProblemList problems)
    {
        var count = CatalogValidation.Length(tenant.Budgets);
        problems.Require(count <= MaxBudgets, $"{path}.budgets", $"{count} budgets are more than {MaxBudgets}; keep those that bind");
        for (var i = 0; i < count; i++)
        {
            var budget = tenant.Budgets[i];
            problems.Require(Enum.IsDefined(budget.Kind), $"{path}.budgets[{i}].kind", $"{(int)budget.Kind} is no window; use Rolling, CalendarDay or CalendarMonth");
            problems.RequireNotNegative(budget.Limit, $"{path}.budgets[{i}].limit");
            if (budget.Kind == BudgetWindowKind.Rolling)
            {
                problems.RequireRange(budget.Seconds, MinRollingSeconds, MaxRollingSeconds, $"{path}.budgets[{i}].seconds");
            }
        }

        problems.Require(TimeZoneInfo.TryFindSystemTimeZoneById(tenant.TimeZone ?? "", out _), $"{path}.timeZone", $"'{tenant.TimeZone}' is not a known time zone; use an IANA name such as Europe/Berlin");
    }

    private static void Policy(TenantDefinition tenant, string path, ProblemList problems)
    {
        problems.Require(Enum.IsDefined(tenant.ClassCeiling), $"{path}.classCeiling", $"{(int)tenant.ClassCeiling} is no class; use High, Medium or Low");
        problems.Require(Enum.IsDefined(tenant.DefaultClass), $"{path}.defaultClass", $"{(int)tenant.DefaultClass} is no class; use High, Medium or Low");
        problems.Require(Enum.IsDefined(tenant.Routing), $"{path}.routing", $"{(int)tenant.Routing} is no routing policy; use CheapestInTime or FixedRule");
        problems.Require(tenant.Weight is > 0 and <= 1e9, $"{path}.weight", $"{tenant.Weight} is no fair-share weight; give more than 0 and at most 1e9");
        var percents = tenant.AlertPercents;
        problems.Require(percents.IsDefault || percents.Length <= BudgetAlerts.MaxThresholds, $"{path}.alertPercents", $"more than {BudgetAlerts.MaxThresholds} thresholds; keep those that somebody acts on");
        for (var i = 0; i < CatalogValidation.Length(percents); i++)
        {
            problems.Require(percents[i] is >= 1 and <= 100 && (i == 0 || percents[i] > percents[i - 1]), $"{path}.alertPercents[{i}]", $"{percents[i]} is no threshold here; give whole percents from 1 to 100, each above the one before");
        }

        problems.RequireRange(tenant.MinQuality, 0, 1, $"{path}.minQuality");
        problems.RequireRange(tenant.BestEffortProbability, 0, 1, $"{path}.bestEffortProbability");
        var ended = false;
        for (var i = 0; i < CatalogValidation.Length(tenant.LowBudget); i++)
        {
            var step = tenant.LowBudget[i];
            problems.Require(Enum.IsDefined(step), $"{path}.lowBudget[{i}]", $"{(int)step} is no step; use CheaperLane, SmallerVariant, Hold or Refuse");
            problems.Require(!ended, $"{path}.lowBudget[{i}]", $"{step} comes after Hold or Refuse and is never reached; move it forward or remove it");
            problems.Require(tenant.LowBudget.IndexOf(step) == i, $"{path}.lowBudget[{i}]", $"{step} is listed twice; remove one");
            ended |= step is LowBudgetStep.Hold or LowBudgetStep.Refuse;
        }
    }

    private static void Limits(TenantDefinition tenant, string path, ProblemList problems)
    {
        for (var i = 0; i < CatalogValidation.Length(tenant.Limits); i++)
        {
            var limit = tenant.Limits[i];
            var at = $"{path}.limits[{i}]";
            if (limit is null)
            {
                problems.Add(at, $"it is null; describe it or remove it");
                continue;
            }

            problems.Require(limit.Class is not { } only || Enum.IsDefined(only), $"{at}.class", $"{(int?)limit.Class} is no class; use High, Medium or Low, or leave it out for all");
            problems.RequireRange(limit.RequestsPerSecond, 0, MaxRate, $"{at}.requestsPerSecond");
            problems.RequireRange(limit.Burst, 0, MaxBurst, $"{at}.burst");
            problems.RequireRange(limit.MaxInFlight, 0, MaxInFlight, $"{at}.maxInFlight");
            problems.Require(limit.RequestsPerSecond != 0 || limit.MaxInFlight != 0, at, $"it limits nothing; give requestsPerSecond, maxInFlight or both, or remove it");
            problems.Require(limit.Burst == 0 || limit.RequestsPerSecond != 0, $"{at}.burst", $"{limit.Burst} has no effect without requestsPerSecond; give that, or remove it");
            for (var j = 0; j < i; j++)
            {
                problems.Require(tenant.Limits[j]?.Class != limit.Class || tenant.Limits[j] is null, $"{at}.class", $"the limit of {(limit.Class is { } known ? $"class {known}" : "all classes")} is already at {path}.limits[{j}]; put both into one");
            }
        }
    }

    private static void Models(CatalogDefinition catalog, TenantDefinition tenant, string path, Func<ModelName, bool> exists, ProblemList problems)
    {
        var allowed = CatalogValidation.Length(tenant.Models);
        for (var i = 0; i < allowed; i++)
        {
            problems.Require(exists(tenant.Models[i]), $"{path}.models[{i}]", $"there is no model '{tenant.Models[i]}'; add it to models or remove it here");
        }

        double best = -1;
        var tooLow = new List<(int Named, ModelName Model, double Best)>();
        for (var i = 0; i < CatalogValidation.Length(catalog.Models); i++)
        {
            var model = catalog.Models[i];
            var named = allowed == 0 ? -1 : tenant.Models.IndexOf(model.Name);
            if (allowed > 0 && named < 0)
            {
                continue;
            }

            double of = -1;
            for (var j = 0; j < CatalogValidation.Length(model.Variants); j++)
            {
                of = Math.Max(of, model.Variants[j].Quality);
            }

            best = Math.Max(best, of);
            if (named >= 0 && of >= 0 && tenant.MinQuality > of)
            {
                tooLow.Add((named, model.Name, of));
            }
        }

        if (tenant.MinQuality <= best)
        {
            foreach (var (named, model, of) in tooLow)
            {
                problems.Add($"{path}.models[{named}]", $"the best variant of '{model}' has quality {of}, below the tenant's minQuality of {tenant.MinQuality}, so no request could be routed; lower the floor or remove the model here");
            }
        }

        problems.Require(best < 0 || tenant.MinQuality <= best, $"{path}.minQuality", $"{tenant.MinQuality} is above every variant of every model the tenant may use (the best has {best}); lower it to that");
    }
}
