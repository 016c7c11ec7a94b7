using FsCheck.Xunit;
using OrleansInference.Batch;
using OrleansInference.Jobs;
using OrleansInference.Tests.Jobs;

namespace OrleansInference.Tests.Batch;

public sealed class BatchWindowTests
{
    private const long Start = 1_000_000;
    private const long Far = Start + 86_400_000;

    [Fact]
    public void A_window_closes_when_it_is_full_and_takes_nobody_then()
    {
        var (window, _) = Open();
        for (var i = 0; i < 5; i++)
        {
            Assert.True(window.Join(Member(i, Far), Start + i));
        }

        Assert.Equal(new(WindowAction.Close, Start), window.Next());
        Assert.False(window.Join(Member(5, Far), Start + 5));
        Assert.True(window.Join(Member(2, Far), Start + 5));
    }

    [Fact]
    public void A_window_closes_at_its_age_or_earlier_for_the_tightest_deadline()
    {
        var (window, _) = Open();
        window.Join(Member(0, Far), Start);
        Assert.Equal(Start + 900_000, window.ClosesAt);

        // Start 100 s and one wave of 2 s, a quarter more, the slowest record's 5 s and one look of 5 s.
        window.Join(Member(1, Start + 600_000), Start);
        Assert.Equal(Start + 600_000 - 127_500 - 10_000, window.ClosesAt);
        window.Leave(Member(1, Start).JobKey);
        Assert.Equal(Start + 900_000, window.ClosesAt);
    }

    [Fact]
    public void What_transform_jobs_really_take_moves_the_closing()
    {
        var (window, _) = Open(overheadMs: 200_000);
        window.Join(Member(0, Start + 600_000), Start);
        Assert.Equal(Start + 600_000 - 252_500 - 10_000, window.ClosesAt);
    }

    [Fact]
    public void A_member_may_leave_an_open_window_only()
    {
        var (window, record) = Open();
        window.Join(Member(0, Far), Start);
        window.Join(Member(1, Far), Start);
        Assert.True(window.Leave(Member(0, Far).JobKey));
        Assert.False(window.Leave(Member(0, Far).JobKey));
        window.Close(Start);
        Assert.False(window.Leave(Member(1, Far).JobKey));
        Assert.Single(record.Members);
    }

    [Fact]
    public void An_empty_window_ends_without_a_transform_job()
    {
        var (window, _) = Open();
        window.Join(Member(0, Far), Start);
        window.Leave(Member(0, Far).JobKey);
        window.Close(Start);
        Assert.Equal(WindowAction.Tell, window.Next().Action);
        window.End();
        Assert.Equal(WindowAction.Purge, window.Next().Action);
        Assert.True(window.Next().At <= Start);
        window.Failed(0.5, Start);
        Assert.Equal(WindowAction.Purge, window.Next().Action);
        Assert.True(window.Next().At > Start);
    }

    [Fact]
    public void The_transform_jobs_name_is_legal_and_differs_by_round_and_window()
    {
        var (window, record) = Open();
        var name = window.TransformJob(new string('p', 60));
        Assert.True(NameRule.IsValid(name));
        record.Round++;
        Assert.NotEqual(name, window.TransformJob(new string('p', 60)));
        record.Nonce = "other";
        Assert.True(NameRule.IsValid(window.TransformJob("oi")));
    }

    /// <summary>Any bad records among any number: only they fail, every member gets one outcome, and rounds, charges and costs stay within their bounds.</summary>
    [Property(MaxTest = 300)]
    public void A_bad_record_costs_only_itself(byte count, byte[] badOnes)
    {
        var members = 1 + (count % 200);
        var bad = badOnes.Take(3).Select(b => b % members).ToHashSet();
        var endpoint = JobSamples.Endpoint(Lane.Batch);
        endpoint = endpoint with { Endpoint = endpoint.Endpoint with { WindowMaxRequests = 1000 } };
        var record = new WindowRecord();
        var window = new BatchWindow(record, new());
        window.Open(endpoint, "n", null, Start);
        for (var i = 0; i < members; i++)
        {
            Assert.True(window.Join(Member(i, Far), Start));
        }

        window.Close(Start);
        var cost = Money.Zero;
        var now = Start + 900_000;
        var rounds = 0;
        while (window.Next().Action != WindowAction.Tell)
        {
            Assert.InRange(++rounds, 1, 4);
            Assert.Equal(WindowAction.Start, window.Next().Action);
            window.Started(now);
            Assert.Equal(WindowAction.Look, window.Next().Action);
            now += 100_000;
            var outcomes = record.Objects
                .Select(indexes => indexes.Any(bad.Contains) ? new ObjectOutcome(null, "bad record") : new([.. indexes.Select(i => new AnswerUse(10 + i))], null))
                .ToList();
            Assert.Equal(record.Members.Count(static m => m.Outcome is null), record.Objects.Sum(static o => o.Count));
            window.RoundEnded(outcomes, now - 90_000, 90_000, Money.FromNanos(777), now);
            cost += Money.FromNanos(777);
        }

        var results = window.Results();
        Assert.Equal(members, results.Count);
        for (var i = 0; i < members; i++)
        {
            Assert.Equal(bad.Contains(i), results[i].Result.Failure is not null);
            Assert.Equal(bad.Contains(i), results[i].Result.OutputKey is null);
            Assert.InRange(results[i].Result.Charge, Money.Zero, Money.FromNanos(3_000_000));
            Assert.Equal(bad.Contains(i), results[i].Result.Charge == Money.Zero);
        }

        Assert.Equal(cost, results.Aggregate(Money.Zero, static (sum, told) => sum + told.Result.Cost));
    }

