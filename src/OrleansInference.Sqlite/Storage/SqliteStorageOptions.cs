using Orleans.Storage;

namespace OrleansInference.Sqlite;

/// <summary>Options of <see cref="SqliteGrainStorage"/>.</summary>
public sealed class SqliteStorageOptions
{
    /// <summary>Path of the data file; it and its folder are created if they do not exist.</summary>
    public string FilePath { get; set; } = "";

    /// <summary>How state becomes bytes. Default: JSON, by <see cref="GrainStateJsonSerializer"/>.</summary>
    public IGrainStorageSerializer Serializer { get; set; } = new GrainStateJsonSerializer();

    /// <summary>The largest serialised state that is accepted, in bytes, 1 to 1,000,000,000.</summary>
    public int MaxStateBytes { get; set; } = 32 << 20;

    /// <summary>The stage of the silo's life at which the file is opened.</summary>
    public int InitStage { get; set; } = ServiceLifecycleStage.ApplicationServices;
}

internal sealed class SqliteStorageOptionsValidator(SqliteStorageOptions options, string name) : IConfigurationValidator
{
    private const int SqliteBlobLimit = 1_000_000_000;

    public void ValidateConfiguration()
    {
        DataFilePath.Validate(options.FilePath, $"SQLite grain storage '{name}'", nameof(options.FilePath));
        if (options.Serializer is null)
        {
            throw new OrleansConfigurationException($"SQLite grain storage '{name}': {nameof(options.Serializer)} is null. Leave it out for JSON, or set a serializer.");
        }

        if (options.MaxStateBytes is < 1 or > SqliteBlobLimit)
        {
            throw new OrleansConfigurationException($"SQLite grain storage '{name}': {nameof(options.MaxStateBytes)} is {options.MaxStateBytes}; it must be 1 to {SqliteBlobLimit}.");
        }
    }
}

/// <summary>What every data file's path must be, checked before the silo starts.</summary>
internal static class DataFilePath
{
    public static void Validate(string? path, string owner, string option)
    {
        if (string.IsNullOrWhiteSpace(path))
        {
            throw new OrleansConfigurationException($"{owner}: {option} is not set. Set it to a file in the data folder.");
        }

        // SQLite would take these for databases that vanish when they are closed, and each connection would see one of its own.
        if (path.StartsWith(':') || path.StartsWith("file:", StringComparison.OrdinalIgnoreCase) || path.Contains('\0', StringComparison.Ordinal))
        {
            throw new OrleansConfigurationException($"{owner}: {option} is '{path}'; it must be the path of a file on disk.");
        }

        if (Path.EndsInDirectorySeparator(path))
        {
            throw new OrleansConfigurationException($"{owner}: {option} is '{path}', which names a folder. Name a file inside it.");
        }
    }
}
