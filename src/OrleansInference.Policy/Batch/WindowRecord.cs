using System.Text.Json.Serialization;
using OrleansInference.Persistence;

namespace OrleansInference.Batch;

/// <summary>What a member got.</summary>
public sealed record MemberOutcome
{
    /// <summary>Why it failed; null if it has a result.</summary>
    [JsonPropertyName("f")] public string? Failure { get; init; }

    /// <summary>Its charge.</summary>
    [JsonPropertyName("c")] public long Charge { get; init; }

    /// <summary>Milliseconds the model reported for it.</summary>
    [JsonPropertyName("s")] public double ServiceMs { get; init; }

    /// <summary>Unix ms when its transform job began.</summary>
    [JsonPropertyName("t")] public long StartedAt { get; init; }
}

/// <summary>A member as stored. A window holds up to thousands in one state, so the names are short.</summary>
public sealed record StoredMember
{
    /// <summary>Key of the job grain.</summary>
    [JsonPropertyName("j")] public required string JobKey { get; init; }

    /// <summary>Key of its input object.</summary>
    [JsonPropertyName("i")] public required string InputKey { get; init; }

    /// <summary>Bytes of its input.</summary>
    [JsonPropertyName("b")] public long Bytes { get; init; }

    /// <summary>Unix ms of its deadline.</summary>
    [JsonPropertyName("d")] public long Deadline { get; init; }

    /// <summary>Its charge cap in nano-dollars.</summary>
    [JsonPropertyName("c")] public long ChargeCap { get; init; }

    /// <summary>Input tokens, known or estimated.</summary>
    [JsonPropertyName("t")] public int InputTokens { get; init; }

    /// <summary>What it got, once that is known.</summary>
    [JsonPropertyName("o")] public MemberOutcome? Outcome { get; init; }
}

/// <summary>Everything that is stored of a window.</summary>
public sealed record WindowRecord : IStoredForm
{
    /// <inheritdoc/>
    public int Form { get; set; }

    /// <inheritdoc/>
    int IStoredForm.NewestForm => 0;

    /// <summary>The endpoint as it was when the window opened; null: it has not opened.</summary>
    public EndpointConfiguration? Endpoint { get; set; }

    /// <summary>Distinguishes this window from any other that ever had its key.</summary>
    public string Nonce { get; set; } = "";

    /// <summary>Unix ms.</summary>
    public long OpenedAt { get; set; }

    /// <summary>Milliseconds a transform job is believed to take beyond the requests themselves.</summary>
    public double OverheadMs { get; set; }

    /// <summary>Where it stands.</summary>
    public WindowState State { get; set; }

    /// <summary>Its members in order of joining.</summary>
    public List<StoredMember> Members { get; set; } = [];

    /// <summary>Transform jobs run before the present one.</summary>
    public int Round { get; set; }

    /// <summary>The input objects of the present round: indexes of members, a line each.</summary>
    public List<List<int>> Objects { get; set; } = [];

    /// <summary>Instances of the present round's transform job; 0: the window is open, or was closed by a release that always took the most.</summary>
    public int Instances { get; set; }

    /// <summary>Unix ms when the present transform job was started.</summary>
    public long StartedAt { get; set; }

    /// <summary>Unix ms when it was last looked at.</summary>
    public long CheckedAt { get; set; }

    /// <summary>Tries of the step under way that failed.</summary>
    public int Failures { get; set; }

    /// <summary>Unix ms before which the step under way is not tried again.</summary>
    public long NotBefore { get; set; }

    /// <summary>What AWS bills for its transform jobs so far, in nano-dollars.</summary>
    public long Cost { get; set; }

    /// <summary>The rounds are over: every member has its outcome, and is to be told.</summary>
    public bool Decided { get; set; }
}
