using FsCheck.Xunit;
using OrleansInference.Budgets;

namespace OrleansInference.Tests.Budgets;

/// <summary>Jobs that wait for a tenant's money: who gets it, in what order, and that nobody takes it from under them.</summary>
public sealed class HeldOrderTests
{
    private const long Start = 1_800_000_000_000;
    private const long Window = 600_000;

    [Fact]
    public void Money_that_frees_goes_to_the_earliest_deadline_then_to_the_higher_class()
    {
        var ledger = Full(limit: 10);
        Assert.True(Hold(ledger, "late", need: 4, deadline: 9_000_000, Start));
        Assert.True(Hold(ledger, "low", need: 4, deadline: 5_000_000, Start, TrafficClass.Low));
        Assert.True(Hold(ledger, "high", need: 4, deadline: 5_000_000, Start, TrafficClass.High));
        Assert.Empty(ledger.TakeFunded());
        ledger.Settle("full", Money.FromNanos(1), Start + 1_000);
        Assert.Equal(["high", "low"], ledger.TakeFunded().Select(static job => job.Id));
        Assert.Equal(1, ledger.HeldCount);
        Assert.True(ledger.FindAdmission("high") == Start + 1_000 && ledger.FindAdmission("late") is null);
        ledger.Settle("high", Money.Zero, Start + 2_000);
        Assert.Equal([new("late", Start + 2_000)], ledger.TakeFunded());
        Assert.Null(ledger.HeldState);
    }

    [Fact]
    public void A_calendar_day_s_money_is_theirs_at_its_first_moment()
    {
        var ledger = new TenantLedger(new() { Id = new("t"), Budgets = [new() { Kind = BudgetWindowKind.CalendarDay, Limit = Money.FromNanos(10) }] });
        ledger.Reserve("full", Money.FromNanos(10), Start + 1, Start);
        ledger.Settle("full", Money.FromNanos(10), Start);
        Assert.True(Hold(ledger, "a", need: 6, deadline: 2 * 86_400_000, Start));
        Assert.True(Hold(ledger, "b", need: 6, deadline: 3 * 86_400_000, Start));
        var morning = ledger.NextServiceAt(Start)!.Value;
        ledger.ServeHeld(morning - 1);
        Assert.Empty(ledger.TakeFunded());

        // A request of that moment comes after those that waited for it.
        Assert.False(ledger.Reserve("new", Money.FromNanos(5), morning + 1_000, morning).Granted);
        Assert.Equal(["a"], ledger.TakeFunded().Select(static job => job.Id));
        Assert.True(ledger.Reserve("new", Money.FromNanos(4), morning + 1_000, morning).Granted);
    }

    [Fact]
    public void Small_requests_do_not_eat_for_ever_what_a_larger_held_job_waits_for()
    {
        var ledger = Full(limit: 10, Window);
        Assert.True(Hold(ledger, "large", need: 8, deadline: 20 * Window, Start));
        var (small, refused) = (0, 0);
        long? funded = null;
        for (var now = Start + 1_000; now < Start + (10 * Window) && funded is null; now += 1_000)
        {
            // Somebody wants a little every second, and silos want a lease.
            var reply = ledger.Reserve($"small-{now}", Money.FromNanos(1), now + 10_000, now);
            if (reply.Granted)
            {
                small++;
                ledger.Settle($"small-{now}", Money.FromNanos(1), now);
            }
            else
            {
                refused++;
                Assert.True(reply.RetryAfterMs > 0);
            }

            var lease = ledger.Refill(new() { Holder = "silo", LeaseId = now, Wanted = 2, AtLeast = 1 }, now);
            ledger.Refill(new() { Holder = "silo", LeaseId = now, Settled = lease!.Granted, Closing = true }, now);
            funded = ledger.TakeFunded() is [var job] ? job.AdmittedAt : null;
        }

        // What is spent before its turn has left the window one length later.
        Assert.NotNull(funded);
        Assert.InRange(funded.Value, Start + Window, Start + (2 * Window) + 60_000);
        Assert.True(refused > 0);
    }

    [Fact]
    public void One_that_cannot_have_its_money_in_time_holds_up_nobody()
    {
        var ledger = Full(limit: 10, Window);
        Assert.True(Hold(ledger, "hopeless", need: 9, deadline: 60_000, Start));
        Assert.True(Hold(ledger, "never", need: 11, deadline: 5 * Window, Start));
        Assert.True(Hold(ledger, "good", need: 3, deadline: 6 * Window, Start));
        ledger.Settle("full", Money.FromNanos(6), Start + 1_000);
        Assert.Equal(["good"], ledger.TakeFunded().Select(static job => job.Id));
        Assert.True(ledger.Reserve("new", Money.FromNanos(1), Start + 60_000, Start + 50_000).Granted);
        Assert.Null(ledger.NextServiceAt(Start + 61_000));
        ledger.ServeHeld(Start + 61_000);
        Assert.Equal(["never"], ledger.HeldState!.Select(static job => job.Id));
    }

