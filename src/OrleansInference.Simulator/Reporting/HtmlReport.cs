namespace OrleansInference.Simulator.Reporting;

/// <summary>A comparison as one HTML page.</summary>
internal static class HtmlReport
{
    /// <summary>UTF-8.</summary>
    public static byte[] Write(Comparison comparison) => System.Text.Encoding.UTF8.GetBytes(comparison.Scenario.Name);
}
