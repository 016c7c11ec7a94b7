using System.IO.Compression;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Traces;

/// <summary>A trace's text, plain or gzipped, read as it is needed.</summary>
internal static class TraceFile
{
    public static StreamReader Open(string file)
    {
        try
        {
            Stream stream = File.OpenRead(file);
            if (file.EndsWith(".gz", StringComparison.OrdinalIgnoreCase))
            {
                stream = new GZipStream(stream, CompressionMode.Decompress);
            }

            return new(stream);
        }
        catch (Exception wrong) when (wrong is IOException or UnauthorizedAccessException)
        {
            throw new ScenarioException(file, "", $"the trace cannot be read: {wrong.Message}", wrong);
        }
    }
}
