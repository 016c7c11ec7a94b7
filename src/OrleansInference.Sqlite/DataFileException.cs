using Microsoft.Data.Sqlite;

namespace OrleansInference.Sqlite;

/// <summary>A data file cannot be opened, read or written. The message names the file and what to do.</summary>
public class DataFileException : IOException
{
    /// <summary>Creates the exception for the file at <paramref name="path"/>.</summary>
    public DataFileException(string path, string message, Exception? innerException = null)
        : base(message, innerException) => Path = path;

    /// <summary>Full path of the data file.</summary>
    public string Path { get; }

    internal static DataFileException From(string path, SqliteException exception) => exception.SqliteErrorCode switch
    {
        SQLitePCL.raw.SQLITE_NOTADB => new(path, $"'{path}' is not a SQLite database. Move it away, or choose another data folder.", exception),
        SQLitePCL.raw.SQLITE_CORRUPT => Corrupt(path, exception.Message, exception),
        SQLitePCL.raw.SQLITE_FULL => new(path, $"The disk that holds '{path}' is full. Free some space; nothing of this write was kept.", exception),
        SQLitePCL.raw.SQLITE_BUSY or SQLitePCL.raw.SQLITE_LOCKED => new(path, $"Another program holds a lock on '{path}' (a SQLite shell, a backup?). Close it and try again.", exception),
        SQLitePCL.raw.SQLITE_READONLY or SQLitePCL.raw.SQLITE_CANTOPEN or SQLitePCL.raw.SQLITE_PERM =>
            new(path, $"'{path}' cannot be opened for writing. Check that its folder exists and that this user may write to it.", exception),
        _ => new(path, $"SQLite failed on '{path}': {exception.Message}", exception),
    };

    internal static DataFileException Corrupt(string path, string finding, Exception? innerException = null) =>
        new(path, $"The data file '{path}' is damaged ({finding}). Restore it from a backup, or move it away to begin anew.", innerException);
}

/// <summary>A data file is held by another process: one process at a time may use a data folder.</summary>
public sealed class DataFolderInUseException : DataFileException
{
    /// <summary>Creates the exception for the file at <paramref name="path"/>.</summary>
    public DataFolderInUseException(string path, Exception? innerException = null)
        : base(
            path,
            $"The data folder '{System.IO.Path.GetDirectoryName(path)}' is in use by another process, which holds '{path}{SqliteFile.LockSuffix}'. Stop that process, or choose another data folder.",
            innerException)
    {
    }
}
