using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Serialization;
using Orleans.Serialization.Serializers;

namespace OrleansInference.Sqlite.Tests;

/// <summary>A folder of the test's own, with storage on a file in it.</summary>
public sealed class DataFolder : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddSerializer().BuildServiceProvider();

    public string Folder { get; } = Directory.CreateTempSubdirectory("oi-sqlite-").FullName;

    public string FilePath => Path.Combine(Folder, "data.db");

    public async Task<SqliteGrainStorage> OpenStorageAsync(string service = "service", Action<SqliteStorageOptions>? configure = null)
    {
        var options = new SqliteStorageOptions { FilePath = FilePath };
        configure?.Invoke(options);
        var storage = new SqliteGrainStorage(
            "test",
            options,
            Options.Create(new ClusterOptions { ServiceId = service, ClusterId = "cluster" }),
            _services.GetRequiredService<IActivatorProvider>(),
            NullLogger<SqliteGrainStorage>.Instance);
        await storage.OpenAsync(CancellationToken.None);
        return storage;
    }

    public async Task<SqliteReminderTable> OpenRemindersAsync(string service = "service", TimeProvider? time = null)
    {
        var table = new SqliteReminderTable(
            Options.Create(new SqliteReminderOptions { FilePath = FilePath }),
            Options.Create(new ClusterOptions { ServiceId = service, ClusterId = "cluster" }),
            Options.Create(new ReminderOptions { ReminderLoadingWindow = TimeSpan.FromMinutes(10) }),
            time ?? TimeProvider.System);
        await table.StartAsync();
        return table;
    }

    /// <summary>The files as a process that is killed now would leave them.</summary>
    public DataFolder CopyAsIfKilled()
    {
        var copy = new DataFolder();
        File.Copy(FilePath, copy.FilePath);
        File.Copy(FilePath + "-wal", copy.FilePath + "-wal");
        return copy;
    }

    public void Dispose()
    {
        _services.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
