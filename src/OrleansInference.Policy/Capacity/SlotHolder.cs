using System.Collections.Immutable;

namespace OrleansInference.Capacity;

/// <summary>A silo as an endpoint's <see cref="SlotLedger"/> knows it: its tickets that wait, and the answers that it has not said to have heard.</summary>
internal sealed class SlotHolder(string name, long queue)
{
    private readonly List<(long Sequence, SlotAnswer Answer, long At)> _answers = [];
    private readonly HashSet<long> _answered = [];

    public string Name { get; } = name;

    /// <summary>Names its part of the queue: a silo that was forgotten and comes back has another one, and tells its tickets again.</summary>
    public long Queue { get; set; } = queue;

    /// <summary>The silo's ids of its tickets that wait, and the queue's.</summary>
    public Dictionary<long, long> Waiting { get; } = [];

    public long HeardAt { get; set; }

    public long ExpiresFrom { get; set; }

    public double HighRate { get; set; }

    public int HighInFlight { get; set; }

    public int MediumInFlight { get; set; }

    public bool BreakerOpen { get; set; }

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

    public void Forget(long heard)
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
