using OrleansInference.Configuration;

namespace OrleansInference.Hosting;

/// <summary>The folder of everything durable, held by one server at a time.</summary>
internal sealed class DataFolder : IDisposable
{
    /// <summary>Name of the file of the master key.</summary>
    public const string MasterKeyName = "master.key";

    /// <summary>Name of the database of grain state and reminders.</summary>
    public const string StateName = "state.db";
    private const string LockFile = "server.lock";
    private readonly FileStream _lock;

    private DataFolder(string path, FileStream held)
    {
        FullPath = path;
        _lock = held;
    }

    public string FullPath { get; }

    /// <summary>Database of grain state and reminders.</summary>
    public string StateFile => In(StateName);

    /// <summary>Database of the audit log.</summary>
    public string AuditFile => In("audit.db");

    /// <summary>Folder of the embedded AWS.</summary>
    public string LocalAws => In("aws");

    /// <summary>A moment that the router's clock has not passed.</summary>
    public string ClockFile => In("clock");

    public string MasterKeyFile => In(MasterKeyName);

    public string AdminKeyFile => In("admin.key");

    /// <summary>Whether a server could take the folder, without taking or creating it: a file is created beside and deleted again.</summary>
    /// <returns>The folder; if it does not exist, the nearest above it, in which it would be created.</returns>
    /// <exception cref="ConfigurationException">Another server holds it, or it cannot be written or created.</exception>
    public static (string FullPath, string Existing) Examine(string path)
    {
        var full = Path.GetFullPath(path);
        var existing = full;
        while (!Directory.Exists(existing))
        {
            existing = File.Exists(existing)
                ? throw Problem(full, $"it cannot be created ('{existing}' is a file). Choose another data folder.")
                : Path.GetDirectoryName(existing) ?? throw Problem(full, "it cannot be created. Choose another data folder.");
        }

        try
        {
            new FileStream(Path.Combine(existing, $".doctor-{Guid.NewGuid():N}"), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose).Dispose();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw Problem(full, $"{(existing == full ? "it cannot be written" : "it cannot be created")} ({exception.Message.TrimEnd('.')}). Check the permissions of '{existing}', or choose another data folder.");
        }

        var held = Path.Combine(full, LockFile);
        if (File.Exists(held))
        {
            Hold(full, FileMode.Open).Dispose();
        }

        return (full, existing);
    }

    /// <summary>Takes the folder, creating it if need be.</summary>
    /// <exception cref="ConfigurationException">Another server holds it, or it cannot be written.</exception>
    public static DataFolder Open(string path)
    {
        var full = Path.GetFullPath(path);
        try
        {
            if (OperatingSystem.IsWindows())
            {
                Directory.CreateDirectory(full);
            }
            else
            {
                Directory.CreateDirectory(full, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw Problem(full, $"it cannot be created ({exception.Message.TrimEnd('.')}). Choose another data folder.");
        }

        return new(full, Hold(full, FileMode.OpenOrCreate));
    }

    public void Dispose() => _lock.Dispose();

    private static FileStream Hold(string full, FileMode mode)
    {
        try
        {
            // Never deleted: deleting it while another server opens it would let two in.
            return new(Path.Combine(full, LockFile), mode, FileAccess.ReadWrite, FileShare.None);
        }
        catch (UnauthorizedAccessException)
        {
            throw Problem(full, "it cannot be written. Check its permissions, or choose another data folder.");
        }
        catch (IOException)
        {
            throw Problem(full, "it is in use by another server. Stop that server, or choose another data folder.");
        }
    }

    private string In(string name) => Path.Combine(FullPath, name);

    private static ConfigurationException Problem(string path, string problem) => new([$"DataFolder '{path}': {problem}"]);
}
