namespace OrleansInference.Batch;

/// <summary>What a window needs next.</summary>
public enum WindowAction
{
    /// <summary>Take no more members.</summary>
    Close = 0,

    /// <summary>Write the input objects of the round and start its transform job.</summary>
    Start = 1,

    /// <summary>Look at the transform job; if it has ended, collect its output.</summary>
    Look = 2,

    /// <summary>Tell the members their outcomes and book the cost.</summary>
    Tell = 3,

    /// <summary>Delete what is stored of it.</summary>
    Purge = 4,
}

/// <summary>An action and when it is due (Unix ms).</summary>
public readonly record struct WindowStep(WindowAction Action, long At);
