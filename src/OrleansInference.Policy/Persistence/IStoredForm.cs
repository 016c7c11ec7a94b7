namespace OrleansInference.Persistence;

/// <summary>
/// Stored state that says which form it has. A release that changes what stored members mean counts <see cref="Form"/> up: the release before then leaves that
/// state alone, where it would lose what it does not know.
/// </summary>
public interface IStoredForm
{
    /// <summary>The form as it was stored; 0, which takes no space, is the first.</summary>
    int Form { get; }

    /// <summary>The newest form that is read here, and the one that is written.</summary>
    int NewestForm { get; }
}
