namespace OrleansInference.Ingest;

/// <summary>The queues that a silo takes requests from.</summary>
/// <param name="Queues">Every queue.</param>
/// <param name="PayloadBucket">The bucket in which tenants keep inputs.</param>
/// <param name="CreateQueues">Whether queues that do not exist are created.</param>
internal sealed record QueueIngestOptions(IReadOnlyList<QueueSettings> Queues, string PayloadBucket, bool CreateQueues);

/// <summary>Receives from every configured queue from <see cref="Start"/> on until the silo stops.</summary>
internal sealed class QueueIngest(QueueIngestOptions options, IServiceProvider services) : ILifecycleParticipant<ISiloLifecycle>, IDisposable
{
    private readonly CancellationTokenSource _stopping = new();
    private readonly CancellationTokenSource _giveUp = new();
    private readonly Lock _lock = new();
    private Task _receiving = Task.CompletedTask;
    private bool _started;

    /// <summary>Begins to receive: the catalog is in force.</summary>
    public void Start()
    {
        lock (_lock)
        {
            if (!_started && !_stopping.IsCancellationRequested)
            {
                _started = true;
                var receivers = options.Queues.Select(queue => ActivatorUtilities.CreateInstance<QueueReceiver>(services, queue, new MessageFormat(queue, options.PayloadBucket), options.CreateQueues)).ToList();
                _receiving = Task.Run(() => Task.WhenAll(receivers.Select(receiver => receiver.RunAsync(_stopping.Token, _giveUp.Token))), CancellationToken.None);
            }
        }
    }

    public void Participate(ISiloLifecycle observer)
    {
        ArgumentNullException.ThrowIfNull(observer);
        observer.Subscribe(nameof(QueueIngest), ServiceLifecycleStage.Active, static _ => Task.CompletedTask, StopAsync);
    }

    public void Dispose()
    {
        _stopping.Dispose();
        _giveUp.Dispose();
    }

    private async Task StopAsync(CancellationToken cancellationToken)
    {
        Task receiving;
        lock (_lock)
        {
            _stopping.Cancel();
            receiving = _receiving;
        }

        // What is in hand ends; what does not in time stays in the queue.
        using (cancellationToken.Register(_giveUp.Cancel))
        {
            await receiving;
        }
    }
}

/// <summary>Puts the ingest into a silo.</summary>
internal static class QueueIngestSiloBuilderExtensions
{
    /// <summary>Adds the ingest of the queues. Whoever starts the silo calls <see cref="QueueIngest.Start"/> once the catalog is in force.</summary>
    public static ISiloBuilder AddQueueIngest(this ISiloBuilder builder, QueueIngestOptions options) => builder.ConfigureServices(services =>
    {
        services.AddSingleton(options);
        services.AddSingleton<QueueIngest>();
        services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(static provider => provider.GetRequiredService<QueueIngest>());
    });
}
