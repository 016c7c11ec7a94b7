using System.Buffers;
using System.Collections.Immutable;
using System.Text.Json;

namespace OrleansInference.Simulator.Advice;

/// <summary>Advice as JSON. The same report gives the same bytes.</summary>
internal static class AdviceJson
{
    private const string Note = "Each saving is for its change alone. They overlap and do not add up.";
    private static readonly JsonWriterOptions Options = new() { Indented = true, NewLine = "\n" };
    private static readonly string[] Classes = Enum.GetNames<TrafficClass>();

    /// <summary>UTF-8, with a line's end at its end.</summary>
    public static byte[] Write(AdviceReport report)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, Options))
        {
            json.WriteStartObject();
            if (report.Policy is null)
            {
                json.WriteString("statistics", report.Source);
            }
            else
            {
                json.WriteString("scenario", report.Source);
                json.WriteString("policy", report.Policy);
                json.WriteNumber("days", report.Days!.Value);
                json.WriteNumber("rateScale", report.RateScale!.Value);
                json.WriteNumber("seed", report.Seed!.Value);
            }

            if (report.Today is { } today)
            {
                Write(json, "today", today);
            }

            json.WriteNumber("largestSavingUsdPerMonth", Round(report.LargestUsdPerMonth));
            json.WriteString("note", Note);
            json.WriteNumber("simulations", report.Simulations);
            Write(json, "advices", report.Advices);
            Write(json, "heldBack", report.HeldBack);
            json.WriteEndObject();
        }

        buffer.Write("\n"u8);
        return buffer.WrittenSpan.ToArray();
    }

    private static void Write(Utf8JsonWriter json, string name, ImmutableArray<Advice> advices)
    {
        json.WriteStartArray(name);
        foreach (var advice in advices)
        {
            json.WriteStartObject();
            json.WriteString("kind", advice.Kind.ToString());
            json.WriteString("subject", advice.Subject);
            json.WriteNumber("savesUsdPerMonth", Round(advice.SavesUsdPerMonth));
            json.WriteBoolean("isEstimate", advice.IsEstimate);
            json.WriteString("what", advice.What);
            json.WriteString("why", advice.Why);
            json.WriteString("do", advice.Do);
            if (advice is { Before: { } before, After: { } after })
            {
                Write(json, "before", before);
                Write(json, "after", after);
            }

            Write(json, advice.Missed);
            json.WriteStartArray("simulated");
            foreach (var each in advice.Simulated)
            {
                json.WriteStartObject();
                json.WriteString("change", each.Change);
                json.WriteNumber("savesUsdPerMonth", Round(each.SavesUsdPerMonth));
                Write(json, "after", each.After);
                Write(json, each.Missed);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, ImmutableArray<TrafficClass> missed)
    {
        json.WriteStartArray("belowTarget");
        foreach (var each in missed)
        {
            json.WriteStringValue(each.ToString());
        }

        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, string name, FleetFigures figures)
    {
        json.WriteStartObject(name);
        json.WriteNumber("usdPerMonth", Round(figures.UsdPerMonth));
        json.WriteStartObject("attainment");
        for (var i = 0; i < Classes.Length; i++)
        {
            if (figures.Attainment[i] is { } share)
            {
                json.WriteNumber(Classes[i], share);
            }
            else
            {
                json.WriteNull(Classes[i]);
            }
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static double Round(double dollars) => Math.Round(dollars, 4);
}