    [Fact]
    public void An_object_that_is_not_to_blame_is_tried_again_whole_and_a_bounded_number_of_times()
    {
        var (window, record) = Open();
        for (var i = 0; i < 3; i++)
        {
            window.Join(Member(i, Far), Start);
        }

        window.Close(Start);
        for (var round = 0; round < 5; round++)
        {
            window.Started(Start);
            window.RoundEnded([new(null, "The transform job was stopped.", MayPass: true)], Start, 1_000, Money.FromNanos(1), Start);
            Assert.Equal([0, 1, 2], Assert.Single(record.Objects));
        }

        window.Started(Start);
        window.RoundEnded([new(null, "The transform job was stopped.", MayPass: true)], Start, 1_000, Money.FromNanos(1), Start);
        Assert.Equal(WindowAction.Tell, window.Next().Action);
        Assert.All(window.Results(), static told => Assert.Equal("The transform job was stopped.", told.Result.Failure));
    }

    [Fact]
    public void What_a_window_is_expected_to_take_follows_it_and_a_late_job_is_expected_to_be_as_late_again()
    {
        var (window, _) = Open();
        window.Join(Member(0, Far), Start);

        // A start of 100 s, one record of 2 s, and the slowest record's 5 s.
        Assert.Equal(window.ClosesAt + 107_000, window.ExpectedAt(Start));
        window.Close(Start);
        Assert.Equal(Start + 5_000 + 107_000, window.ExpectedAt(Start + 5_000));
        window.Started(Start + 5_000);
        Assert.Equal(Start + 112_000, window.ExpectedAt(Start + 60_000));
        Assert.Equal(Start + 172_000, window.ExpectedAt(Start + 142_000));
        window.RoundEnded([new([new AnswerUse(1)], null)], Start, 1, Money.Zero, Start + 150_000);
        Assert.Equal(Start + 150_000, window.ExpectedAt(Start + 150_000));
    }

    [Fact]
    public void Output_that_cannot_be_read_is_given_up_once_nobody_waits_for_it()
    {
        var (window, record) = Open();
        window.Join(Member(0, Start + 600_000), Start);
        window.Join(Member(1, Start + 900_000), Start);
        window.Close(Start);
        window.Started(Start + 1_000);
        var now = Start + 10_000;
        while (!window.IsLastLook(now))
        {
            Assert.False(window.Failed(1, now));
            now = window.Next().At;
            Assert.True(now < Start + 1_000_000);
        }

        Assert.True(now >= Start + 900_000);
        window.RoundEnded([new(null, "no access", MayPass: true)], Start, 5_000, Money.FromNanos(13), now);
        Assert.Equal(WindowAction.Tell, window.Next().Action);
        Assert.Equal(13, record.Cost);
        Assert.All(window.Results(), static told => Assert.Null(told.Result.OutputKey));
        Assert.Equal(13, window.Results().Sum(static told => told.Result.Cost.Nanos));
    }

    [Fact]
    public void Of_a_transform_job_that_cannot_be_asked_about_a_window_is_rid_in_the_end()
    {
        var (window, _) = Open();
        window.Join(Member(0, Start + 600_000), Start);
        window.Close(Start);
        window.Started(Start + 1_000);
        var now = Start + 10_000;
        while (!window.Failed(1, now))
        {
            Assert.Equal(WindowAction.Look, window.Next().Action);
            now = window.Next().At;
            Assert.True(now < Start + 600_000 + 3_600_000);
        }

        Assert.True(now >= Start + 660_000);
        Assert.Equal(WindowAction.Tell, window.Next().Action);
        Assert.NotNull(Assert.Single(window.Results()).Result.Failure);
    }

    [Fact]
    public void A_window_that_sagemaker_refuses_fails_its_members_with_the_reason()
    {
        var (window, _) = Open();
        window.Join(Member(0, Far), Start);
        window.Close(Start);
        window.Refused("no such model");
        Assert.Equal(WindowAction.Tell, window.Next().Action);
        Assert.Equal("no such model", Assert.Single(window.Results()).Result.Failure);
    }

