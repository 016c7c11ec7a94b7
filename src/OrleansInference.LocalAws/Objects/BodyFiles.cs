using System.Collections.Concurrent;

namespace OrleansInference.LocalAws.Objects;

/// <summary>Where the bodies of large objects are.</summary>
internal interface IBodyFiles
{
    /// <summary>A new file to write.</summary>
    Stream Create(out string name);

    /// <summary>A file to read; null if it has been deleted.</summary>
    Stream? Open(string name);

    /// <summary>Deletes a file. Whoever reads it may read on.</summary>
    void Delete(string name);
}

/// <summary>Files in a folder.</summary>
internal sealed class FolderFiles : IBodyFiles
{
    private readonly string _folder;

    /// <param name="folder">The folder, created if need be.</param>
    /// <param name="known">Names in use; other files are left over from writes that were cut off, and are deleted.</param>
    public FolderFiles(string folder, IReadOnlySet<string> known)
    {
        _folder = folder;
        Directory.CreateDirectory(folder);
        foreach (var file in Directory.EnumerateFiles(folder).Where(file => !known.Contains(Path.GetFileName(file))))
        {
            File.Delete(file);
        }
    }

    public Stream Create(out string name)
    {
        name = Guid.NewGuid().ToString("N");
        return new FileStream(Path.Combine(_folder, name), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read, 64 << 10, FileOptions.Asynchronous);
    }

    public Stream? Open(string name)
    {
        try
        {
            return new FileStream(Path.Combine(_folder, name), FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, 64 << 10, FileOptions.Asynchronous);
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }

    public void Delete(string name) => File.Delete(Path.Combine(_folder, name));
}

/// <summary>Files in memory, at most 2 GB each.</summary>
internal sealed class MemoryFiles : IBodyFiles
{
    private readonly ConcurrentDictionary<string, MemoryStream> _files = new(StringComparer.Ordinal);

    public Stream Create(out string name)
    {
        name = Guid.NewGuid().ToString("N");
        return _files[name] = new MemoryStream();
    }

    public Stream? Open(string name) => _files.TryGetValue(name, out var file) && file.TryGetBuffer(out var written)
        ? new MemoryStream(written.Array!, written.Offset, written.Count, writable: false)
        : null;

    public void Delete(string name) => _files.TryRemove(name, out _);
}
