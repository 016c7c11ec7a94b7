using OrleansInference.Leases;

namespace OrleansInference.Tests;

public sealed class DemandTallyTests
{
    [Fact]
    public void What_spilled_over_is_told_apart_from_what_came_and_once_also_if_the_first_telling_is_lost()
    {
        var tally = new DemandTally();
        Assert.Equal(new(), tally.Take(0).Spilled);
        tally.Spilled(TrafficClass.High, 40);
        tally.TurnedAwayHere(TrafficClass.High, 100, 7);
        tally.Spilled(TrafficClass.Medium, 25.9);
        tally.Spilled(TrafficClass.Low, 10);
        var lost = tally.Take(0);
        Assert.Equal(new SpilledDemand { Requests = 3, Milliseconds = 75, UrgentRequests = 1, UrgentMilliseconds = 40, TurnedAway = 1 }, lost.Spilled);
        Assert.Equal((1, 0, 1, 7L), (lost.Arrivals, lost.Completions, lost.Classes!.UrgentArrivals, lost.Classes.ArrivedMilliseconds));
        Assert.Equal(new(), tally.Take(0).Spilled);

        tally.PutBack(lost);
        tally.Spilled(TrafficClass.High, 5);
        Assert.Equal(new SpilledDemand { Requests = 4, Milliseconds = 80, UrgentRequests = 2, UrgentMilliseconds = 45, TurnedAway = 1 }, tally.Take(0).Spilled);
        Assert.Equal(new(), tally.Take(0).Spilled);
    }
}
