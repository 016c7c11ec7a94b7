using OrleansInference.Hosting;

namespace OrleansInference.Persistence;

/// <summary>
/// What the router's grains have stored does not travel with a grain that moves to another silo: it is read where the grain comes up. What is true is in the
/// storage; what an activation holds may be what it failed to write. And the forms of what is stored are the storage's, not the messages'.
/// </summary>
internal sealed class UnmovedState(IPersistentStateFactory inner) : IPersistentStateFactory
{
    public IPersistentState<TState> Create<TState>(IGrainContext context, IPersistentStateConfiguration config)
    {
        var state = inner.Create<TState>(context, config);
        if (config.StorageName == OrleansInferenceOptions.StorageName && state is IGrainMigrationParticipant moving)
        {
            context.ObservableLifecycle.RemoveMigrationParticipant(moving);
        }

        return state;
    }
}
