namespace OrleansInference.Aws.Signing;

/// <summary>What became of checking a signature.</summary>
public enum SigV4Result
{
    /// <summary>The caller holds the secret, and nothing that it signed was changed.</summary>
    Valid = 0,

    /// <summary>The request carries no AWS signature at all (it may carry something else).</summary>
    MissingSignature = 1,

    /// <summary>The signature breaks a rule of its form, or does not cover what it must.</summary>
    IncompleteSignature = 2,

    /// <summary>The signature is not the one that the secret gives for this request.</summary>
    SignatureDoesNotMatch = 3,

    /// <summary>Signed too long ago, too far in the future, or past its expiry.</summary>
    RequestExpired = 4,

    /// <summary>The body is not the one that was signed.</summary>
    BodyHashMismatch = 5,

    /// <summary>Signed for another day, region or service.</summary>
    WrongScope = 6,
}

/// <summary>What became of checking a signature, in words.</summary>
/// <param name="Result">The outcome.</param>
/// <param name="Message">What is wrong and what would help; safe to show the caller. Empty if valid.</param>
public readonly record struct SigV4Verification(SigV4Result Result, string Message)
{
    /// <summary>Whether the signature is valid.</summary>
    public bool IsValid => Result == SigV4Result.Valid;
}
