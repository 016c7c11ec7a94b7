using OrleansInference.Hosting;
using OrleansInference.Jobs;

namespace OrleansInference.Batch;

/// <summary>
/// The batch lane of a job: it joins the window that is open at its endpoint, and the window tells it the result. A job that
/// crashes between joining and storing that it did may join twice; it then has two results and takes the first.
/// </summary>
internal sealed class BatchLane(IGrainFactory grains, RouterClock clock) : IJobLane
{
    private const int MaxWindows = 16;

    public async Task DispatchAsync(JobAddress address, JobMachine machine, CancellationToken cancellationToken)
    {
        var record = machine.Record;
        var specification = record.Specification;
        var endpoint = record.Endpoint.Endpoint.Name;
        var member = new WindowMember
        {
            JobKey = address.Key,
            InputKey = specification.InputKey,
            Bytes = specification.BodyLength,
            Deadline = specification.Deadline,
            ChargeCap = specification.Route.ChargeCap,
            ContentType = specification.Request.ContentType,
            InputTokens = JobCharge.InputTokens(specification),
        };
        var windows = grains.GetGrain<IBatchWindowsGrain>(endpoint.Value);
        var number = await windows.Current();
        for (var tried = 0; tried < MaxWindows; tried++)
        {
            var window = WindowKey.Of(endpoint, number);
            if (await grains.GetGrain<IBatchWindowGrain>(window).Join(record.Endpoint, member))
            {
                machine.Joined(window, clock.Now);
                return;
            }

            number = await windows.After(number);
        }

        machine.DispatchFailed(
            new() { Code = ProblemCode.Throttled, Message = $"No batch window of endpoint '{endpoint}' takes another request now." },
            mayPass: true,
            Random.Shared.NextDouble(),
            clock.Now);
    }

    public async Task CheckAsync(JobAddress address, JobMachine machine, CancellationToken cancellationToken)
    {
        // The look also wakes a window that lost its silo.
        var view = machine.Record.Window is { } window ? await grains.GetGrain<IBatchWindowGrain>(window).GetView() : null;
        machine.NotYet(view?.State == WindowState.Running, clock.Now);
    }

    /// <summary>Whether the job's window is expected to end after its deadline, or is gone.</summary>
    public async Task<bool> IsLateAsync(JobRecord record) =>
        record.Window is { } window && await grains.GetGrain<IBatchWindowGrain>(window).GetView() is var view
        && (view.State == WindowState.Ended || view.ExpectedAt > record.Specification.Deadline);

    public async Task AbandonAsync(JobAddress address, JobRecord record, CancellationToken cancellationToken)
    {
        if (record.Window is { } window)
        {
            await grains.GetGrain<IBatchWindowGrain>(window).Leave(address.Key);
        }
    }
}
