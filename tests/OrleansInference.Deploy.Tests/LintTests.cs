namespace OrleansInference.Tests;

/// <summary>Templates, manifests, compose file and Dockerfile are what their schemas allow.</summary>
public sealed class LintTests(DeployFiles files)
{
    public static TheoryData<string> Mutations => [.. Mutation.All.Select(static mutation => mutation.Name)];

    [Fact]
    public void Nothing_is_wrong_with_the_files() => Assert.Empty(files.Problems);

    [Theory]
    [MemberData(nameof(Mutations))]
    public void A_mistake_is_found(string name)
    {
        var mutation = Mutation.All.Single(mutation => mutation.Name == name);
        Assert.Contains(files.ProblemsAfter(mutation), problem => problem.Contains(mutation.Expected, StringComparison.Ordinal));
    }
}
