namespace OrleansInference.FrontDoor;

/// <summary>The route that was taken, as answer headers of both dialects.</summary>
internal static class RouteHeaders
{
    public const string JobId = "X-Inference-Job-Id";
    public const string DecisionId = "X-Inference-Decision-Id";
    public const string Charge = "X-Inference-Charge";
    private static readonly string[] Classes = Enum.GetNames<TrafficClass>();
    private static readonly string[] Lanes = Enum.GetNames<Lane>();

    /// <summary>Marks the outcome of an earlier request with the same idempotency key.</summary>
    public static void WriteReplay(IHeaderDictionary headers, InferenceOutcome outcome)
    {
        if (outcome.IsReplay)
        {
            headers["X-Inference-Idempotent-Replay"] = "true";
        }
    }

    public static void Write(IHeaderDictionary headers, RouteTaken? route, bool chargeIsFinal)
    {
        if (route is null)
        {
            return;
        }

        headers[DecisionId] = route.DecisionId;
        headers["X-Inference-Class"] = Classes[(int)route.Class];
        headers["X-Inference-Lane"] = Lanes[(int)route.Lane];
        headers["X-Inference-Endpoint"] = route.Endpoint.Value;
        headers["X-Inference-Variant"] = route.Variant.Value;
        headers["X-Inference-Charge-Cap"] = route.ChargeCap.ToString();
        if (chargeIsFinal)
        {
            headers[Charge] = route.Charge.ToString();
        }
    }
}
