using System.Collections.Frozen;
using OrleansInference.Invocation;
using OrleansInference.Pricing;

namespace OrleansInference.Batch;

// Its rounds: each is a transform job, begun, followed and collected.
internal sealed partial class BatchGrain
{
    private async Task StartAsync(BatchMachine machine)
    {
        var record = machine.Record;
        var endpoint = record.Endpoint.Endpoint;
        await files.WriteInputsAsync(_address, record, machine.Objects(), CancellationToken.None);
        if (!record.MayRun)
        {
            // Stored before it is asked for: whoever cancels from now on has to look for it.
            machine.Starting();
            await SaveAsync();
        }

        try
        {
            await transformJobs.StartAsync(
                TransformJobRequest.Of(endpoint, machine.TransformJob(options.Value.TransformJobPrefix), files.InputPrefix(_address, record), files.OutputPrefix(_address, record), options.Value.CostTags),
                CancellationToken.None);
            machine.Started(Clock.Now);
        }
        catch (ModelCallException exception) when (exception.Failure is ModelCallFailure.Validation or ModelCallFailure.Configuration)
        {
            machine.Refused($"SageMaker did not take the transform job: {exception.Message}", Clock.Now);
        }

        await SaveAsync();
    }

    private async Task LookAsync(BatchMachine machine)
    {
        var name = machine.TransformJob(options.Value.TransformJobPrefix);
        var record = machine.Record;
        var job = await transformJobs.DescribeAsync(name, CancellationToken.None);
        switch (job?.State)
        {
            case null:
                machine.Vanished(Clock.Now);
                await SaveAsync();
                return;
            case TransformJobState.InProgress or TransformJobState.Stopping:
                machine.StillRuns(Clock.Now);
                if (job.State == TransformJobState.InProgress && machine.IsUnwanted(Clock.Now))
                {
                    await transformJobs.StopAsync(name, CancellationToken.None);
                }

                _outputs = await files.OutputsAsync(_address, record, CancellationToken.None);
                Publish();
                return;
            default:
                break;
        }

        var ended = job.EndedAt?.ToUnixTimeMilliseconds() ?? Clock.Now;
        var began = job.StartedAt?.ToUnixTimeMilliseconds() ?? ended;
        var took = Math.Max(0, ended - began);
        var outcomes = await files.CollectAsync(_address, record, machine.Objects(), job.Why(name), job.MayPass, took, machine.IsLastLook(Clock.Now), CancellationToken.None);
        machine.RoundEnded(outcomes, OperatorCost.OfInstances(record.Endpoint.InstanceSecondCost, took * Math.Max(1, record.Endpoint.Endpoint.MaxInstances)), Clock.Now);
        _outputs = FrozenSet<int>.Empty;
        await SaveAsync();
        world.Tell(record.Specification, outcomes, machine.ReadyAt, began);
    }
}
