namespace OrleansInference.DynamoDB.Tests;

/// <summary>Tests that share the one server; those that inject faults run after each other.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class DynaliteCollection : ICollectionFixture<Dynalite>
{
    public const string Name = "dynalite";
}