    // Start 100 s, 200 members of 2 s on slots by fours: twice that, the slowest record's 5 s and one look of 5 s. On one instance 410 s, on two 310, on three 278, on eight 238.
    [Theory]
    [InlineData(410_000, 1)]
    [InlineData(409_999, 2)]
    [InlineData(310_000, 2)]
    [InlineData(309_999, 3)]
    [InlineData(238_000, 8)]
    [InlineData(0, 8)]
    [InlineData(-1_000, 8)]
    public void A_round_has_the_fewest_instances_on_which_it_is_done_by_its_tightest_deadline(long left, int instances)
    {
        var (window, record) = OpenLarge();
        for (var i = 0; i < 200; i++)
        {
            Assert.True(window.Join(Member(i, i == 7 ? Start + left : Far), Start - 400_000));
        }

        var expected = window.ClosesAt;
        Assert.Equal(8, window.Instances);
        window.Close(Start);
        Assert.Equal((instances, instances), (window.Instances, record.Instances));
        Assert.Equal(Math.Min(Start + 40_000_000, Start + left - 152_500), expected);

        // SageMaker deals the objects out: no instance has much more than its share.
        Assert.Equal(Enumerable.Range(0, 200), record.Objects.SelectMany(static indexes => indexes).Order());
        var shares = Enumerable.Range(0, instances).Select(instance => record.Objects.Where((_, index) => index % instances == instance).Sum(static indexes => indexes.Count));
        Assert.All(shares, share => Assert.InRange(share, 1, 1.25 * 200 / instances));
    }

    [Fact]
    public void Members_that_one_wave_serves_have_one_instance_however_late_they_are()
    {
        var (window, record) = OpenLarge();
        for (var i = 0; i < 4; i++)
        {
            window.Join(Member(i, Start + 1_000), Start);
        }

        window.Close(Start + 500);
        Assert.Equal(1, record.Instances);
    }

    [Fact]
    public void A_round_keeps_its_instances_and_the_next_one_has_its_own()
    {
        var (window, record) = OpenLarge();
        for (var i = 0; i < 200; i++)
        {
            window.Join(Member(i, Start + 280_000), Start - 300_000);
        }

        window.Close(Start);
        Assert.Equal(3, window.Instances);
        window.Started(Start);
        Assert.Equal(Start + 100_000 + 34_000 + 5_000, window.ExpectedAt(Start));
        Assert.Equal(16_000, window.OverheadOf(200, 50_000));
        window.Vanished();
        Assert.Equal(3, window.Instances);
        window.Started(Start);
        window.RoundEnded([.. record.Objects.Select(static (indexes, i) => i == 0 ? new ObjectOutcome(null, "bad record") : new ObjectOutcome([.. indexes.Select(static _ => new AnswerUse(1))], null))], Start, 50_000, Money.Zero, Start + 60_000);

        // 34 are left, which is two waves on eight instances and on five.
        Assert.Equal(34, record.Objects.Sum(static indexes => indexes.Count));
        Assert.Equal(5, window.Instances);
    }

    [Fact]
    public void A_window_that_was_stored_without_its_instances_has_the_most()
    {
        var (window, record) = OpenLarge();
        window.Join(Member(0, Far), Start);
        window.Close(Start);
        window.Started(Start);
        record.Instances = 0;
        Assert.Equal(8, new BatchWindow(record, new()).Instances);
    }

    private static (BatchWindow Window, WindowRecord Record) OpenLarge()
    {
        var record = new WindowRecord();
        var window = new BatchWindow(record, new());
        var endpoint = JobSamples.Endpoint(Lane.Batch);
        window.Open(endpoint with { Endpoint = endpoint.Endpoint with { MaxInstances = 8, WindowMaxRequests = 1_000, WindowMaxSeconds = 40_000 } }, "abc123", null, Start);
        return (window, record);
    }

    private static (BatchWindow Window, WindowRecord Record) Open(double? overheadMs = null)
    {
        var record = new WindowRecord();
        var window = new BatchWindow(record, new());
        window.Open(JobSamples.Endpoint(Lane.Batch), "abc123", overheadMs, Start);
        return (window, record);
    }

    private static WindowMember Member(int i, long deadline) => new()
    {
        JobKey = new JobAddress(new("acme"), JobAddress.IdOf(new("acme"), $"{i}")).Key,
        InputKey = $"jobs/acme/{i}/input",
        Bytes = 100,
        Deadline = deadline,
        ChargeCap = Money.FromNanos(3_000_000),
        ContentType = "application/json",
        InputTokens = i,
    };
}
