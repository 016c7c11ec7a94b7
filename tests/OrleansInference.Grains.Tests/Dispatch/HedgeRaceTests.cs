using OrleansInference.Dispatch;

namespace OrleansInference.Tests.Dispatch;

public sealed class HedgeRaceTests
{
    [Fact]
    public void The_first_answer_decides_whoever_fails()
    {
        var race = new HedgeRace();
        Assert.True(race.TryJoin());
        Assert.False(race.TryFail());
        Assert.True(race.TryWin());
        Assert.False(race.TryWin());
        Assert.False(race.TryFail());
    }

    [Fact]
    public void The_last_failure_decides()
    {
        var race = new HedgeRace();
        Assert.True(race.TryJoin());
        Assert.False(race.TryFail());
        Assert.True(race.TryFail());
        Assert.False(race.TryFail());
    }

    [Fact]
    public void Nobody_joins_a_call_that_has_ended()
    {
        var failed = new HedgeRace();
        Assert.True(failed.TryFail());
        Assert.False(failed.TryJoin());
        var answered = new HedgeRace();
        Assert.True(answered.TryWin());
        Assert.False(answered.TryJoin());
    }

    [Fact]
    public async Task Exactly_one_of_two_decides_however_they_meet()
    {
        for (var round = 0; round < 20_000; round++)
        {
            var race = new HedgeRace();
            var (firstFails, secondFails) = ((round & 1) != 0, (round & 2) != 0);
            using var start = new Barrier(2);
            var first = Task.Run(() =>
            {
                start.SignalAndWait(TestContext.Current.CancellationToken);
                return End(race, firstFails);
            });
            start.SignalAndWait(TestContext.Current.CancellationToken);
            var hasJoined = race.TryJoin();
            var second = hasJoined && End(race, secondFails);
            Assert.True(await first ^ second, $"round {round}: joined {hasJoined}, first {await first}, second {second}");
        }
    }

    private static bool End(HedgeRace race, bool fails) => fails ? race.TryFail() : race.TryWin();
}
