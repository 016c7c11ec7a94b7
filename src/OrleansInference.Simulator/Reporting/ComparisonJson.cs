using System.Buffers;
using System.Text.Json;
using OrleansInference.Simulator.Measures;

namespace OrleansInference.Simulator.Reporting;

/// <summary>A comparison as JSON. The same comparison gives the same bytes: no wall time is in it, and money is exact.</summary>
internal static class ComparisonJson
{
    private static readonly JsonWriterOptions Options = new() { Indented = true, NewLine = "\n" };
    private static readonly string[] Classes = Enum.GetNames<TrafficClass>();

    /// <summary>UTF-8, with a line's end at its end.</summary>
    public static byte[] Write(Comparison comparison)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, Options))
        {
            json.WriteStartObject();
            json.WriteString("scenario", comparison.Scenario.Name);
            json.WriteNumber("days", comparison.Scenario.Days);
            json.WriteNumber("rateScale", comparison.Scenario.RateScale);
            json.WriteNumber("seed", comparison.Scenario.Seed);
            json.WriteBoolean("oneChangeAtATime", comparison.Scenario.OneChangeAtATime);
            if (comparison.LowerBound is { } bound)
            {
                json.WriteNumber("lowerBoundUsd", bound.ToDollars());
            }
            else
            {
                json.WriteNull("lowerBoundUsd");
            }

            json.WriteStartArray("policies");
            foreach (var policy in comparison.Policies)
            {
                Write(json, comparison, policy);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        buffer.Write("\n"u8);
        return buffer.WrittenSpan.ToArray();
    }

    private static void Write(Utf8JsonWriter json, Comparison comparison, PolicyResult policy)
    {
        json.WriteStartObject();
        json.WriteString("name", policy.Name);
        json.WriteNumber("costUsd", policy.Cost.ToDollars());
        if (policy.LowerBound is { } bound)
        {
            json.WriteNumber("attainedLowerBoundUsd", bound.ToDollars());
        }
        else
        {
            json.WriteNull("attainedLowerBoundUsd");
        }

        json.WriteNumber("requests", policy.Requests);
        json.WriteNumber("infeasible", policy.Infeasible);
        ByClass(json, "attainment", policy, static tally => tally.Attainment);
        ByClass(json, "p50Seconds", policy, static tally => tally.LatencySeconds(0.5));
        ByClass(json, "p99Seconds", policy, static tally => tally.LatencySeconds(0.99));
        json.WriteNumber("instanceHours", policy.InstanceHours);
        json.WriteNumber("utilization", policy.Utilization);
        json.WriteNumber("scaleChanges", policy.ScaleChanges);
        json.WriteString("how", policy.How);
        json.WriteStartArray("lanes");
        foreach (var (lane, cost, served) in policy.Lanes)
        {
            json.WriteStartObject();
            json.WriteString("lane", lane.ToString());
            json.WriteNumber("costUsd", cost.ToDollars());
            json.WriteNumber("served", served);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("tenants");
        for (var i = 0; i < policy.Tenants.Length; i++)
        {
            var tenant = comparison.Scenario.Tenants[i];
            json.WriteStartObject();
            json.WriteString("tenant", tenant.Tenant);
            json.WriteString("model", tenant.Model);
            json.WriteString("class", tenant.Class.ToString());
            json.WriteNumber("costUsd", policy.TenantCosts[i].ToDollars());
            json.WriteNumber("requests", policy.Tenants[i].Requests);
            json.WriteNumber("attained", policy.Tenants[i].Attained);
            foreach (var budget in policy.Budgets.Where(budget => budget.Tenant == i))
            {
                Write(json, budget);
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, in BudgetResult budget)
    {
        json.WriteStartObject("budget");
        json.WriteNumber("limitUsd", budget.Limit.ToDollars());
        json.WriteNumber("windowSeconds", budget.WindowSeconds);
        json.WriteNumber("mostInWindowUsd", budget.MostInWindow.ToDollars());
        json.WriteNumber("chargedUsd", budget.Charged.ToDollars());
        json.WriteNumber("refused", budget.Refused);
        json.WriteNumber("held", budget.Held);
        json.WriteEndObject();
    }

    private static void ByClass(Utf8JsonWriter json, string name, PolicyResult policy, Func<ClassTally, double> value)
    {
        json.WriteStartObject(name);
        for (var i = 0; i < Classes.Length; i++)
        {
            json.WriteNumber(Classes[i], value(policy.Classes[i]));
        }

        json.WriteEndObject();
    }
}
