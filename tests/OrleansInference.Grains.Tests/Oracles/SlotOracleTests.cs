using OrleansInference.Oracles;

namespace OrleansInference.Tests.Oracles;

public sealed class SlotOracleTests
{
    [Fact]
    public void One_request_too_many_is_found_and_one_that_follows_another_is_not_too_many()
    {
        SlotUse[] uses = [Use(TrafficClass.High, 0, 0, 10), Use(TrafficClass.High, 0, 0, 10), Use(TrafficClass.High, 0, 10, 20)];
        Assert.Empty(SlotOracle.Excess(uses, static _ => 2));
        Assert.Single(SlotOracle.Excess([.. uses, Use(TrafficClass.Low, 5, 9, 12)], static _ => 2));
        Assert.Equal(2, SlotOracle.Excess(uses, static at => at < 10 ? 1 : 0).Count);
    }

    [Fact]
    public void A_lower_class_that_is_sent_while_a_higher_one_waits_is_found()
    {
        var low = Use(TrafficClass.Low, 0, 100, 200);
        Assert.Empty(SlotOracle.Inversions([low, Use(TrafficClass.High, 95, 101, 200)], knownAfterMs: 10));
        Assert.Empty(SlotOracle.Inversions([low, Use(TrafficClass.High, 10, 99, 200)], knownAfterMs: 10));
        Assert.Single(SlotOracle.Inversions([low, Use(TrafficClass.High, 10, 101, 200)], knownAfterMs: 10));
        Assert.Single(SlotOracle.Inversions([low, new(TrafficClass.Medium, 10, null, 150)], knownAfterMs: 10));
        Assert.Empty(SlotOracle.Inversions([low with { Class = TrafficClass.High }, Use(TrafficClass.Low, 10, 101, 200)], knownAfterMs: 10));
    }

    private static SlotUse Use(TrafficClass trafficClass, long arrivedAt, long sentAt, long endedAt) => new(trafficClass, arrivedAt, sentAt, endedAt);
}
