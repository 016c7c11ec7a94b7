using OrleansInference.Batch;

namespace OrleansInference.Pricing;

/// <summary>The rules of one endpoint: SageMaker's limits by lane, and what pricing and routing need.</summary>
internal static class EndpointValidation
{
    private const double MaxRealtimeSeconds = 60;
    private const double MaxDeferredSeconds = 3600;
    private const long MaxRealtimeBytes = 6_291_456;
    private const long MaxAsyncBytes = 1_073_741_824;
    private const long MaxBatchBytes = 104_857_600;
    private const int MaxConcurrencyPerInstance = 1000;
    private const int MaxServerlessConcurrency = 200;
    private const int MaxInstanceCount = 100_000;
    private const double MaxSeconds = 604_800;

    public static void Validate(EndpointDefinition endpoint, string path, PriceTable prices, ProblemList problems)
    {
        if (!Enum.IsDefined(endpoint.Lane))
        {
            problems.Add($"{path}.lane", $"{(int)endpoint.Lane} is no lane; use Realtime, Serverless, Async or Batch");
            return;
        }

        if (endpoint.Lane == Lane.Serverless)
        {
            Serverless(endpoint, path, prices, problems);
        }
        else
        {
            Instances(endpoint, path, prices, problems);
        }

        problems.Require(Enum.IsDefined(endpoint.Scaling), $"{path}.scaling", $"{(int)endpoint.Scaling} is no mode; use Managed or Recommend");
        var deferred = endpoint.Lane is Lane.Async or Lane.Batch;
        var longest = deferred ? MaxDeferredSeconds : MaxRealtimeSeconds;
        problems.Require(
            endpoint.MaxServiceSeconds > 0 && endpoint.MaxServiceSeconds <= longest,
            $"{path}.maxServiceSeconds",
            $"{endpoint.MaxServiceSeconds} s is not a limit that lane {endpoint.Lane} can keep; give more than 0 and at most {longest}");
        var largest = endpoint.Lane switch { Lane.Async => MaxAsyncBytes, Lane.Batch => MaxBatchBytes, _ => MaxRealtimeBytes };
        problems.RequireRange(endpoint.MaxPayloadBytes, 1, largest, $"{path}.maxPayloadBytes");
        problems.Require(!(deferred && endpoint.Streaming), $"{path}.streaming", $"lane {endpoint.Lane} cannot stream; set it to false");
        problems.Require(endpoint.Target is null || NameRule.IsValid(endpoint.Target), $"{path}.target", $"'{endpoint.Target}' is no SageMaker name; give {NameRule.Description}");
        if (endpoint.Lane == Lane.Batch)
        {
            problems.Require(
                endpoint.WindowMaxRequests is >= 1 and <= WindowLimits.MostMembers,
                $"{path}.windowMaxRequests",
                $"{endpoint.WindowMaxRequests} is outside 1..{WindowLimits.MostMembers}, for more than that has no room in a window's state; give a whole number in that range");
            problems.RequireRange(endpoint.WindowMaxSeconds, 0.001, MaxSeconds, $"{path}.windowMaxSeconds");
        }

        problems.Require(endpoint.ServesDeferred != true || endpoint.Lane == Lane.Realtime, $"{path}.servesDeferred", $"lane {endpoint.Lane} has no slots that jobs could wait for; set it to false, or on a Realtime endpoint");
        ValidateModel(endpoint, path, problems);
    }

    /// <summary>The rules of what is a model's own, wherever it runs.</summary>
    public static void ValidateModel(EndpointDefinition endpoint, string path, ProblemList problems)
    {
        Tariff(endpoint.Tariff, $"{path}.tariff", problems);
        if (endpoint.Prior is { } prior)
        {
            Prior(prior, $"{path}.prior", problems);
            problems.Require(endpoint.Shared is not null || !(endpoint.MaxServiceSeconds > 0) || prior.ServiceP50Seconds <= endpoint.MaxServiceSeconds, $"{path}.prior.serviceP50Seconds", $"{prior.ServiceP50Seconds} s is longer than a call may run ({endpoint.MaxServiceSeconds} s), so nothing would ever be sent; lower it, or raise maxServiceSeconds");
        }
        else
        {
            problems.Add($"{path}.prior", $"it is null; leave it out for the default");
        }

        if (endpoint.Simulation is { } simulation)
        {
            Simulation(simulation, $"{path}.simulation", problems);
        }
        else
        {
            problems.Add($"{path}.simulation", $"it is null; leave it out for the default");
        }
    }

    private static void Serverless(EndpointDefinition endpoint, string path, PriceTable prices, ProblemList problems)
    {
        problems.Require(endpoint.MaxProvisioned == 0 || (endpoint.MaxProvisioned >= Math.Max(1, endpoint.MinInstances) && endpoint.MaxProvisioned <= endpoint.MaxInstances), $"{path}.maxProvisioned", $"{endpoint.MaxProvisioned} is not in minInstances..maxInstances ({endpoint.MinInstances}..{endpoint.MaxInstances}); give a number in that range, or 0");
        problems.Require(!endpoint.IsProvisioned || prices.ProvisionedSecondCost(endpoint) > Money.Zero || endpoint.MemoryMb <= 0, $"{path}.{(endpoint.MaxProvisioned > 0 ? "maxProvisioned" : "minInstances")}", $"executions that are kept warm have no price; set serverlessProvisionedPerGigabyteSecond of the catalog to that of your region");
        problems.Require(string.IsNullOrEmpty(endpoint.InstanceType), $"{path}.instanceType", $"a serverless endpoint has no instance type; remove '{endpoint.InstanceType}' and set memoryMb");
        problems.Require(endpoint.ConcurrencyPerInstance == 1, $"{path}.concurrencyPerInstance", $"{endpoint.ConcurrencyPerInstance} is not 1; a serverless execution serves one request, use maxInstances for more at once");
        problems.Require(endpoint.MemoryMb is >= 1024 and <= 6144 && endpoint.MemoryMb % 1024 == 0, $"{path}.memoryMb", $"{endpoint.MemoryMb} is no serverless memory size; give 1024, 2048, 3072, 4096, 5120 or 6144");
        problems.RequireRange(endpoint.MaxInstances, 1, MaxServerlessConcurrency, $"{path}.maxInstances");
        problems.Require(endpoint.MinInstances >= 0 && endpoint.MinInstances <= endpoint.MaxInstances, $"{path}.minInstances", $"{endpoint.MinInstances} is not in 0..maxInstances ({endpoint.MaxInstances}); lower it");
    }

