using System.Globalization;

namespace OrleansInference.Batch;

/// <summary>What windows and batches have in common: rounds of transform jobs, of which each has what the one before left.</summary>
internal static class TransformRounds
{
    /// <summary>A transform job's name: the same for the same round, and no other's.</summary>
    /// <param name="prefix">The deployment's prefix.</param>
    /// <param name="endpoint">Where it runs.</param>
    /// <param name="nonce">Letters and digits that no other window or batch has.</param>
    /// <param name="round">Transform jobs before it.</param>
    public static string Name(string prefix, EndpointName endpoint, string nonce, int round)
    {
        var suffix = string.Create(CultureInfo.InvariantCulture, $"-{nonce}-{round}");
        var name = $"{prefix}-{endpoint}";
        return string.Concat(name.AsSpan(0, Math.Min(name.Length, NameRule.MaxLength - suffix.Length)).TrimEnd('-'), suffix);
    }

    /// <summary>Unix ms of the next look at a transform job that runs: the longer it does, the rarer.</summary>
    /// <param name="limits">Bounds.</param>
    /// <param name="startedAt">Unix ms of its creation.</param>
    /// <param name="checkedAt">Unix ms of the last look; 0: none yet.</param>
    public static long NextLook(WindowLimits limits, long startedAt, long checkedAt) => checkedAt == 0
        ? startedAt + limits.LookEveryMs
        : checkedAt + Math.Clamp((checkedAt - startedAt) / 8, limits.LookEveryMs, limits.LookAtMostEveryMs);

    /// <summary>Records of an object of the next round that is made of one that failed: all of it if they are not to blame.</summary>
    /// <param name="limits">Bounds.</param>
    /// <param name="records">Records of the one that failed.</param>
    /// <param name="mayPass">Whether they are not to blame.</param>
    public static int PartOf(WindowLimits limits, int records, bool mayPass) => Math.Max(1, mayPass ? records : (records + limits.SplitInto - 1) / limits.SplitInto);
}
