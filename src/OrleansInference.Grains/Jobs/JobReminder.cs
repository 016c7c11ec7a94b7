using System.Globalization;

namespace OrleansInference.Jobs;

/// <summary>
/// A job's reminder. It is the one thing that is durable before the reservation, so its name says what the audit log needs to know if the
/// job itself never becomes durable, and where its input would lie.
/// </summary>
internal sealed record JobReminder(long AcceptedAt, long Deadline, string DecisionId, TrafficClass Class, Lane Lane, ModelName Model, EndpointName Endpoint)
{
    public string Name => string.Create(CultureInfo.InvariantCulture, $"job/{AcceptedAt}/{Deadline}/{Class}/{Lane}/{Model}/{Endpoint}/{DecisionId}");

    /// <summary>Key of the input object of this submission: no other's, so that what it left is found by the reminder alone.</summary>
    public string InputKeyOf(JobAddress address) => InputKeyOf(address, AcceptedAt, DecisionId);

    public static string InputKeyOf(JobAddress address, long acceptedAt, string decisionId) => address.InputKey(string.Create(CultureInfo.InvariantCulture, $"{acceptedAt}-{decisionId}"));

    public static JobReminder Of(JobSpecification specification) => new(
        specification.AcceptedAt,
        specification.Deadline,
        specification.Route.DecisionId,
        specification.Route.Class,
        specification.Route.Lane,
        specification.Request.Model,
        specification.Route.Endpoint);

    public static JobReminder? Parse(string name) =>
        name.Split('/', 8) is ["job", var accepted, var until, var kind, var lane, var model, var endpoint, var decision]
        && long.TryParse(accepted, NumberStyles.None, CultureInfo.InvariantCulture, out var acceptedAt)
        && long.TryParse(until, NumberStyles.None, CultureInfo.InvariantCulture, out var deadline)
        && Enum.TryParse<TrafficClass>(kind, out var trafficClass)
        && Enum.TryParse<Lane>(lane, out var chosen)
        && ModelName.TryParse(model, out var modelName)
        && EndpointName.TryParse(endpoint, out var endpointName)
            ? new(acceptedAt, deadline, decision, trafficClass, chosen, modelName, endpointName)
            : null;
}
