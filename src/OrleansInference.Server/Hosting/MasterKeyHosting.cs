using System.Security.Cryptography;
using OrleansInference.Configuration;
using OrleansInference.Diagnosis;
using OrleansInference.Keys;

namespace OrleansInference.Hosting;

/// <summary>Where a server's master key is, and that it is the one that its state belongs to.</summary>
internal static class MasterKeyHosting
{
    private const string Consequence = "it would refuse all keys that were issued";
    private const string Lost = "If it is lost, docs/operating.md says under 'The master key' how to begin with a new one.";

    /// <summary>
    /// Reads the master key, making one for a server alone that has none, and compares it with the one that the state belongs to; the first server's becomes that. In a cluster it waits while
    /// the table cannot be reached.
    /// </summary>
    /// <exception cref="ConfigurationException">It is no master key, or the state belongs to another.</exception>
    public static async Task<MasterKey> OpenAsync(ServerSettings settings, DataFolder folder, ILogger logger, CancellationToken cancellationToken)
    {
        var created = false;
        var text = settings.MasterKey ?? SecretFile.ReadOrCreate(folder.MasterKeyFile, static () => Convert.ToBase64String(RandomNumberGenerator.GetBytes(MasterKey.Length)), out created);
        var key = Parse(text, folder.MasterKeyFile);
        try
        {
            var isTheOne = false;
            await ClusterTables.WaitForAsync(
                settings,
                async cancel =>
                {
                    using var state = await StateStorage.OpenAsync(settings, folder.StateFile, cancel);
                    isTheOne = await new MasterKeyClaim(state.Grains).TryMakeAsync(key, cancel);
                },
                logger,
                TimeProvider.System,
                cancellationToken);
            if (isTheOne)
            {
                return key;
            }

            if (created)
            {
                // It is nobody's, and in the way of the one that is to be put back.
                File.Delete(folder.MasterKeyFile);
            }

            var (detail, remedy) = Mismatch(settings);
            throw new ConfigurationException([$"{detail}. {remedy}"]);
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

    /// <summary>The master key that a server would start with; null if it would make one.</summary>
    /// <exception cref="ConfigurationException">It is no master key.</exception>
    public static MasterKey? Find(ServerSettings settings)
    {
        var file = Path.Combine(Path.GetFullPath(settings.DataFolder), DataFolder.MasterKeyName);
        return settings.MasterKey is { } given ? Parse(given, file) : File.Exists(file) ? Parse(File.ReadAllText(file).Trim(), file) : null;
    }

    /// <summary>What is wrong if the state belongs to another master key than the server's, or than the none it has, and what to do.</summary>
    public static (string Detail, string Remedy) Mismatch(ServerSettings settings, bool isMissing = false)
    {
        var folder = Path.GetFullPath(settings.DataFolder);
        var what = isMissing ? "it is missing, and must be" : "it is not";
        var name = settings.MasterKey is null ? Path.Combine(folder, DataFolder.MasterKeyName) : "MasterKey";
        return settings.Cluster is { } cluster
            ? ($"{name}: {what} the one that the state of service {cluster.ServiceId} in DynamoDB table {cluster.GrainTable} belongs to; {Consequence}", $"Give this server the MasterKey of the others. {Lost}")
            : ($"{name}: {what} the one that the state in {folder} belongs to; {Consequence}", $"Put back the one that was there. {Lost}");
    }

    private static MasterKey Parse(string text, string file)
    {
        Span<byte> key = stackalloc byte[MasterKey.Length + 1];
        return Convert.TryFromBase64String(text, key, out var length) && length == MasterKey.Length
            ? new(key[..length].ToArray())
            : throw new ConfigurationException([$"{file}: this is not a master key of {MasterKey.Length} bytes in base64. Put back the one that encrypted the issued keys; without it they are useless."]);
    }
}
