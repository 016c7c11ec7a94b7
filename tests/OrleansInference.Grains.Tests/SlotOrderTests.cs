using OrleansInference.Hosting;
using OrleansInference.Leases;

namespace OrleansInference.Tests;

/// <summary>Random histories of one endpoint's slots on one silo, beside a plain list of who waits.</summary>
public sealed class SlotOrderTests
{
    private const int Steps = 60;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly RouterClock _clock = new(TimeProvider.System, speed: 10);

    [Fact]
    public async Task No_lower_class_passes_a_higher_one_and_whoever_can_be_served_is()
    {
        for (var seed = 0; seed < 40; seed++)
        {
            await RunAsync(seed);
        }
    }

    private async Task RunAsync(int seed)
    {
        var random = new Random(seed);
        var slots = random.Next(1, 7);
        var account = SlotListener.Open(new SlotOwner(slots, _clock), _clock);
        var calls = new List<Call>();
        for (var step = 0; step < Steps; step++)
        {
            var running = calls.FindAll(call => call.State == State.Running);
            var waiting = calls.FindAll(call => call.State == State.Waiting);
            var what = random.Next(10);
            if (what < 4 && running.Count > 0)
            {
                var ended = running[random.Next(running.Count)];
                ended.State = State.Over;
                account.Release((await ended.Slot)!, ended.Class, CallEnd.Answered, 1, 1, Money.Zero, Money.Zero);
            }
            else if (what == 4 && waiting.Count > 0)
            {
                var leaving = waiting[random.Next(waiting.Count)];
                leaving.State = State.Over;
                await leaving.GivesUp.CancelAsync();
                await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving.Slot.WaitAsync(Patience));
            }
            else
            {
                calls.Add(Arrive(account, (TrafficClass)random.Next(3), _clock.Now + 10_000_000 + random.Next(5)));
            }

            ServeSlowly(calls, slots);
            await AgreesAsync(account, calls, $"seed {seed}, step {step}");
        }

        // Everyone is served in the end.
        while (calls.Find(call => call.State == State.Running) is { } last)
        {
            last.State = State.Over;
            account.Release((await last.Slot)!, last.Class, CallEnd.Answered, 1, 1, Money.Zero, Money.Zero);
            ServeSlowly(calls, slots);
            await AgreesAsync(account, calls, $"seed {seed}, at the end");
        }

        Assert.DoesNotContain(calls, call => call.State == State.Waiting);
        calls.ForEach(call => call.GivesUp.Dispose());
    }

    private static Call Arrive(EndpointAccount account, TrafficClass trafficClass, long deadline)
    {
        var givesUp = new CancellationTokenSource();
        return new(trafficClass, deadline, AcquireAsync(), givesUp);

        async Task<HeldLease?> AcquireAsync() => (await account.AcquireAsync(new(trafficClass, new("t"), 1, deadline, 1, 1), givesUp.Token)).Slot;
    }

    /// <summary>The first of the list by class, deadline and arrival goes as long as it may; nobody passes it.</summary>
    private static void ServeSlowly(List<Call> calls, int slots)
    {
        while (calls.Where(call => call.State == State.Waiting).OrderBy(call => call.Class).ThenBy(call => call.Deadline).FirstOrDefault() is { } first
            && calls.Count(call => call.State == State.Running) < slots)
        {
            first.State = State.Running;
        }
    }

    private static async Task AgreesAsync(EndpointAccount account, List<Call> calls, string when)
    {
        await Task.WhenAll(calls.Where(call => call.State == State.Running).Select(call => call.Slot)).WaitAsync(Patience);
        Assert.All(calls, call => Assert.True(call.State != State.Waiting || !call.Slot.IsCompleted, $"{when}: a call of class {call.Class} passed another"));
        Assert.All(calls, call => Assert.True(call.State != State.Running || call.Slot.Result is not null, when));

        // How many wait is told by the grain, a message later; one that was sent before may still come in between.
        var waiting = calls.Count(call => call.State == State.Waiting);
        var load = account.LoadFor(TrafficClass.Low, 0, 0, new("t"));
        for (var i = 0; i < 6_000 && load.Waiting != waiting; i++)
        {
            await Task.Delay(5);
            load = account.LoadFor(TrafficClass.Low, 0, 0, new("t"));
        }

        Assert.Equal((calls.Count(call => call.State == State.Running), waiting), (load.InFlight, load.Waiting));
        Assert.Equal(calls.Count(call => call.State == State.Running && call.Class < TrafficClass.Low), load.InFlightUrgent);
    }

    private enum State
    {
        Waiting,
        Running,
        Over,
    }

    private sealed class Call(TrafficClass trafficClass, long deadline, Task<HeldLease?> slot, CancellationTokenSource givesUp)
    {
        public TrafficClass Class { get; } = trafficClass;

        public long Deadline { get; } = deadline;

        public Task<HeldLease?> Slot { get; } = slot;

        public CancellationTokenSource GivesUp { get; } = givesUp;

        public State State { get; set; }
    }
}
