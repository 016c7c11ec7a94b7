using System.Diagnostics;
using System.Diagnostics.Metrics;
using OrleansInference.Budgets;
using OrleansInference.Routing;

namespace OrleansInference.Telemetry;

/// <summary>The names under which the router measures and traces itself, and its instruments.</summary>
public static class RouterTelemetry
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "OrleansInference";

    /// <summary>Name of the activity source.</summary>
    public const string ActivitySourceName = "OrleansInference";

    private const double NanosPerDollar = 1e9;

    private static readonly Meter Meter = new(MeterName);

    private static readonly Counter<long> Requests = Meter.CreateCounter<long>("orleans_inference.requests", "{request}", "Requests and jobs by lane, class and outcome.");

    private static readonly Histogram<double> Latency = Meter.CreateHistogram<double>("orleans_inference.latency", "s", "Arrival to answer of answered requests, by lane and class.");

    private static readonly Counter<long> Errors = Meter.CreateCounter<long>("orleans_inference.errors", "{error}", "Refusals and failures by class and code.");

    private static readonly Counter<long> Refusals = Meter.CreateCounter<long>("orleans_inference.refusals", "{request}", "Requests that the front door refused or failed to answer, by status and code, whether or not they got as far as a route.");

    private static readonly Counter<double> Charges = Meter.CreateCounter<double>("orleans_inference.charges", "{USD}", "What tenants were charged, by lane and class.");

    private static readonly Counter<double> Costs = Meter.CreateCounter<double>("orleans_inference.use_cost", "{USD}", "What AWS bills for serverless use, by lane. Instances are booked by their endpoints.");

    private static readonly Counter<long> BudgetAlerts = Meter.CreateCounter<long>("orleans_inference.budget_alerts", "{alert}", "Budget thresholds reached, by tenant, window and percent.");

    private static readonly Counter<long> Quotes = Meter.CreateCounter<long>("orleans_inference.quotes", "{request}", "Requests by lane, class, the probability of being in time that they were quoted (the lower edge of its bin), and whether they were.");

    private static readonly Counter<long> Hedges = Meter.CreateCounter<long>("orleans_inference.hedges", "{try}", "Second tries beside a first, by class and whether theirs was the answer.");

    private static readonly Counter<long> QueueMessages = Meter.CreateCounter<long>("orleans_inference.queue_messages", "{message}", "Messages received from queues, by queue and what became of them.");

    private static readonly Counter<long> Replies = Meter.CreateCounter<long>("orleans_inference.replies", "{message}", "Ends told to queues and webhooks, by state.");

    private static readonly Counter<long> RepliesGivenUp = Meter.CreateCounter<long>("orleans_inference.replies_given_up", "{message}", "Ends that could not be told to a queue or a webhook as long as it is tried.");

    private static readonly Counter<long> WebhookTries = Meter.CreateCounter<long>("orleans_inference.webhook_tries", "{try}", "Posts to webhooks by outcome.");

    private static readonly Histogram<double> WebhookSeconds = Meter.CreateHistogram<double>("orleans_inference.webhook_duration", "s", "Post to a webhook to its answer, by outcome.");

    private static readonly Counter<long> CapturedCalls = Meter.CreateCounter<long>("orleans_inference.captured_calls", "{call}", "Calls chosen for data capture, by what became of them.");

    private static readonly Counter<long> TableFailures = Meter.CreateCounter<long>("orleans_inference.table_failures", "{call}", "Calls of tables that failed after their repetitions, by table.");

    // Indexed by value: an enum's own text is looked up anew each time.
    private static readonly string[] Lanes = Enum.GetNames<Lane>();
    private static readonly string[] Classes = Enum.GetNames<TrafficClass>();

    /// <summary>Traces of requests.</summary>
    internal static ActivitySource Activities { get; } = new(ActivitySourceName);

    /// <summary>Counts a request that the front door refused or failed to answer.</summary>
    /// <param name="status">The status that it was answered with.</param>
    /// <param name="code">The refusal's code.</param>
    public static void Refused(int status, string code) => Refusals.Add(1, new TagList { { "status", status }, { "code", code } });

    /// <summary>Counts a message of a queue.</summary>
    /// <param name="queue">The queue as it is configured.</param>
    /// <param name="outcome">What became of the message.</param>
    public static void Received(string queue, string outcome) => QueueMessages.Add(1, new TagList { { "queue", queue }, { "outcome", outcome } });

    /// <summary>Counts calls that were chosen for data capture.</summary>
    /// <param name="outcome">What became of them: written, dropped (too many waited), unredactable or failed.</param>
    /// <param name="calls">How many.</param>
    public static void Captured(string outcome, int calls) => CapturedCalls.Add(calls, new TagList { { "outcome", outcome } });

    /// <summary>Counts a try to post to a webhook.</summary>
    /// <param name="outcome">What became of it.</param>
    /// <param name="seconds">How long it took on the wall; null if nothing was posted.</param>
    public static void WebhookTried(string outcome, double? seconds)
    {
        WebhookTries.Add(1, new TagList { { "outcome", outcome } });
        if (seconds is { } took)
        {
            WebhookSeconds.Record(took, new TagList { { "outcome", outcome } });
        }
    }

    /// <summary>Counts a call of a table that failed after its repetitions.</summary>
    /// <param name="table">The table.</param>
    public static void TableFailed(string table) => TableFailures.Add(1, new TagList { { "table", table } });

    internal static void ReplyGivenUp() => RepliesGivenUp.Add(1);

    internal static void Replied(string state) => Replies.Add(1, new TagList { { "state", state } });

    internal static void Answered(Lane lane, TrafficClass trafficClass, double seconds)
    {
        if (!Latency.Enabled && !Requests.Enabled)
        {
            return;
        }

        var tags = new TagList { { "lane", Lanes[(int)lane] }, { "class", Classes[(int)trafficClass] } };
        Latency.Record(seconds, tags);
        tags.Add("outcome", "answered");
        Requests.Add(1, tags);
    }

    internal static void Kept(Lane lane, TrafficClass trafficClass, double predicted, bool inTime)
    {
        if (Quotes.Enabled)
        {
            Quotes.Add(1, new TagList { { "lane", Lanes[(int)lane] }, { "class", Classes[(int)trafficClass] }, { "quoted", Calibration.FloorOf(predicted) }, { "outcome", inTime ? "in_time" : "late" } });
        }
    }

    internal static void Hedged(TrafficClass trafficClass, bool hasWon) =>
        Hedges.Add(1, new TagList { { "class", Classes[(int)trafficClass] }, { "outcome", hasWon ? "won" : "lost" } });

    internal static void BudgetReached(BudgetAlert alert) =>
        BudgetAlerts.Add(1, new TagList { { "tenant", alert.Tenant.Value }, { "window", alert.Window.Kind.ToString() }, { "percent", alert.Percent } });

    internal static void Failed(Lane? lane, TrafficClass trafficClass, ProblemCode code)
    {
        Requests.Add(1, new TagList { { "lane", lane?.ToString() ?? "None" }, { "class", trafficClass.ToString() }, { "outcome", "failed" } });
        Errors.Add(1, new TagList { { "class", trafficClass.ToString() }, { "code", code.ToString() } });
    }

    internal static void Charged(Lane lane, TrafficClass trafficClass, Money charge, Money useCost)
    {
        if (charge > Money.Zero && Charges.Enabled)
        {
            Charges.Add(charge.Nanos / NanosPerDollar, new TagList { { "lane", Lanes[(int)lane] }, { "class", Classes[(int)trafficClass] } });
        }

        if (useCost > Money.Zero && Costs.Enabled)
        {
            Costs.Add(useCost.Nanos / NanosPerDollar, new TagList { { "lane", Lanes[(int)lane] } });
        }
    }
}
