using OrleansInference.Ingest;

namespace OrleansInference.Tests.Ingest;

public sealed class ReceiverPaceTests
{
    [Fact]
    public void While_messages_are_kept_they_are_received_by_ten()
    {
        var pace = new ReceiverPace();
        Assert.Equal(10, pace.Most);
        Assert.Equal(0, pace.PauseMs(0));
    }

    [Fact]
    public void Refused_messages_make_pauses_that_double_up_to_a_minute_and_are_tried_one_by_one()
    {
        var pace = new ReceiverPace();
        var (now, longest) = (0L, 0L);
        for (var i = 0; i < 20; i++)
        {
            pace.Refused(chance: 1, now);
            var pause = pace.PauseMs(now);
            Assert.True(pause >= longest && pause <= 60_000);
            Assert.Equal(1, pace.Most);
            (now, longest) = (now + pause, pause);
        }

        Assert.Equal(60_000, longest);
    }

    [Fact]
    public void Messages_that_were_received_together_and_refused_make_one_pause()
    {
        var pace = new ReceiverPace();
        for (var i = 0; i < 10; i++)
        {
            pace.Refused(chance: 1, now: 100 + i);
        }

        Assert.Equal(500, pace.PauseMs(100));
    }

    [Fact]
    public void A_message_that_is_kept_ends_the_pauses()
    {
        var pace = new ReceiverPace();
        pace.Refused(chance: 1, now: 0);
        pace.Kept();
        Assert.Equal(0, pace.PauseMs(0));
        Assert.Equal(10, pace.Most);
    }
}
