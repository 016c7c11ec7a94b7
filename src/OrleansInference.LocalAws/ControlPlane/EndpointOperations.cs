using System.Text.Json;
using OrleansInference.LocalAws.Models;
using OrleansInference.LocalAws.Objects;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.ControlPlane;

/// <summary>DescribeEndpoint, ListEndpoints and UpdateEndpointWeightsAndCapacities.</summary>
internal sealed class EndpointOperations(SimulatedModels models, LocalAwsOptions options)
{
    private const int MaxInstances = 1000;

    public object Describe(JsonElement input)
    {
        var endpoint = Find(input);
        var state = endpoint.Instances.State;
        var variant = new Dictionary<string, object>
        {
            ["VariantName"] = endpoint.Variant,
            ["CurrentWeight"] = 1.0,
            ["DesiredWeight"] = 1.0,
        };
        if (endpoint.Lane == Lane.Serverless)
        {
            var serverless = new Dictionary<string, object> { ["MemorySizeInMB"] = endpoint.Definition.MemoryMb, ["MaxConcurrency"] = endpoint.Definition.MaxInstances };
            variant["CurrentServerlessConfig"] = Provisioned(serverless, state.Current);
            variant["DesiredServerlessConfig"] = Provisioned(serverless, state.Desired);
        }
        else
        {
            variant["CurrentInstanceCount"] = state.Current;
            variant["DesiredInstanceCount"] = state.Desired;
        }

        var answer = Summary(endpoint);
        answer["EndpointConfigName"] = endpoint.Name + "-config";
        answer["ProductionVariants"] = new[] { variant };
        if (endpoint.Lane == Lane.Async)
        {
            answer["AsyncInferenceConfig"] = new Dictionary<string, object>
            {
                ["ClientConfig"] = new Dictionary<string, object> { ["MaxConcurrentInvocationsPerInstance"] = endpoint.Definition.ConcurrencyPerInstance },
                ["OutputConfig"] = new Dictionary<string, object>
                {
                    ["S3OutputPath"] = new S3Location(options.PayloadBucket, $"async-endpoints/{endpoint.Name}/output/").ToString(),
                    ["S3FailurePath"] = new S3Location(options.PayloadBucket, $"async-endpoints/{endpoint.Name}/failure/").ToString(),
                },
            };
        }

        return answer;
    }

    public object List(JsonElement input)
    {
        var contains = input.Text("NameContains") ?? "";
        var status = input.Text("StatusEquals");
        var endpoints = models.Endpoints.Where(e => e.Name.Contains(contains, StringComparison.OrdinalIgnoreCase)).Select(Summary).Where(e => status is null || status.Equals(e["EndpointStatus"]));
        return new Dictionary<string, object> { ["Endpoints"] = endpoints.Take(input.Integer("MaxResults") ?? 100) };
    }

    public object Update(JsonElement input)
    {
        var endpoint = Find(input);
        var wanted = input.List("DesiredWeightsAndCapacities").ToList();
        if (wanted.Count != 1 || wanted[0].Text("VariantName") is not { } variant)
        {
            throw Invalid("DesiredWeightsAndCapacities must name the one variant that the endpoint has.");
        }

        if (variant != endpoint.Variant)
        {
            throw Invalid($"Variant {variant} was not found for endpoint {endpoint.Name}; it has {endpoint.Variant}.");
        }

        if (wanted[0].Integer("DesiredInstanceCount") is { } count)
        {
            Scale(endpoint, count);
        }
        else if (wanted[0].Object("ServerlessUpdateConfig") is { } serverless)
        {
            Provision(endpoint, serverless);
        }

        return new Dictionary<string, object> { ["EndpointArn"] = Arn(endpoint.Name) };
    }

    private static Dictionary<string, object> Provisioned(Dictionary<string, object> config, int executions) =>
        executions > 0 ? new(config) { ["ProvisionedConcurrency"] = executions } : config;

    private void Provision(SimulatedEndpoint endpoint, JsonElement config)
    {
        if (endpoint.Lane != Lane.Serverless)
        {
            throw Invalid($"Endpoint {endpoint.Name} is not serverless.");
        }

        if (config.Integer("ProvisionedConcurrency") is not { } executions || executions < 1 || executions > endpoint.Definition.MaxInstances)
        {
            throw Invalid($"ProvisionedConcurrency must be 1 to the endpoint's MaxConcurrency, {endpoint.Definition.MaxInstances}.");
        }

        if (!models.TryScale(endpoint, executions))
        {
            throw Invalid($"Cannot update in-progress endpoint \"{Arn(endpoint.Name)}\". Wait until it is InService.");
        }
    }

    private static AwsFault Invalid(string message) => new(400, "ValidationException", message);

    private void Scale(SimulatedEndpoint endpoint, int count)
    {
        if (endpoint.Lane == Lane.Serverless)
        {
            throw Invalid($"Endpoint {endpoint.Name} is serverless and has no instances.");
        }

        var least = endpoint.Lane == Lane.Realtime ? 1 : 0;
        if (count < least || count > MaxInstances)
        {
            throw Invalid($"DesiredInstanceCount {count} is outside {least}..{MaxInstances} for endpoint {endpoint.Name}.");
        }

        if (!models.TryScale(endpoint, count))
        {
            throw Invalid($"Cannot update in-progress endpoint \"{Arn(endpoint.Name)}\". Wait until it is InService.");
        }
    }

    private Dictionary<string, object> Summary(SimulatedEndpoint endpoint) => new()
    {
        ["EndpointName"] = endpoint.Name,
        ["EndpointArn"] = Arn(endpoint.Name),
        ["EndpointStatus"] = endpoint.Instances.State.Updating ? "Updating" : "InService",
        ["CreationTime"] = JsonWire.Seconds(endpoint.CreatedAt),
        ["LastModifiedTime"] = JsonWire.Seconds(endpoint.ChangedAt),
    };

    private SimulatedEndpoint Find(JsonElement input)
    {
        var name = input.Text("EndpointName") ?? throw Invalid("EndpointName is required.");
        return models.FindEndpoint(name) ?? throw Invalid($"Could not find endpoint \"{Arn(name)}\".");
    }

    private string Arn(string name) => $"arn:aws:sagemaker:{options.Region}:{LocalAwsOptions.AccountId}:endpoint/{name}";
}
