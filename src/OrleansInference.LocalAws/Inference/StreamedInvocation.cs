using System.Text.Json;
using OrleansInference.Aws.EventStreams;
using OrleansInference.LocalAws.Models;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Inference;

/// <summary>Streams an answer in parts while it is being written; the parts joined are the answer of InvokeEndpoint.</summary>
internal sealed class StreamedInvocation(InvocationRunner runner, CancellationToken stopping)
{
    /// <summary>The longest a streamed answer may take.</summary>
    private static readonly TimeSpan StreamTimeout = TimeSpan.FromMinutes(8);

    private const int TokensPerPart = 8;
    private const int MaxParts = 64;

    public async Task RunAsync(AwsRequest request, SimulatedEndpoint endpoint, byte[] body, CancellationToken cancellationToken)
    {
        var label = InvocationHeaders.Label(request, "InvokeEndpointWithResponseStream");
        var entry = await runner.EnterAsync(endpoint, label, RuntimeSurface.InvocationTimeout, cancellationToken);
        var outcome = "Cancelled";
        var rest = TimeSpan.Zero;
        try
        {
            var model = await endpoint.ModelAsync(label.TargetModel, entry);
            var run = model.Begin(body);
            entry.Ran(run);
            rest = run.Duration;
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, stopping);
            if (run.FirstTokenAfter > RuntimeSurface.InvocationTimeout)
            {
                rest = RuntimeSurface.InvocationTimeout;
                await endpoint.DelayAsync(rest, either.Token);
                throw ContainerFault.TimedOut();
            }

            await endpoint.DelayAsync(run.FirstTokenAfter, either.Token);
            rest -= run.FirstTokenAfter;
            outcome = await WriteAsync(request, endpoint, run, spent => rest -= spent, either.Token);
        }
        catch (ContainerFault)
        {
            outcome = "ModelError";
            throw;
        }
        catch when (cancellationToken.IsCancellationRequested)
        {
            // The caller has gone; the container does not know and writes on.
            _ = FinishAsync(endpoint, entry, rest);
            entry = null;
            throw;
        }
        finally
        {
            if (entry is not null)
            {
                InvocationRunner.Leave(endpoint, entry, outcome);
            }
        }
    }

    private static async Task<string> WriteAsync(AwsRequest request, SimulatedEndpoint endpoint, ModelRun run, Action<TimeSpan> spent, CancellationToken cancellationToken)
    {
        var response = request.Http.Response;
        InvocationHeaders.Write(request, endpoint, run);
        response.ContentType = EventStreamMessage.StreamContentType;
        response.Headers["X-Amzn-SageMaker-Content-Type"] = "application/json";
        await response.StartAsync(cancellationToken);

        var answer = run.Answer();
        var parts = Math.Min(Math.Clamp(run.OutputTokens / TokensPerPart, 2, MaxParts), answer.Length);
        var step = (run.Duration - run.FirstTokenAfter) / parts;
        var breaksAt = run.Fails ? parts / 2 : parts;
        var elapsed = run.FirstTokenAfter;
        for (var i = 0; i < breaksAt; i++)
        {
            await endpoint.DelayAsync(step, cancellationToken);
            spent(step);
            if ((elapsed += step) > StreamTimeout)
            {
                return await BreakAsync(request, "ModelInvocationTimeExceeded", "The model did not finish its answer within the time allowed.", cancellationToken);
            }

            EventStreamWriter.WriteEvent(response.BodyWriter, "PayloadPart", answer.AsSpan()[(answer.Length * i / parts)..(answer.Length * (i + 1) / parts)]);
            await response.BodyWriter.FlushAsync(cancellationToken);
        }

        return run.Fails ? await BreakAsync(request, "StreamBroken", ModelRun.Failure().Message, cancellationToken) : "Completed";
    }

    private static async Task<string> BreakAsync(AwsRequest request, string code, string message, CancellationToken cancellationToken)
    {
        EventStreamWriter.WriteException(request.Http.Response.BodyWriter, "ModelStreamError", JsonSerializer.SerializeToUtf8Bytes(new { ErrorCode = code, Message = message }));
        await request.Http.Response.BodyWriter.FlushAsync(cancellationToken);
        return "ModelStreamError";
    }

    private async Task FinishAsync(SimulatedEndpoint endpoint, InvocationLog.Entry entry, TimeSpan rest)
    {
        try
        {
            await endpoint.DelayAsync(rest, stopping);
        }
        catch (OperationCanceledException)
        {
            // The server stops: the slot goes with it.
        }
        finally
        {
            InvocationRunner.Leave(endpoint, entry, "Cancelled");
        }
    }
}
