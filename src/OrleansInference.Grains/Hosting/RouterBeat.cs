using Microsoft.Extensions.Logging;
using OrleansInference.Leases;
using OrleansInference.Routing;

namespace OrleansInference.Hosting;

/// <summary>Keeps the silo's leases and subscriptions alive, and gives the leases back when the silo stops.</summary>
internal sealed partial class RouterBeat(
    TenantAccounts tenants,
    EndpointAccounts endpoints,
    RoutingDirectory directory,
    RouterClock clock,
    ILogger<RouterBeat> logger) : ILifecycleParticipant<ISiloLifecycle>, IDisposable
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LeastPeriod = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan ReturnTimeout = TimeSpan.FromSeconds(5);

    private readonly CancellationTokenSource _stopping = new();
    private Task _beats = Task.CompletedTask;

    public void Participate(ISiloLifecycle observer) => observer.Subscribe(nameof(RouterBeat), ServiceLifecycleStage.Active, Start, StopAsync);

    public void Dispose() => _stopping.Dispose();

    private Task Start(CancellationToken cancellationToken)
    {
        _beats = Task.Run(BeatAsync, CancellationToken.None);
        return Task.CompletedTask;
    }

    private async Task BeatAsync()
    {
        var wall = clock.ToWall(Period);
        using var timer = new PeriodicTimer(wall < LeastPeriod ? LeastPeriod : wall, clock.TimeProvider);
        try
        {
            while (await timer.WaitForNextTickAsync(_stopping.Token))
            {
                // Not awaited: a call that hangs, to a silo that has died, must not hold up what others have to renew in time.
                _ = tenants.BeatAsync(false);
                _ = endpoints.BeatAsync(false);
                _ = directory.BeatAsync();
            }
        }
        catch (OperationCanceledException)
        {
            // The silo stops.
        }
        catch (Exception exception)
        {
            LogBeatEnded(exception);
        }
    }

    private async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        await _beats;
        if (cancellationToken.IsCancellationRequested)
        {
            // The silo is being killed: its leases run out.
            return;
        }

        try
        {
            // What is settled after this is lost to the owners, who then count it as spent.
            await Task.WhenAll(tenants.BeatAsync(true), endpoints.BeatAsync(true)).WaitAsync(ReturnTimeout, cancellationToken);
        }
        catch (Exception exception)
        {
            LogNotReturned(exception);
        }
    }

    [LoggerMessage(Level = LogLevel.Critical, Message = "The beat that keeps leases has ended: this silo will refuse requests until it is restarted.")]
    private partial void LogBeatEnded(Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Not every lease could be given back; those left run out by themselves.")]
    private partial void LogNotReturned(Exception exception);
}
