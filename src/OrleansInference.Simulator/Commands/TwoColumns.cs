namespace OrleansInference.Simulator.Commands;

/// <summary>Names with what they stand for, one below the other.</summary>
internal static class TwoColumns
{
    /// <summary>Writes them; the second column is aligned.</summary>
    public static async Task<int> WriteAsync(TextWriter output, IEnumerable<(string Name, string About)> rows, CancellationToken cancellationToken)
    {
        var all = rows.ToList();
        var width = all.Count == 0 ? 0 : all.Max(static row => row.Name.Length);
        foreach (var (name, about) in all)
        {
            cancellationToken.ThrowIfCancellationRequested();
            await output.WriteLineAsync($"{name.PadRight(width)}  {about}".TrimEnd());
        }

        return 0;
    }
}
