using System.Globalization;
using OrleansInference.Pricing;
using OrleansInference.Routing;

namespace OrleansInference.Dispatch;

/// <summary>
/// What a call used, and so what it is charged. The rule: what ran is paid for by its measured use, never above the cap.
/// So an answer is charged in full; a call that the model failed (424), that ran into its time limit or that the caller
/// gave up is charged its slot time, its request and its input, as it kept a slot busy, but no output. A call that was not
/// sent, was refused or throttled by AWS, or failed for a reason of AWS's (5xx, connection) is charged nothing.
/// </summary>
internal static class ModelUse
{
    private const int BytesPerToken = 4;
    private const string InputTokens = "input-tokens";
    private const string OutputTokens = "output-tokens";

    /// <summary>Tokens estimated from bytes.</summary>
    public static int Estimate(long bytes) => (int)Math.Min(int.MaxValue, (bytes + BytesPerToken - 1) / BytesPerToken);

    /// <summary>The charge of an answer.</summary>
    public static Money OfAnswer(Candidate candidate, in RouteRequest request, Money cap, double milliseconds, string? attributes, long bytesOut) => TariffCalculator.Charge(
        candidate.Tariff,
        new Use
        {
            SlotMilliseconds = Whole(milliseconds),
            Requests = 1,
            InputTokens = Read(attributes, InputTokens) ?? request.InputTokens,
            OutputTokens = Read(attributes, OutputTokens) ?? Estimate(bytesOut),
            Bytes = request.PayloadBytes + bytesOut,
        },
        cap);

    /// <summary>The charge of a call that ran and gave no answer.</summary>
    public static Money OfFailure(Candidate candidate, in RouteRequest request, Money cap, double milliseconds) => TariffCalculator.Charge(
        candidate.Tariff,
        new Use { SlotMilliseconds = Whole(milliseconds), Requests = 1, InputTokens = request.InputTokens, Bytes = request.PayloadBytes },
        cap);

    /// <summary>What AWS bills for the call beyond instances.</summary>
    public static Money OperatorCostOf(RoutingTable table, Candidate candidate, double milliseconds, long bytes) => candidate.Lane == Lane.Serverless
        ? OperatorCost.OfServerless(table.Snapshot.InstanceSecondCosts.GetValueOrDefault(candidate.Endpoint.Name), Whole(milliseconds), table.Snapshot.ServerlessPerGigabyteTransferred, bytes)
        : Money.Zero;

    /// <summary>A count that the model states in its custom attributes, as <c>name=count</c> pairs separated by semicolons; null if it states none.</summary>
    public static int? Read(string? attributes, string name)
    {
        foreach (var range in attributes.AsSpan().Split(';'))
        {
            var pair = attributes.AsSpan()[range].Trim();
            if (pair.Length > name.Length + 1 && pair[name.Length] == '=' && pair.StartsWith(name, StringComparison.OrdinalIgnoreCase)
                && int.TryParse(pair[(name.Length + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var count))
            {
                return count;
            }
        }

        return null;
    }

    private static long Whole(double milliseconds) => (long)Math.Ceiling(Math.Max(0, milliseconds));
}
