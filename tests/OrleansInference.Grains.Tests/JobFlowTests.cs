using OrleansInference.Leases;

namespace OrleansInference.Tests;

public sealed class JobFlowTests
{
    [Fact]
    public void A_job_counts_from_its_decision_until_a_status_has_it()
    {
        var flow = new JobFlow();
        flow.Changed(1);
        flow.Changed(1);
        Assert.Equal(2, flow.UncountedAt(0));

        var report = flow.Telling(2);
        Assert.Equal(2, flow.UncountedAt(1_000));
        report.Done(2_000);
        Assert.Equal(2, flow.UncountedAt(2_000));
        Assert.Equal(0, flow.UncountedAt(2_001));
    }

    [Fact]
    public void What_was_not_told_is_told_again()
    {
        var flow = new JobFlow();
        flow.Changed(3);
        flow.Telling(3).Undo();
        Assert.Equal(3, flow.UncountedAt(long.MaxValue - 1));

        flow.Telling(3).Done(10);
        Assert.Equal(3, flow.UncountedAt(10));
        Assert.Equal(0, flow.UncountedAt(11));
    }

    [Fact]
    public void A_job_that_ends_before_a_status_has_it_counts_no_more()
    {
        var flow = new JobFlow();
        flow.Changed(1);
        flow.Telling(1).Done(100);
        flow.Changed(-1);
        Assert.Equal(0, flow.UncountedAt(50));
        Assert.Equal(-1, flow.UncountedAt(101));
    }
}
