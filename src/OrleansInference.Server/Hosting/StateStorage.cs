using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Serialization.Activators;
using Orleans.Serialization.Serializers;
using Orleans.Storage;
using OrleansInference.Configuration;
using OrleansInference.DynamoDB;
using OrleansInference.Sqlite;

namespace OrleansInference.Hosting;

/// <summary>Grain state where the silos have it, for what is to be known before there is one. It creates no table.</summary>
internal sealed class StateStorage : IDisposable
{
    private readonly IDisposable _open;

    private StateStorage(IGrainStorage grains, IDisposable open) => (Grains, _open) = (grains, open);

    public IGrainStorage Grains { get; }

    /// <summary>Opens it; the folder's file is held for this process until it is disposed, and created if there is none.</summary>
    /// <exception cref="DataFileException">The file cannot be used.</exception>
    public static async Task<StateStorage> OpenAsync(ServerSettings settings, string stateFile, CancellationToken cancellationToken)
    {
        if (settings.Cluster is { } cluster)
        {
            var table = new DynamoDBGrainStorage(
                OrleansInferenceOptions.StorageName,
                StateHosting.FillGrains(new(), settings, cluster),
                Options.Create(new ClusterOptions { ClusterId = cluster.ClusterId, ServiceId = cluster.ServiceId }),
                new Activators(),
                TimeProvider.System,
                NullLogger<DynamoDBGrainStorage>.Instance);
            return new(table, table);
        }

        var file = new SqliteGrainStorage(
            OrleansInferenceOptions.StorageName,
            new() { FilePath = stateFile },
            Options.Create(new ClusterOptions { ClusterId = StateHosting.LocalId, ServiceId = StateHosting.LocalId }),
            new Activators(),
            NullLogger<SqliteGrainStorage>.Instance);
        await file.OpenAsync(cancellationToken);
        return new(file, file);
    }

    public void Dispose() => _open.Dispose();

    /// <summary>State that is not there begins as its type does.</summary>
    private sealed class Activators : IActivatorProvider
    {
        public IActivator<T> GetActivator<T>() => new Beginning<T>();
    }

    private sealed class Beginning<T> : IActivator<T>
    {
        public T Create() => Activator.CreateInstance<T>();
    }
}
