namespace OrleansInference.Simulator.Commands;

/// <summary>What the product's own commands work with.</summary>
internal static class Benches
{
    /// <summary>The policies and scenarios that come with the product.</summary>
    public static Bench Shipped { get; } = new()
    {
        Policies = [],
        Read = static name => throw new UserMistakeException($"There is no scenario '{name}'."),
        Shipped = static () => [],
    };
}
