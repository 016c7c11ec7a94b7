using OrleansInference.Configuration;

namespace OrleansInference.Hosting;

/// <summary>The folder of everything durable, held by one server at a time.</summary>
internal sealed class DataFolder : IDisposable
{
    private readonly FileStream _lock;

    private DataFolder(string path, FileStream held)
    {
        FullPath = path;
        _lock = held;
    }

    public string FullPath { get; }

    /// <summary>Database of grain state and reminders.</summary>
    public string StateFile => In("state.db");

    /// <summary>Database of the audit log.</summary>
    public string AuditFile => In("audit.db");

    /// <summary>Folder of the embedded AWS.</summary>
    public string LocalAws => In("aws");

    /// <summary>A moment that the router's clock has not passed.</summary>
    public string ClockFile => In("clock");

    public string MasterKeyFile => In("master.key");

    public string AdminKeyFile => In("admin.key");

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

        try
        {
            // Never deleted: deleting it while another server opens it would let two in.
            return new(full, new(Path.Combine(full, "server.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
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

    public void Dispose() => _lock.Dispose();

    private string In(string name) => Path.Combine(FullPath, name);

    private static ConfigurationException Problem(string path, string problem) => new([$"DataFolder '{path}': {problem}"]);
}
