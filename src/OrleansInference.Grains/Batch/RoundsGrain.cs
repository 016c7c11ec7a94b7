using Microsoft.Extensions.Options;
using OrleansInference.Hosting;
using OrleansInference.Invocation;
using OrleansInference.Persistence;
using OrleansInference.Pricing;

namespace OrleansInference.Batch;

/// <summary>What is done by rounds of transform jobs, step by step as they fall due. A step that failed is tried again after a pause that is in memory alone: after a restart it may be tried at once.</summary>
/// <typeparam name="TState">What is stored.</typeparam>
internal abstract class RoundsGrain<TState>(
    IPersistentState<TState> storage,
    ITransformJobs transformJobs,
    RouterClock clock,
    IOptions<OrleansInferenceOptions> options,
    IOptions<ReminderOptions> reminders) : RemindedGrain<TState>(storage, clock, reminders)
{
    private const int MaxStepsInARow = 16;

    protected static readonly TimeSpan RecoverEvery = TimeSpan.FromMinutes(5);

    protected static WindowLimits Limits { get; } = new();

    protected ITransformJobs TransformJobs => transformJobs;

    protected OrleansInferenceOptions Options => options.Value;

    /// <summary>The step that is due, begun; null if none is.</summary>
    protected abstract Task? TakeDueStep();

    /// <summary>The step under way failed; whether all is over by this, which is to be stored.</summary>
    protected abstract bool StepFailed(double chance, long now);

    /// <summary>Stores what has changed.</summary>
    protected abstract Task SaveAsync();

    /// <summary>Sets the timer for what comes next.</summary>
    protected abstract void Schedule();

    protected abstract void LogFault(Exception exception);

    /// <summary>Does everything that is due, then sets the timer for what comes next.</summary>
    protected async Task AdvanceAsync()
    {
        try
        {
            for (var steps = 0; steps < MaxStepsInARow && TakeDueStep() is { } step; steps++)
            {
                await step;
            }
        }
        catch (Exception exception)
        {
            LogFault(exception);
            if (IsLost)
            {
                return;
            }

            if (StepFailed(Random.Shared.NextDouble(), Clock.Now))
            {
                await EndUnseenAsync();
            }
        }

        Schedule();
    }

    /// <summary>Creates the round's transform job unless it exists; why SageMaker does not take it, null if it does.</summary>
    protected async Task<string?> CreateAsync(EndpointDefinition endpoint, int instances, string name, string input, string output)
    {
        try
        {
            await transformJobs.StartAsync(TransformJobRequest.Of(endpoint, instances, name, input, output, Options.CostTags), CancellationToken.None);
            return null;
        }
        catch (ModelCallException exception) when (exception.Failure is ModelCallFailure.Validation or ModelCallFailure.Configuration)
        {
            return $"SageMaker did not take the transform job: {exception.Message}";
        }
    }

    /// <summary>What AWS bills for so many milliseconds of a transform job's instances.</summary>
    protected static Money CostOf(EndpointConfiguration endpoint, int instances, long tookMs) => OperatorCost.OfInstances(endpoint.InstanceSecondCost, tookMs * instances);

    private async Task EndUnseenAsync()
    {
        try
        {
            await SaveAsync();
        }
        catch (Exception exception)
        {
            // This activation is lost, and another decides anew.
            LogFault(exception);
        }
    }
}
