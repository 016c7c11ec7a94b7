using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>
/// Callers that were turned away and come again until the deadline: after a second at first, doubling to a minute, or to a hundredth of the time that is left
/// where that is more (who has a day does not hammer at a full endpoint), with jitter over the upper half. All of them share one timer.
/// </summary>
/// <param name="world">The world.</param>
/// <param name="timer">The timer of <see cref="World.At"/>.</param>
/// <param name="name">Name of their stream of chance.</param>
internal sealed class Retries(World world, int timer, string name)
{
    private const long FirstUs = 1_000_000;
    private const long LongestUs = 60_000_000;
    private const int ShareOfRest = 100;
    private const int MostDoublings = 20;
    private readonly EventHeap _due = new();
    private Chance _chance = new(world.Scenario.Seed, name);
    private long _armedUs = long.MaxValue;

    /// <summary>Callers that wait to come again.</summary>
    public int Count => _due.Count;

    /// <summary>A caller was turned away: it will come again, or gives up if its deadline would have passed by then.</summary>
    public void TurnAway(int index)
    {
        ref var request = ref world.Requests[index];
        var longest = Math.Max(LongestUs, (request.DeadlineUs - world.NowUs) / ShareOfRest);
        var pause = Math.Min(longest, FirstUs << Math.Min(request.Mark++, MostDoublings));
        var at = world.NowUs + (long)(pause * (0.5 + (0.5 * _chance.Uniform())));
        if (at >= request.DeadlineUs)
        {
            world.Miss(index);
            return;
        }

        _due.Add(at, index);
        Arm();
    }

    /// <summary>One that comes again now; false if there is none.</summary>
    public bool TryTake(out int index)
    {
        if (_due.Earliest <= world.NowUs)
        {
            index = _due.Take();
            return true;
        }

        index = -1;
        return false;
    }

    /// <summary>The timer has come and all that were due are taken.</summary>
    public void Rearm()
    {
        _armedUs = long.MaxValue;
        Arm();
    }

    private void Arm()
    {
        if (_due.Earliest < _armedUs)
        {
            _armedUs = _due.Earliest;
            world.At(_armedUs, timer);
        }
    }
}
