namespace OrleansInference.Jobs;

// The call of a deferred job. It is made beside the grain's turns, so that the job can be asked for and cancelled meanwhile; a crash in its midst makes it anew.
internal sealed partial class JobGrain
{
    private Task? _serving;
    private ServedCall? _served;
    private Action? _cancelCall;
    private bool _isLate;
    private bool _isLeaving;

    /// <summary>Whether a call is under way whose outcome ends the job or takes it on.</summary>
    private bool IsServing => _serving is not null && _machine is { MayServe: true };

    public Task<bool> Begin()
    {
        RequireState();
        if (_machine is not { MayServe: true } machine || (_serving is not null && (_isLate || _served is not null)))
        {
            return Task.FromResult(false);
        }

        Serve(machine, isLate: false);
        return Task.FromResult(true);
    }

    /// <summary>Begins the call unless it has begun.</summary>
    private void Serve(JobMachine machine, bool isLate)
    {
        if (_serving is null)
        {
            _isLate = isLate;
            DelayDeactivation(Clock.ToWall(TimeSpan.FromMilliseconds(world.Deferred.LongestMs(machine.Record, isLate))) + StaysAtLeast);
            _serving = ServeAsync(machine.Record, isLate);
        }
    }

    private async Task ServeAsync(JobRecord record, bool isLate)
    {
        using var calling = new CancellationTokenSource();
        _cancelCall = calling.Cancel;
        _served = await Task.Run(() => world.Deferred.ServeAsync(_address, record, isLate, calling.Token), CancellationToken.None);
        _cancelCall = null;
        if (!_isLeaving)
        {
            SetTimer(AdvanceAsync, TimeSpan.Zero);
        }
    }

    /// <summary>Tells the machine what came of the call, once there is something, and makes it durable.</summary>
    private async Task TakeServedAsync()
    {
        if (_served is not { } served || _machine is not { } machine)
        {
            return;
        }

        (_serving, _served) = (null, null);
        var before = machine.Record;
        world.Deferred.Tell(machine, served);
        if (served.Location is { } location && machine.Record.Ending is not { State: JobState.Succeeded } && S3Address.TryParse(location, out var orphan))
        {
            await world.DeleteAsync(orphan);
        }

        if (!ReferenceEquals(before, machine.Record))
        {
            await SaveAsync();
        }

        if (machine.MayServe)
        {
            // Its turn is over: it waits for the next one.
            await CheckAsync(machine);
        }
    }

    /// <summary>A silo that stops lets the call end, if it may take as long, and keeps what came of it.</summary>
    private async Task LeaveServingAsync(CancellationToken cancellationToken)
    {
        _isLeaving = true;
        if (!IsServing || IsLost)
        {
            return;
        }

        try
        {
            await _serving!.WaitAsync(cancellationToken);
            await TakeServedAsync();
            if (_machine is { Record: { Ending: not null, Settled: false } record } machine)
            {
                // It is settled where it is taken up next.
                await RemindAsync(ReminderOf(record), TimeSpan.FromMilliseconds(_times.RecoverAtLeastEveryMs), TimeSpan.FromMilliseconds(machine.RecoverEveryMs(Clock.Now)));
            }
        }
        catch (Exception exception)
        {
            // Its reminder finds it as it was stored, and the call is made anew.
            LogFault(exception, _address.Key, _machine?.Record.State);
        }
    }
}
