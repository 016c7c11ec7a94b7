using OrleansInference.Hosting;
using OrleansInference.LocalAws.Models;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Inference;

/// <summary>What is told of an invocation in the log.</summary>
internal readonly record struct InvocationLabel(string Operation, string? InferenceId, string? CustomAttributes, string? TargetModel = null);

/// <summary>Runs invocations on endpoints. A container that has begun goes on to its end, whether its caller waits or not.</summary>
internal sealed class InvocationRunner(InvocationLog log, RouterClock clock, CancellationToken stopping)
{
    /// <summary>Runs one invocation to its end.</summary>
    /// <param name="endpoint">Where.</param>
    /// <param name="label">What the log says of it.</param>
    /// <param name="readInput">Reads the input, once a slot is there.</param>
    /// <param name="waitLimit">The longest it may wait for a slot.</param>
    /// <param name="serviceLimit">The longest the container may take.</param>
    /// <param name="cancellationToken">The caller goes away.</param>
    /// <exception cref="ContainerFault">The container failed.</exception>
    /// <exception cref="AwsFault">It did not get to the container.</exception>
    public async Task<ModelRun> RunAsync(
        SimulatedEndpoint endpoint, InvocationLabel label, Func<CancellationToken, Task<ReadOnlyMemory<byte>>> readInput, TimeSpan waitLimit, TimeSpan serviceLimit, CancellationToken cancellationToken)
    {
        var entry = await EnterAsync(endpoint, label, waitLimit, cancellationToken);
        return await ServeAsync(endpoint, label.TargetModel, entry, readInput, serviceLimit).WaitAsync(cancellationToken);
    }

    /// <summary>Takes a slot for an invocation. The entry returned is to be given to <see cref="Leave"/>.</summary>
    public async Task<InvocationLog.Entry> EnterAsync(SimulatedEndpoint endpoint, InvocationLabel label, TimeSpan waitLimit, CancellationToken cancellationToken)
    {
        var entry = log.Open(endpoint.Name, label.Operation, label.InferenceId, label.CustomAttributes);
        using var timeout = new CancellationTokenSource(clock.ToWall(waitLimit), clock.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken, stopping);
        try
        {
            await endpoint.EnterAsync(entry, either.Token);
            return entry;
        }
        catch (AwsFault fault)
        {
            entry.End(fault.Code);
            entry.Dispose();
            throw;
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellationToken.IsCancellationRequested && !stopping.IsCancellationRequested)
        {
            entry.End("ModelError");
            entry.Dispose();
            throw ContainerFault.TimedOut();
        }
        catch
        {
            entry.Dispose();
            throw;
        }
    }

    /// <summary>Gives the slot back; first in the log, so that the log never counts more slots than there are.</summary>
    public static void Leave(SimulatedEndpoint endpoint, InvocationLog.Entry entry, string outcome)
    {
        entry.End(outcome);
        entry.Dispose();
        endpoint.Exit();
    }

    private async Task<ModelRun> ServeAsync(SimulatedEndpoint endpoint, string? target, InvocationLog.Entry entry, Func<CancellationToken, Task<ReadOnlyMemory<byte>>> readInput, TimeSpan serviceLimit)
    {
        var outcome = "Cancelled";
        try
        {
            var model = await endpoint.ModelAsync(target, entry);
            var run = model.Begin(await readInput(stopping));
            entry.Ran(run);
            await endpoint.DelayAsync(run.Duration < serviceLimit ? run.Duration : serviceLimit, stopping);
            if (run.Duration > serviceLimit)
            {
                throw ContainerFault.TimedOut();
            }

            if (run.Fails)
            {
                throw ModelRun.Failure();
            }

            outcome = "Completed";
            return run;
        }
        catch (ContainerFault)
        {
            outcome = "ModelError";
            throw;
        }
        catch (AwsFault fault)
        {
            outcome = fault.Code;
            throw;
        }
        finally
        {
            Leave(endpoint, entry, outcome);
        }
    }
}
