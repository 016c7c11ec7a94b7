using OrleansInference.Configuration;
using OrleansInference.Hosting;
using OrleansInference.Keys;

namespace OrleansInference.Diagnosis;

/// <summary>Compares the master key that a server would start with and the one that the state belongs to.</summary>
internal static class MasterKeyExamination
{
    /// <summary>Looks, and stores nothing. The data folder of a server alone is held meanwhile.</summary>
    public static async Task<Finding> ExamineAsync(ServerSettings settings, CancellationToken cancellationToken)
    {
        try
        {
            using var key = MasterKeyHosting.Find(settings);
            if (await StoredAsync(settings, cancellationToken) is not { } stored)
            {
                return new("", FindingState.Ok, "the state belongs to none yet; the first server that starts makes its own the one");
            }

            if (key?.Fingerprint == stored)
            {
                return new("", FindingState.Ok, "it is the one that the state belongs to");
            }

            var (detail, remedy) = MasterKeyHosting.Mismatch(settings, isMissing: key is null);
            return new("", FindingState.Wrong, detail, remedy);
        }
        catch (ConfigurationException exception)
        {
            return new("", FindingState.Wrong, exception.Message, "As it says.");
        }
    }

    private static async Task<string?> StoredAsync(ServerSettings settings, CancellationToken cancellationToken)
    {
        var file = Path.Combine(Path.GetFullPath(settings.DataFolder), DataFolder.StateName);
        if (settings.Cluster is null && !File.Exists(file))
        {
            return null;
        }

        using var held = settings.Cluster is null ? DataFolder.Open(settings.DataFolder) : null;
        using var state = await StateStorage.OpenAsync(settings, file, cancellationToken);
        return await new MasterKeyClaim(state.Grains).ReadAsync(cancellationToken);
    }
}
