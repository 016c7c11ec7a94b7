namespace OrleansInference.Persistence;

/// <summary>Refuses what a newer release has stored.</summary>
internal static class StoredForm
{
    /// <summary>Throws if the state is of a form that is not known here.</summary>
    /// <exception cref="NotSupportedException">It is.</exception>
    public static void RequireKnown(object? state, GrainId grain)
    {
        if (state is IStoredForm stored && stored.Form > stored.NewestForm)
        {
            throw new NotSupportedException(
                $"The state of {grain} was stored in form {stored.Form} by a newer release than this one, which reads form {stored.NewestForm} at most. It is left as it is: run the newer release on this silo.");
        }
    }
}
