using System.Numerics;

namespace OrleansInference.Latency;

/// <summary>
/// Sorts requests by predicted work, so that service time is measured per size. A model whose answers have no length
/// (<see cref="ModelDefinition.MaxOutputTokens"/> of at most 1) uses all classes for its input, one a power of two; any
/// other eight classes of output, one a power of two, for writing the answer takes most of the time, each for short and for long input.
/// </summary>
public static class SizeClass
{
    /// <summary>Number of classes; a class is 0..Count-1.</summary>
    public const int Count = 16;

    private const int OutputClasses = 8;

    // The most tokens of a short input.
    private const int ShortInput = 2048;

    /// <summary>The class by input alone: up to 16 tokens, up to 32, … , more than 262,144.</summary>
    public static int Of(int inputTokens) => Math.Clamp(Log2Ceiling(inputTokens) - 4, 0, Count - 1);

    /// <summary>The class of a request to a model that answers with at most <paramref name="modelMaxOutputTokens"/> tokens.</summary>
    /// <param name="modelMaxOutputTokens">The model's own limit, which chooses between the two forms.</param>
    /// <param name="inputTokens">Input tokens, known or estimated.</param>
    /// <param name="maxOutputTokens">The most output tokens the request asks for.</param>
    public static int Of(int modelMaxOutputTokens, int inputTokens, int maxOutputTokens)
    {
        if (modelMaxOutputTokens <= 1)
        {
            return Of(inputTokens);
        }

        // Output at 32, 64, … , 2048 tokens.
        var output = Math.Clamp(Log2Ceiling(maxOutputTokens) - 5, 0, OutputClasses - 1);
        return (2 * output) + (inputTokens > ShortInput ? 1 : 0);
    }

    private static int Log2Ceiling(int value) => value <= 1 ? 0 : BitOperations.Log2((uint)value - 1) + 1;
}
