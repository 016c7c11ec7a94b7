namespace OrleansInference.Pricing;

/// <summary>The rules of shared endpoints and of the models on them.</summary>
internal static class SharedEndpointValidation
{
    // SageMaker's limit on TargetModel.
    private const int MaxTargetModel = 1024;
    private const int MaxLoadedModels = 10_000;
    private static readonly EndpointDefinition Unset = new() { Name = new("unset"), Lane = Lane.Realtime };

    /// <summary>A shared endpoint itself.</summary>
    public static void Validate(EndpointDefinition host, string path, PriceTable prices, ProblemList problems)
    {
        EndpointValidation.Validate(host, path, prices, problems);
        problems.Require(host.Lane == Lane.Realtime, $"{path}.lane", $"lane {host.Lane} serves one model an endpoint here; only Realtime endpoints are shared");
        problems.RequireRange(host.LoadedModels, 1, MaxLoadedModels, $"{path}.loadedModels");
        problems.Require(host.Shared is null, $"{path}.shared", $"a shared endpoint has instances of its own; remove it");
        problems.Require(host.TargetModel is null, $"{path}.targetModel", $"its models are named where they use it; remove it");
        problems.Require(host.ServesDeferred != true, $"{path}.servesDeferred", $"jobs wait for endpoints with instances of their own; set it to false");
        problems.Require(host.Tariff is null, $"{path}.tariff", $"tenants pay for models; give the tariff where they use the endpoint, or leave it out for the price of the slot time");
    }

    /// <summary>A variant's endpoint that has, or should have, instances of its own.</summary>
    public static void ValidateUnshared(EndpointDefinition endpoint, string path, ProblemList problems)
    {
        problems.Require(endpoint.TargetModel is null, $"{path}.targetModel", $"it is for models on a shared endpoint; set shared, or remove it");
        problems.Require(endpoint.LoadedModels == 0, $"{path}.loadedModels", $"it is for entries of sharedEndpoints; remove it");
    }

    /// <summary>A variant's endpoint on a shared one. What it takes from there must not be stated.</summary>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="path">Where it is.</param>
    /// <param name="host">The shared one; null if there is none of that name.</param>
    /// <param name="targets">Where each model of each shared endpoint was seen.</param>
    /// <param name="problems">Takes what is wrong.</param>
    /// <returns>Whether the endpoint is whole, so that the other rules can be applied.</returns>
    public static bool ValidateShared(EndpointDefinition endpoint, string path, EndpointDefinition? host, Dictionary<(EndpointName, string), string> targets, ProblemList problems)
    {
        var name = endpoint.Shared!.Value;
        problems.Require(host is not null, $"{path}.shared", $"there is no shared endpoint '{name}'; add it to sharedEndpoints");
        if (string.IsNullOrEmpty(endpoint.TargetModel))
        {
            problems.Add($"{path}.targetModel", $"a model on a shared endpoint is named by its archive there; give it, such as 'chat.tar.gz'");
        }
        else if (endpoint.TargetModel.Length > MaxTargetModel || !endpoint.TargetModel.All(static c => c is > ' ' and <= '~'))
        {
            problems.Add($"{path}.targetModel", $"it is no archive's name; give 1 to {MaxTargetModel} visible ASCII characters");
        }
        else if (!targets.TryAdd((name, endpoint.TargetModel), path))
        {
            problems.Add($"{path}.targetModel", $"'{endpoint.TargetModel}' of '{name}' is already at {targets[(name, endpoint.TargetModel)]}; let one model have it");
        }

        problems.Require(endpoint.Lane == Lane.Realtime, $"{path}.lane", $"shared endpoints are Realtime, this says {endpoint.Lane}; set it to Realtime");
        Inherited(string.IsNullOrEmpty(endpoint.InstanceType), "instanceType");
        Inherited(endpoint.ServesDeferred is null, "servesDeferred");
        Inherited(endpoint.ConcurrencyPerInstance == Unset.ConcurrencyPerInstance, "concurrencyPerInstance");
        Inherited(endpoint.MinInstances == Unset.MinInstances, "minInstances");
        Inherited(endpoint.MaxInstances == Unset.MaxInstances, "maxInstances");
        Inherited(endpoint.MemoryMb == Unset.MemoryMb, "memoryMb");
        Inherited(endpoint.MaxPayloadBytes == Unset.MaxPayloadBytes, "maxPayloadBytes");
        Inherited(endpoint.MaxServiceSeconds == Unset.MaxServiceSeconds, "maxServiceSeconds");
        Inherited(endpoint.Target is null, "target");
        Inherited(!endpoint.Streaming, "streaming");
        Inherited(endpoint.MaxProvisioned == 0, "maxProvisioned");
        Inherited(endpoint.Scaling == ScalingMode.Managed, "scaling");
        Inherited(endpoint.LoadedModels == 0, "loadedModels");
        return host is not null && endpoint.Lane == Lane.Realtime;

        void Inherited(bool isUnset, string field) =>
            problems.Require(isUnset, $"{path}.{field}", $"it is taken from shared endpoint '{name}'; remove it here");
    }
}
