namespace OrleansInference.Keys;

/// <summary>A secret in the data folder that only its owner may read.</summary>
internal static class SecretFile
{
    /// <summary>The file's content; made by <paramref name="create"/> if there is no file.</summary>
    /// <param name="path">Path of the file.</param>
    /// <param name="create">Makes a new secret.</param>
    /// <param name="created">Whether it was made now.</param>
    public static string ReadOrCreate(string path, Func<string> create, out bool created)
    {
        created = !File.Exists(path);
        if (!created)
        {
            return File.ReadAllText(path).Trim();
        }

        var secret = create();
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        // Written beside and moved, so that a crash leaves a whole secret or none.
        var draft = path + ".new";
        File.Delete(draft);
        using (var file = new FileStream(draft, options))
        {
            file.Write(System.Text.Encoding.UTF8.GetBytes(secret + Environment.NewLine));
            file.Flush(flushToDisk: true);
        }

        File.Move(draft, path);
        return secret;
    }
}
