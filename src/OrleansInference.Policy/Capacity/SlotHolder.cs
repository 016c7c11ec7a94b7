using System.Collections.Immutable;

namespace OrleansInference.Capacity;

/// <summary>A silo as an endpoint's <see cref="SlotLedger"/> knows it: its tickets that wait, and the answers that it has not said to have heard.</summary>
internal sealed class SlotHolder(string name, long queue)
{
    private readonly List<(long Sequence, SlotAnswer Answer, long At)> _answers = [];
    private readonly HashSet<long> _answered = [];
    private long _toldQueue;

    public string Name { get; } = name;

    /// <summary>Names its part of the queue: a silo that was forgotten and comes back has another one, and tells its tickets again.</summary>
    public long Queue { get; set; } = queue;

    /// <summary>The silo's ids of its tickets that wait, and the queue's.</summary>
    public Dictionary<long, long> Waiting { get; } = [];

    /// <summary>Unix ms of its last report.</summary>
    public long HeardAt { get; private set; }

    /// <summary>Calls of High that arrived lately, as their sum that fades.</summary>
    public double HighRate { get; private set; }

    public int HighInFlight { get; private set; }

    public int MediumInFlight { get; private set; }

    public int DeferredInFlight { get; private set; }

    public bool BreakerOpen { get; private set; }

    /// <summary>Whether it has told its tickets to this part of the queue: until then more urgent ones than those that are known may wait there.</summary>
    public bool HasToldTickets => _toldQueue == Queue;

    public TrafficClass? ToldFrom { get; set; }

    /// <summary>Whether there is an answer that was put in no message yet.</summary>
    public bool HasNews { get; set; }

    /// <summary>Tickets with a slot of which the silo has not said to have heard.</summary>
    public int Called { get; private set; }

    public bool HasAnswers => _answers.Count > 0;

    public ImmutableArray<SlotAnswer> Answers() => [.. _answers.Select(each => each.Answer)];

    public bool IsAnswered(long id) => _answered.Contains(id);

    /// <summary>When the first of those was called; the end of time if there is none.</summary>
    public long UnheardSince { get; private set; } = long.MaxValue;

    public void Answer(long sequence, SlotAnswer answer, long now)
    {
        _answers.Add((sequence, answer, now));
        _answered.Add(answer.Ticket);
        Called += answer.Verdict == SlotVerdict.Called ? 1 : 0;
        UnheardSince = answer.Verdict == SlotVerdict.Called ? Math.Min(UnheardSince, now) : UnheardSince;
        HasNews = true;
    }

    /// <summary>Takes what comes with its report.</summary>
    public void Hear(SlotQueueReport? queue, long now)
    {
        var elapsed = Math.Max(0, now - HeardAt);
        HeardAt = Math.Max(HeardAt, now);
        if (queue is null)
        {
            return;
        }

        HighRate = (HighRate * Math.Exp(-elapsed / SlotDemand.FadeMs)) + Math.Max(0, queue.HighArrivals);
        (HighInFlight, MediumInFlight, BreakerOpen) = (Math.Max(0, queue.HighInFlight), Math.Max(0, queue.MediumInFlight), queue.BreakerOpen);
        DeferredInFlight = Math.Max(0, queue.DeferredInFlight);
        _toldQueue = queue.Queue;
        if (queue.Queue == Queue)
        {
            Forget(queue.Heard);
        }
    }

    private void Forget(long heard)
    {
        var known = _answers.FindIndex(each => each.Sequence > heard);
        known = known < 0 ? _answers.Count : known;
        for (var i = 0; i < known; i++)
        {
            _answered.Remove(_answers[i].Answer.Ticket);
        }

        _answers.RemoveRange(0, known);
        Called = _answers.Count(static each => each.Answer.Verdict == SlotVerdict.Called);
        UnheardSince = Called == 0 ? long.MaxValue : _answers.First(static each => each.Answer.Verdict == SlotVerdict.Called).At;
    }
}
