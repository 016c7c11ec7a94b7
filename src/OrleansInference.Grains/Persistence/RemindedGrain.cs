using Microsoft.Extensions.Options;
using OrleansInference.Hosting;

namespace OrleansInference.Persistence;

/// <summary>
/// A grain that has something to finish: stored step by step, driven by a timer while it is in memory and by reminders when it is not.
/// A write that fails ends this activation: whether it took effect or not, or another activation lives, what is true is in the storage.
/// </summary>
/// <typeparam name="TState">What is stored.</typeparam>
internal abstract class RemindedGrain<TState>(IPersistentState<TState> storage, RouterClock clock, IOptions<ReminderOptions> reminders) : Grain
{
    /// <summary>A timer may come some milliseconds early, and a reminder that finds nothing due comes again only a period later.</summary>
    private static readonly TimeSpan ComesEarlyBy = TimeSpan.FromMilliseconds(50);

    private IGrainTimer? _timer;

    protected RouterClock Clock { get; } = clock;

    protected TState Stored
    {
        get => storage.State;
        set => storage.State = value;
    }

    protected bool IsStored => storage.RecordExists;

    /// <summary>Whether this activation has lost its right to answer.</summary>
    protected bool IsLost { get; private set; }

    /// <summary>Throws, so that the activation fails, if a newer release has stored the state in a form that is not known here.</summary>
    protected void RequireKnownForm() => StoredForm.RequireKnown(storage.State, this.GetGrainId());

    /// <summary>Throws if this activation has lost its right to answer.</summary>
    protected void RequireState()
    {
        if (IsLost)
        {
            throw new OrleansException($"{this.GetGrainId()} could not write its state and is being restarted; try again.");
        }
    }

    /// <summary>Stores <see cref="Stored"/>.</summary>
    protected Task WriteAsync() => OrLoseAsync(storage.WriteStateAsync());

    /// <summary>Deletes what is stored, and only then the reminder, which would try again, and leaves memory.</summary>
    protected async Task ForgetAsync(string reminderName)
    {
        await OrLoseAsync(storage.ClearStateAsync());
        await ForgetReminderAsync(reminderName);
        DeactivateOnIdle();
    }

    /// <summary>Has a step taken once after <paramref name="due"/> of router time, in place of the one that was waiting; not in an activation that <see cref="IsLost"/>.</summary>
    protected void SetTimer(Func<Task> step, TimeSpan due)
    {
        if (IsLost)
        {
            return;
        }

        var wall = Clock.ToWall(due);
        if (_timer is null)
        {
            _timer = this.RegisterGrainTimer(step, new GrainTimerCreationOptions(wall, Timeout.InfiniteTimeSpan) { KeepAlive = true });
        }
        else
        {
            _timer.Change(wall, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Sets a reminder, in router time; its period is at least what the reminder service allows.</summary>
    protected Task RemindAsync(string reminderName, TimeSpan due, TimeSpan every)
    {
        var least = reminders.Value.MinimumReminderPeriod;
        var period = Clock.ToWall(every);
        return this.RegisterOrUpdateReminder(reminderName, Clock.ToWall(due) + ComesEarlyBy, period < least ? least : period);
    }

    protected async Task ForgetReminderAsync(string reminderName)
    {
        if (await this.GetReminder(reminderName) is { } reminder)
        {
            await this.UnregisterReminder(reminder);
        }
    }

    private async Task OrLoseAsync(Task change)
    {
        try
        {
            await change;
        }
        catch
        {
            IsLost = true;
            _timer?.Dispose();
            DeactivateOnIdle();
            throw;
        }
    }
}
