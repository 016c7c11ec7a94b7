using OrleansInference.Leases;

namespace OrleansInference.Tests;

public sealed class RecentWorkTests
{
    [Fact]
    public void What_came_since_a_moment_is_counted_and_what_is_older_than_a_minute_forgotten()
    {
        var work = new RecentWork();
        for (var second = 0; second < 200; second++)
        {
            work.Add(1_000, second * 1_000L);
        }

        Assert.Equal(5_000, work.Since(195_500, 199_999));
        Assert.Equal(64_000, work.Since(0, 199_000));
        Assert.Equal(0, work.Since(200_000, 200_000));
        Assert.Equal(0, work.Since(0, 400_000));
    }
}
