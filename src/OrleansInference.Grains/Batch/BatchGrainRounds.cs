using System.Collections.Frozen;

namespace OrleansInference.Batch;

// Its rounds: each is a transform job, begun, followed and collected.
internal sealed partial class BatchGrain
{
    private static int InstancesOf(BatchRecord record) => Math.Max(1, record.Endpoint.Endpoint.MaxInstances);

    private async Task StartAsync(BatchMachine machine)
    {
        var record = machine.Record;
        await files.WriteInputsAsync(_address, record, machine.Objects(), CancellationToken.None);
        if (!record.MayRun)
        {
            // Stored before it is asked for: whoever cancels from now on has to look for it.
            machine.Starting();
            await SaveAsync();
        }

        if (await CreateAsync(record.Endpoint.Endpoint, InstancesOf(record), machine.TransformJob(Options.TransformJobPrefix), files.InputPrefix(_address, record), files.OutputPrefix(_address, record)) is { } refusal)
        {
            machine.Refused(refusal, Clock.Now);
        }
        else
        {
            machine.Started(Clock.Now);
        }

        await SaveAsync();
    }

    private async Task LookAsync(BatchMachine machine)
    {
        var name = machine.TransformJob(Options.TransformJobPrefix);
        var record = machine.Record;
        if (await TransformJobs.DescribeAsync(name, CancellationToken.None) is not { } job)
        {
            machine.Vanished(Clock.Now);
            await SaveAsync();
            return;
        }

        if (job.IsUnderWay)
        {
            machine.StillRuns(Clock.Now);
            if (job.State == TransformJobState.InProgress && machine.IsUnwanted(Clock.Now))
            {
                await TransformJobs.StopAsync(name, CancellationToken.None);
            }

            _outputs = await files.OutputsAsync(_address, record, CancellationToken.None);
            Publish();
            return;
        }

        var (began, ended) = job.Billed(Clock.Now);
        var took = Math.Max(0, ended - began);
        var outcomes = await files.CollectAsync(_address, record, machine.Objects(), job.Why(name), job.MayPass, took, machine.IsLastLook(Clock.Now), CancellationToken.None);
        machine.RoundEnded(outcomes, CostOf(record.Endpoint, InstancesOf(record), took), Clock.Now);
        _outputs = FrozenSet<int>.Empty;
        await SaveAsync();
        world.Tell(record.Specification, outcomes, machine.ReadyAt, began);
    }
}
