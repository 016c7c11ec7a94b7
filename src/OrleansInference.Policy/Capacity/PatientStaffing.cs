namespace OrleansInference.Capacity;

/// <summary>What is known of requests that can wait for some time. Loads are in slots, times in milliseconds.</summary>
internal readonly record struct PatientLoad
{
    /// <summary>The load now.</summary>
    public required double Present { get; init; }

    /// <summary>The load that is expected when more instances could serve.</summary>
    public required double Expected { get; init; }

    /// <summary>What a burst may bring.</summary>
    public required double Burst { get; init; }

    /// <summary>Slots in service.</summary>
    public required double Slots { get; init; }

    /// <summary>Slot-milliseconds that those who wait are expected to take.</summary>
    public required double WaitingMs { get; init; }

    /// <summary>How long a request can wait, greater than 0.</summary>
    public required double WaitMs { get; init; }

    /// <summary>How long it takes until more instances serve.</summary>
    public required double LeadMs { get; init; }
}

/// <summary>
/// Slots for requests that can wait for some time. What will wait when more instances could serve, and is then still in time, is to be worked off within that time. And
/// before a burst there have to be so many that those who come first, and can only be served by them, are in time: of a burst of rate r the first lead − wait, within
/// the lead.
/// </summary>
internal static class PatientStaffing
{
    // Until a burst is told from chance, in milliseconds.
    private const double ReactMs = 60_000;

    /// <summary>Slots needed.</summary>
    public static double Slots(in PatientLoad load)
    {
        var left = Math.Clamp(load.WaitingMs + ((load.Present - load.Slots) * load.LeadMs), 0, load.Present * load.WaitMs);

        // Of those who wait now, what more instances can still serve in time.
        var late = load.WaitMs > load.LeadMs + ReactMs ? Math.Max(0, load.WaitingMs - (load.Slots * load.LeadMs)) / (load.WaitMs - load.LeadMs) : 0;
        var reserve = load.Burst * Math.Clamp((load.LeadMs + ReactMs - load.WaitMs) / load.LeadMs, 0, 1);
        return Math.Max(load.Expected + Math.Max(left / load.WaitMs, late), reserve);
    }
}