    private static void Instances(EndpointDefinition endpoint, string path, PriceTable prices, ProblemList problems)
    {
        if (string.IsNullOrEmpty(endpoint.InstanceType))
        {
            problems.Add($"{path}.instanceType", $"lane {endpoint.Lane} runs on instances; name a type of instancePrices");
        }
        else
        {
            // A tariff is what a tenant pays. Without the price of what AWS bills the endpoint would seem to cost nothing, and draw every request.
            problems.Require(prices.HasPrice(endpoint), $"{path}.instanceType", $"'{endpoint.InstanceType}' has no price; add it to instancePrices");
        }

        problems.Require(endpoint.MaxProvisioned == 0, $"{path}.maxProvisioned", $"{endpoint.MaxProvisioned} is set but only serverless endpoints have it; set it to 0");
        problems.Require(endpoint.MemoryMb == 0, $"{path}.memoryMb", $"{endpoint.MemoryMb} is set but only serverless endpoints have it; set it to 0");
        problems.RequireRange(endpoint.ConcurrencyPerInstance, 1, MaxConcurrencyPerInstance, $"{path}.concurrencyPerInstance");
        problems.RequireRange(endpoint.MaxInstances, 1, MaxInstanceCount, $"{path}.maxInstances");
        problems.Require(endpoint.MinInstances >= 0, $"{path}.minInstances", $"{endpoint.MinInstances} is negative; give zero or more");
        problems.Require(endpoint.Lane != Lane.Realtime || endpoint.MinInstances != 0, $"{path}.minInstances", $"SageMaker keeps at least one instance of a real-time endpoint; give 1 or more, or use lane Serverless or Async, which go down to 0");
        problems.Require(endpoint.MinInstances <= endpoint.MaxInstances, $"{path}.minInstances", $"{endpoint.MinInstances} is above maxInstances ({endpoint.MaxInstances}); lower it or raise maxInstances");
    }

    private static void Prior(LatencyPrior prior, string path, ProblemList problems)
    {
        problems.Require(prior.ServiceP50Seconds > 0 && prior.ServiceP50Seconds <= MaxSeconds, $"{path}.serviceP50Seconds", $"{prior.ServiceP50Seconds} s is no median; give more than 0 and at most {MaxSeconds}");
        problems.Require(prior.ServiceP99Seconds >= prior.ServiceP50Seconds && prior.ServiceP99Seconds <= MaxSeconds, $"{path}.serviceP99Seconds", $"{prior.ServiceP99Seconds} s is not between the median ({prior.ServiceP50Seconds}) and {MaxSeconds}; raise it to the median at least");
        problems.RequireRange(prior.ColdStartSeconds, 0, MaxSeconds, $"{path}.coldStartSeconds");
        problems.RequireRange(prior.ModelLoadSeconds, 0, MaxSeconds, $"{path}.modelLoadSeconds");
    }

    private static void Tariff(Tariff? tariff, string path, ProblemList problems)
    {
        if (tariff is not null)
        {
            CatalogValidation.Price(tariff.PerSlotSecond, $"{path}.perSlotSecond", problems);
            CatalogValidation.Price(tariff.PerRequest, $"{path}.perRequest", problems);
            CatalogValidation.Price(tariff.PerThousandInputTokens, $"{path}.perThousandInputTokens", problems);
            CatalogValidation.Price(tariff.PerThousandOutputTokens, $"{path}.perThousandOutputTokens", problems);
            CatalogValidation.Price(tariff.PerGigabyte, $"{path}.perGigabyte", problems);
        }
    }

    private static void Simulation(SimulatedModel simulation, string path, ProblemList problems)
    {
        problems.RequireRange(simulation.BaseSeconds, 0, MaxSeconds, $"{path}.baseSeconds");
        problems.Require(simulation.PrefillTokensPerSecond is > 0 and <= double.MaxValue, $"{path}.prefillTokensPerSecond", $"{simulation.PrefillTokensPerSecond} is no speed; give more than 0");
        problems.RequireRange(simulation.DecodeTokensPerSecond, 0, double.MaxValue, $"{path}.decodeTokensPerSecond");
        problems.RequireRange(simulation.Jitter, 0, 10, $"{path}.jitter");
        problems.RequireRange(simulation.StartSeconds, 0, MaxSeconds, $"{path}.startSeconds");
        problems.RequireRange(simulation.KeepWarmSeconds, 0, MaxSeconds, $"{path}.keepWarmSeconds");
        problems.RequireRange(simulation.LoadSeconds, 0, MaxSeconds, $"{path}.loadSeconds");
        problems.RequireRange(simulation.ErrorRate, 0, 1, $"{path}.errorRate");
    }
}