    [Fact]
    public void A_refusal_while_it_is_saved_says_so_and_its_figures_add_up()
    {
        var ledger = Full(limit: 10, Window);
        Assert.True(Hold(ledger, "large", need: 9, deadline: 20 * Window, Start));
        var turn = ledger.HeldState![0].TurnAt;
        ledger.Settle("full", Money.FromNanos(4), Start + 1_000);
        Assert.True(ledger.Reserve("before", Money.FromNanos(5), turn + Window, turn - 1_000).Granted);
        var refused = ledger.Reserve("after", Money.FromNanos(1), turn + Window, turn + 1_000);
        Assert.False(refused.Granted);
        Assert.True(ledger.IsSaving);
        Assert.Equal(Money.Zero, refused.Shortage!.Available);
        Assert.Contains("0.000000005 $ saved for held jobs", refused.Shortage.Reason, StringComparison.Ordinal);
        Assert.True(refused.RetryAfterMs > 0);
        Assert.True(Hold(ledger, "large", need: 9, deadline: 20 * Window, turn + 2_000));
        Assert.Equal(turn, ledger.HeldState![0].TurnAt);
    }

    [Property(MaxTest = 300)]
    public void Money_is_given_in_order_and_never_twice_nor_beyond_the_limit_nor_to_others_first(int seed)
    {
        var random = new Random(seed);
        var limit = random.Next(5, 40);
        var ledger = Full(limit, Window);
        var now = Start;
        var waiting = new Dictionary<string, HeldJob>();
        var open = new List<string> { "full" };
        var given = new HashSet<string>();
        for (var step = 0; step < 120; step++)
        {
            now += random.Next(4) == 0 ? random.Next(200_000) : random.Next(3_000);
            var id = $"{step}";
            var amount = random.Next(1, limit + 2);
            var granted = false;
            switch (random.Next(5))
            {
                case 0 or 1:
                    var job = new HeldJob(id, now + random.Next(1, (int)(4 * Window)), amount, now + (9 * Window), (TrafficClass)random.Next(3));
                    if (ledger.TryHold(job, 6, now))
                    {
                        waiting[id] = job;
                    }
                    else
                    {
                        Assert.True(waiting.Values.Count(held => held.Until > now) >= 6, $"seed {seed}: refused with room");
                    }

                    break;
                case 2:
                    granted = ledger.Reserve(id, Money.FromNanos(amount), now + (9 * Window), now).Granted;
                    if (granted)
                    {
                        open.Add(id);
                    }

                    break;
                case 3 when open.Count > 0:
                    var ended = open[random.Next(open.Count)];
                    open.Remove(ended);
                    ledger.Settle(ended, Money.FromNanos(random.Next(0, 3)), now);
                    break;
                default:
                    ledger.ServeHeld(now);
                    break;
            }

            foreach (var funded in ledger.TakeFunded())
            {
                Assert.True(given.Add(funded.Id), $"seed {seed}: {funded.Id} twice");
                Assert.True(waiting.Remove(funded.Id, out var served) && served.Until > now && ledger.FindAdmission(funded.Id) == now, $"seed {seed}: {funded.Id} late or unknown");
                open.Add(funded.Id);

                // Before it in the order waits none that its money would have been enough for, but one that has just come.
                Assert.DoesNotContain(waiting.Values, other => other.Id != id && other.Until > now && IsBefore(other, served) && other.Need <= served.Need);
            }

            var left = waiting.Values.Where(held => held.Until > now).ToList();
            Assert.True(ledger.GetView(now).Windows.All(static window => window.Available >= Money.Zero), $"seed {seed}: overspent");
            if (granted && left.Count > 0)
            {
                Assert.DoesNotContain(left, held => held.Need <= amount);
            }

            // What is there is for whom it is enough, unless it is saved for one whose turn has come.
            if (ledger.IsSaving)
            {
                Assert.Contains(ledger.HeldState!, held => held.TurnAt <= now);
                Assert.False(ledger.Reserve($"more-{step}", Money.FromNanos(1), now + 1, now).Granted);
            }
            else
            {
                Assert.DoesNotContain(left, held => held.Need <= ledger.GetView(now).Windows[0].Available.Nanos);
            }

            Assert.Equal(left.Count, ledger.HeldState?.Count(held => held.Until > now) ?? 0);
        }
    }

    private static bool IsBefore(HeldJob one, HeldJob other) =>
        one.Until < other.Until || (one.Until == other.Until && (one.Class < other.Class || (one.Class == other.Class && string.CompareOrdinal(one.Id, other.Id) < 0)));

    private static TenantLedger Full(long limit, long windowMs = 3_600_000)
    {
        var ledger = new TenantLedger(new() { Id = new("t"), Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = windowMs / 1000, Limit = Money.FromNanos(limit) }] });
        Assert.True(ledger.Reserve("full", Money.FromNanos(limit), Start + (100 * Window), Start).Granted);
        return ledger;
    }

    private static bool Hold(TenantLedger ledger, string id, long need, long deadline, long now, TrafficClass trafficClass = TrafficClass.Medium) =>
        ledger.TryHold(new(id, Start + deadline, need, Start + deadline + 3_600_000, trafficClass), most: 100, now);
}
