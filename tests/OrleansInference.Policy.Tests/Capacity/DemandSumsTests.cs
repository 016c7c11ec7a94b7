using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

public sealed class DemandSumsTests
{
    private static CapacityObservation Seen => new() { Now = 1, Waiting = 9, Deferrable = 4, WaitingWorkMs = 900 };

    [Fact]
    public void What_silos_tell_is_what_the_requests_themselves_would_have_told()
    {
        var (one, other) = (new DemandSums(), new DemandSums());
        for (var i = 0; i < 30; i++)
        {
            one.Arrived((TrafficClass)(i % 3), 1_000 * (1 + (i % 3)), 40);
            one.Ended((TrafficClass)(i % 3), 50);
        }

        foreach (var _ in (int[])[0, 1])
        {
            other.Hear(new()
            {
                Arrivals = 15,
                Completions = 15,
                BusyMilliseconds = 750,
                Classes = new()
                {
                    UrgentArrivals = 5,
                    UrgentCompletions = 5,
                    UrgentBusyMilliseconds = 250,
                    ArrivedMilliseconds = 600,
                    UrgentSlackMilliseconds = 5_000,
                    MediumArrivals = 5,
                    MediumSlackMilliseconds = 10_000,
                    LowSlackMilliseconds = 15_000,
                },
            });
        }

        var (told, heard) = (one.Take(Seen, true), other.Take(Seen, true));
        Assert.Equal((30, 30, 1_500, 10, 10, 500), (told.Arrivals, told.Completions, told.BusyMs, told.UrgentArrivals, told.UrgentCompletions, told.UrgentBusyMs));
        Assert.Equal((1_000.0, 2_000.0, 1_200.0), (told.UrgentWaitMs, told.PatientWaitMs, told.ArrivedWorkMs));
        Assert.Equal(told, heard);
        Assert.Equal(0, told.Deferrable);
        Assert.Equal(900, told.WaitingWorkMs);
        Assert.Equal((0, 0, 0), (one.Take(Seen, true).Arrivals, one.Take(Seen, true).UrgentArrivals, one.Take(Seen, true).BusyMs));
    }

    [Fact]
    public void Requests_that_were_turned_away_count_as_come_and_not_as_ended()
    {
        var (one, other) = (new DemandSums(), new DemandSums());
        one.Refused(40);
        one.Refused(60);
        other.Hear(new() { Refused = 2, RefusedMilliseconds = 100, Classes = new() });
        var (told, heard) = (one.Take(Seen, true), other.Take(Seen, true));
        Assert.Equal((2, 0, 100.0, 0, 0.0), (told.Arrivals, told.Completions, told.ArrivedWorkMs, told.UrgentArrivals, told.PatientWaitMs));
        Assert.Equal(told, heard);
        Assert.Equal(0, one.Take(Seen, true).Arrivals);
    }

    [Fact]
    public void Requests_that_spilled_over_count_as_come_and_served_and_say_nothing_of_how_long_others_can_wait()
    {
        var (one, other) = (new DemandSums(), new DemandSums());
        one.Spilled(TrafficClass.High, 40);
        one.Spilled(TrafficClass.Low, 60);
        one.TurnedAway();
        other.Hear(new() { Classes = new(), Spilled = new() { Requests = 2, Milliseconds = 100, UrgentRequests = 1, UrgentMilliseconds = 40, TurnedAway = 1 } });
        var (told, heard) = (one.Take(Seen, true), other.Take(Seen, true));
        Assert.Equal((2, 2, 100L, 100.0), (told.Arrivals, told.Completions, told.BusyMs, told.ArrivedWorkMs));
        Assert.Equal((1, 1, 40L, 0.0, 0.0), (told.UrgentArrivals, told.UrgentCompletions, told.UrgentBusyMs, told.UrgentWaitMs, told.PatientWaitMs));
        Assert.Equal(told, heard);
        Assert.Equal(1, told.TurnedAway);
        Assert.Equal((0, 0), (other.Take(Seen, true).Arrivals, other.Take(Seen, true).TurnedAway));
    }

    [Fact]
    public void Where_a_silo_does_not_tell_what_it_served_elsewhere_nothing_is_relied_on_there_until_the_next_decision()
    {
        var sums = new DemandSums();
        var seen = Seen with { SpillRatio = 3 };
        sums.Hear(new() { Arrivals = 1, Classes = new(), Spilled = new() });
        Assert.Equal(3, sums.Take(seen, true).SpillRatio);
        sums.Hear(new() { Arrivals = 1, Classes = new(), Spilled = new() });
        sums.Hear(new() { Arrivals = 1, Classes = new() });
        Assert.Equal(0, sums.Take(seen, true).SpillRatio);
        Assert.Equal(3, sums.Take(seen, true).SpillRatio);
    }

    [Fact]
    public void A_silo_that_tells_the_whole_only_leaves_the_classes_as_one_until_the_next_decision()
    {
        var sums = new DemandSums();
        sums.Hear(new() { Arrivals = 3, Completions = 2, Throttled = 1, BusyMilliseconds = 70, Classes = new() { UrgentArrivals = 3, UrgentSlackMilliseconds = 900 } });
        sums.Hear(new() { Arrivals = 1 });
        var whole = sums.Take(Seen, true);
        Assert.Equal((4, 2, 1, 70, null, 4, 0), (whole.Arrivals, whole.Completions, whole.Throttled, whole.BusyMs, whole.UrgentArrivals, whole.Deferrable, whole.WaitingWorkMs));
        Assert.Equal(0, sums.Take(Seen, true).UrgentArrivals);
        Assert.Null(sums.Take(Seen, false).UrgentArrivals);
    }

    [Fact]
    public void Who_waits_least_of_those_who_can_wait_counts_unless_hardly_any_come()
    {
        var sums = new DemandSums();
        sums.Arrived(TrafficClass.Low, 86_400_000, 1);
        Assert.Equal(86_400_000, sums.PatientWaitMs);
        for (var i = 0; i < 100; i++)
        {
            sums.Arrived(i % 10 == 0 ? TrafficClass.Medium : TrafficClass.Low, i % 10 == 0 ? 300_000 : 86_400_000, 1);
        }

        Assert.Equal(300_000, sums.PatientWaitMs, 1e-6);
        for (var i = 0; i < 1_000; i++)
        {
            sums.Arrived(TrafficClass.Low, 86_400_000, 1);
        }

        Assert.Equal(86_400_000, sums.PatientWaitMs, 1e-3);
    }

    [Fact]
    public void Nonsense_from_a_silo_is_nothing()
    {
        var sums = new DemandSums();
        sums.Hear(new() { Arrivals = -5, Completions = -1, BusyMilliseconds = -9, Classes = new() { UrgentArrivals = -4, MediumArrivals = -4, UrgentSlackMilliseconds = -100, ArrivedMilliseconds = -1 }, Spilled = new() { Requests = -3, Milliseconds = -5, UrgentRequests = -2, TurnedAway = -4 } });
        sums.Hear(new() { Classes = new(), Spilled = new() { Requests = 0, Milliseconds = -5, UrgentRequests = 7 } });
        var taken = sums.Take(Seen, true);
        Assert.Equal((0, 0, 0L, 0, 0.0, 0.0), (taken.Arrivals, taken.Completions, taken.BusyMs, taken.UrgentArrivals, taken.UrgentWaitMs, taken.ArrivedWorkMs));
    }
}
