namespace OrleansInference.Jobs;

/// <summary>What came of the call of a deferred job.</summary>
internal sealed record ServedCall
{
    /// <summary>What the answer tells about its use.</summary>
    public AnswerUse Answer { get; init; }

    /// <summary><c>s3://</c> address of the answer; null if there is none.</summary>
    public string? Location { get; init; }

    /// <summary>MIME type of the answer.</summary>
    public string? ContentType { get; init; }

    /// <summary>Why there is none; null: no slot was free.</summary>
    public InferenceProblem? Problem { get; init; }

    /// <summary>Whether trying again may help.</summary>
    public bool MayPass { get; init; }

    /// <summary>Whether the model is known to have run.</summary>
    public bool Ran { get; init; }

    /// <summary>Milliseconds that the call took.</summary>
    public double ServiceMs { get; init; }

    /// <summary>Unix ms at which the answer was stored; 0: there is none.</summary>
    public long At { get; init; }
}
