using System.Globalization;
using OrleansInference.Pricing;
using OrleansInference.Routing;

namespace OrleansInference.Dispatch;

/// <summary>
/// What a call used, and so what it is charged. The rule, for calls as for jobs: what is known to have run on a model is paid for by its
/// use, answered or not, never above the cap. So an answer is charged in full; a call that the model failed (424), that ran into
/// its time limit or that the caller broke off is charged its slot time, its request, its input and the part of its output that
/// was relayed. A call that was not sent, was refused or throttled by AWS, or failed for a reason of AWS's (5xx, connection)
/// before it gave anything is charged nothing.
/// </summary>
internal static class ModelUse
{
    private const int BytesPerToken = 4;
    public const string InputTokens = "input-tokens";
    public const string OutputTokens = "output-tokens";

    /// <summary>Tokens estimated from bytes.</summary>
    public static int Estimate(long bytes) => (int)Math.Min(int.MaxValue, (bytes + BytesPerToken - 1) / BytesPerToken);

    /// <summary>The charge of an answer.</summary>
    public static Money OfAnswer(Tariff tariff, in RouteRequest request, Money cap, double milliseconds, string? attributes, long bytesOut) => TariffCalculator.Charge(
        tariff,
        new Use
        {
            SlotMilliseconds = Whole(milliseconds),
            Requests = 1,
            InputTokens = Read(attributes, InputTokens) ?? request.InputTokens,
            OutputTokens = Read(attributes, OutputTokens) ?? Estimate(bytesOut),
            Bytes = request.PayloadBytes + bytesOut,
        },
        cap);

    /// <summary>The charge of a call that ran and gave no whole answer.</summary>
    /// <param name="tariff">Of where it ran.</param>
    /// <param name="request">The request.</param>
    /// <param name="cap">What was reserved.</param>
    /// <param name="milliseconds">How long it kept its slot.</param>
    /// <param name="attributes">The model's custom attributes, as far as it sent them.</param>
    /// <param name="relayed">Bytes of output that the caller was given. They count as tokens by their size, at most as many as the model says the whole has.</param>
    public static Money OfFailure(Tariff tariff, in RouteRequest request, Money cap, double milliseconds, string? attributes, long relayed) => TariffCalculator.Charge(
        tariff,
        new Use
        {
            SlotMilliseconds = Whole(milliseconds),
            Requests = 1,
            InputTokens = Read(attributes, InputTokens) ?? request.InputTokens,
            OutputTokens = Math.Min(Estimate(relayed), Read(attributes, OutputTokens) ?? int.MaxValue),
            Bytes = request.PayloadBytes + relayed,
        },
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
