using OrleansInference.Persistence;

namespace OrleansInference.Tests;

public sealed class GroupWriterTests
{
    [Fact]
    public async Task Changes_during_a_write_share_the_next_one_and_a_failure_reaches_those_it_concerns()
    {
        List<TaskCompletionSource> writes = [];
        var writer = new GroupWriter(() =>
        {
            writes.Add(new());
            return writes[^1].Task;
        });
        var first = writer.WriteAsync();
        var second = writer.WriteAsync();
        var third = writer.WriteAsync();
        Assert.Single(writes);
        Assert.False(first.IsCompleted);

        writes[0].SetResult();
        await first;
        Assert.Equal(2, writes.Count);
        Assert.False(second.IsCompleted);
        Assert.Same(second, third);

        writes[1].SetException(new InvalidOperationException("conflict"));
        await Assert.ThrowsAsync<InvalidOperationException>(() => third);

        var fourth = writer.WriteAsync();
        Assert.Equal(3, writes.Count);
        writes[2].SetResult();
        await fourth;
    }
}
