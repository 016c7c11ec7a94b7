namespace OrleansInference.Tests.Latency;

/// <summary>Latency samples in milliseconds of the shapes that inference has.</summary>
internal static class Samples
{
    public static readonly string[] Shapes = ["lognormal", "bimodal", "prefill-and-decode", "constant", "uniform-in-log"];

    // Quantiles of input and output tokens as conversation traffic has them (Azure LLM inference trace 2023, conv).
    private static readonly double[] At = [0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1];
    private static readonly double[] InputTokens = [3, 29, 207, 396, 1020, 1189, 2734, 4142, 14050];
    private static readonly double[] OutputTokens = [1, 16, 54, 85, 129, 395, 424, 601, 1000];

    public static double[] Of(string shape, int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => shape switch
        {
            "lognormal" => 300 * Math.Exp(0.8 * Normal(random)),
            "bimodal" => random.NextDouble() < 0.93 ? 20 * Math.Exp(0.2 * Normal(random)) : 4000 * Math.Exp(0.5 * Normal(random)),
            "prefill-and-decode" => ServiceMs(Tokens(random, InputTokens), Tokens(random, OutputTokens), random),
            "constant" => 137.0,
            _ => 0.1 * Math.Pow(1e9, random.NextDouble()),
        })];
    }

    public static double ServiceMs(double input, double output, Random random) =>
        1000 * ((input / 8000) + (output / 100)) * Math.Exp(0.1 * Normal(random));

    public static (double Input, double Output) ConversationLengths(Random random) => (Tokens(random, InputTokens), Tokens(random, OutputTokens));

    public static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    private static double Tokens(Random random, double[] quantiles)
    {
        var p = random.NextDouble();
        var i = Array.FindLastIndex(At, at => at <= p);
        return i == At.Length - 1 ? quantiles[^1] : quantiles[i] + ((quantiles[i + 1] - quantiles[i]) * (p - At[i]) / (At[i + 1] - At[i]));
    }
}
