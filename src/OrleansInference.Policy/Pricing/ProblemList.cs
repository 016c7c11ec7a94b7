using System.Collections.Immutable;
using System.Globalization;

namespace OrleansInference.Pricing;

/// <summary>Collects the problems of a catalog, each as <c>path: what is wrong; remedy</c>.</summary>
internal sealed class ProblemList
{
    private readonly ImmutableArray<string>.Builder _problems = ImmutableArray.CreateBuilder<string>();

    public int Count => _problems.Count;

    public void Add(string path, FormattableString problem) =>
        _problems.Add($"{path}: {problem.ToString(CultureInfo.InvariantCulture)}");

    public void Require(bool holds, string path, FormattableString problem)
    {
        if (!holds)
        {
            Add(path, problem);
        }
    }

    /// <summary>Requires a number in a closed range; NaN is outside of every range.</summary>
    public void RequireRange(double value, double least, double most, string path) =>
        Require(value >= least && value <= most, path, $"{value} is outside {least}..{most}; give a number in that range");

    public void RequireRange(long value, long least, long most, string path) =>
        Require(value >= least && value <= most, path, $"{value} is outside {least}..{most}; give a whole number in that range");

    public void RequireNotNegative(Money money, string path) =>
        Require(!money.IsNegative, path, $"{money} $ is negative; give zero or more");

    public ImmutableArray<string> ToImmutable() => _problems.ToImmutable();
}
