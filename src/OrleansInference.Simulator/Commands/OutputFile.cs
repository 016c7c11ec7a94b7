namespace OrleansInference.Simulator.Commands;

/// <summary>A file that is there whole or not at all: written beside its place, and moved there by <see cref="Commit"/>.</summary>
internal sealed class OutputFile : IDisposable
{
    private readonly string _path;
    private readonly string _temporary;

    /// <summary>Begins a file.</summary>
    /// <exception cref="UserMistakeException">It cannot be written there.</exception>
    public OutputFile(string path)
    {
        _path = Path.GetFullPath(path);
        _temporary = _path + $".{Guid.NewGuid():N}.tmp";
        if (Directory.Exists(_path))
        {
            throw new UserMistakeException($"'{path}' is a folder; name a file to write.");
        }

        try
        {
            Stream = new FileStream(_temporary, FileMode.CreateNew, FileAccess.Write, FileShare.Read, 1 << 16);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new UserMistakeException($"'{path}' cannot be written: {exception.Message}", exception);
        }
    }

    /// <summary>What is written.</summary>
    public Stream Stream { get; }

    /// <summary>Finds out whether a file can be written, before the work of which it is to tell.</summary>
    /// <exception cref="UserMistakeException">It cannot be.</exception>
    public static void Check(string path)
    {
        using var probe = new OutputFile(path);
    }

    /// <summary>Writes files of which either all are there afterwards or, if one cannot be written, none is new.</summary>
    public static void WriteAll(IReadOnlyList<(string Path, byte[] Content)> files)
    {
        var begun = new List<OutputFile>();
        try
        {
            foreach (var (path, content) in files)
            {
                var file = new OutputFile(path);
                begun.Add(file);
                file.Stream.Write(content);
                file.Stream.Flush();
            }

            begun.ForEach(static file => file.Commit());
        }
        finally
        {
            begun.ForEach(static file => file.Dispose());
        }
    }

    /// <summary>Puts the file in its place.</summary>
    public void Commit()
    {
        Stream.Dispose();
        File.Move(_temporary, _path, overwrite: true);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stream.Dispose();
        File.Delete(_temporary);
    }
}
