using OrleansInference.Demo;

namespace OrleansInference.Tests.Demo;

public sealed class DemoAuditTests
{
    private static readonly DemoRequest Request = new(TimeSpan.Zero, DemoCatalog.Harbor, DemoCatalog.ChatLarge, TrafficClass.High, 100, 10, 64);

    [Fact]
    public void Equal_sums_agree() => Assert.All(DemoAudit.Compare(Figures(settled: 1000), [Line(1000)]), check => Assert.True(check.Agrees, check.ToString()));

    [Fact]
    public void One_nano_dollar_in_the_ledger_is_a_difference()
    {
        var wrong = DemoAudit.Compare(Figures(settled: 1001), [Line(1000)]).Where(check => !check.Agrees).ToArray();
        Assert.Equal(2, wrong.Length);
        Assert.Contains("$0.000001000 is not $0.000001001", wrong[0].ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_charge_that_no_caller_was_told_is_a_difference() =>
        Assert.Contains(DemoAudit.Compare(Figures(settled: 2000), [Line(2000)]), check => !check.Agrees && check.What.Contains("they were told", StringComparison.Ordinal));

    [Fact]
    public void Charges_of_an_earlier_run_in_the_same_folder_do_not_count_nor_what_it_lost_when_it_was_killed()
    {
        var before = TenantBooks.Empty with { Logged = Money.FromNanos(500), Settled = Money.FromNanos(300) };
        Assert.All(DemoAudit.Compare(Figures(settled: 1300, before), [Line(1500)]), check => Assert.True(check.Agrees, check.ToString()));
        Assert.Contains(DemoAudit.Compare(Figures(settled: 1301, before), [Line(1500)]), check => !check.Agrees);
    }

    [Fact]
    public void Jobs_of_an_earlier_run_that_end_in_this_one_are_counted_apart()
    {
        var figures = Figures(settled: 1700, TenantBooks.Empty with { CarriedOver = new(2, 1, Money.FromNanos(40)) });
        figures = figures with { Endpoints = [.. figures.Endpoints.Select(static endpoint => endpoint with { Predictions = 4 })] };
        AuditLine[] audit = [Line(1700) with { CarriedOver = new(6, 4, Money.FromNanos(740)) }];
        Assert.All(DemoAudit.Compare(figures, audit), check => Assert.True(check.Agrees, check.ToString()));
        var said = DemoAudit.Describe(figures, DemoAudit.CarriedOver(figures, audit));
        Assert.Contains("asked for in an earlier one: 4 jobs, 3 predictions, $0.000000700;", said, StringComparison.Ordinal);
        Assert.EndsWith("$0.000001700", said, StringComparison.Ordinal);

        // A charge of this run that nobody was told of does not hide among them.
        Assert.Contains(DemoAudit.Compare(figures, [audit[0] with { CarriedOver = new(6, 4, Money.FromNanos(739)) }]), check => !check.Agrees);
        Assert.Null(DemoAudit.Describe(figures, DemoAudit.CarriedOver(Figures(settled: 1000), [Line(1000)])));
    }

    [Fact]
    public void A_request_without_an_end_is_a_difference()
    {
        var figures = Figures(settled: 1000);
        var open = figures with { Counts = figures.Counts with { Sent = figures.Counts.Sent + 1 } };
        Assert.Contains(DemoAudit.Compare(open, [Line(1000)]), check => !check.Agrees && check.What.StartsWith("requests sent", StringComparison.Ordinal));
    }

    private static AuditLine Line(long nanos) => new() { Tenant = DemoCatalog.Harbor, Records = 1, Charged = Money.FromNanos(nanos) };

    /// <summary>One answer that was charged 1000 nano-dollars and one refusal.</summary>
    internal static DemoFigures Figures(long settled, TenantBooks? before = null)
    {
        var baseline = new RealtimeBaseline(DemoCatalog.Create());
        var score = new DemoScore(baseline);
        score.Sent(TrafficClass.High);
        score.Answered(Request, Lane.Realtime, Money.FromNanos(1000), 1500);
        score.Sent(TrafficClass.High);
        score.Failed(Request, "BudgetExhausted", Money.Zero);
        return new()
        {
            Counts = score.Read(),
            Endpoints = [new(new("chat-full-rt"), DemoCatalog.ChatLarge, Lane.Realtime, 1, 1, Money.FromNanos(5000), Money.FromNanos(1000), 1)],
            Budgets = [new(DemoCatalog.Harbor, Money.FromDollars(4), Money.FromDollars(3), Money.FromNanos(settled), before ?? TenantBooks.Empty)],
            AllRealtimeAt99 = Money.Zero,
            AllRealtimeAtPeak = Money.Zero,
        };
    }
}
