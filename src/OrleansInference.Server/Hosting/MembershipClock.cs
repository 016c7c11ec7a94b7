namespace OrleansInference.Hosting;

/// <summary>
/// The system's clock for cluster membership, with timestamps that count from when it was made. Orleans' watchdog starts the thread that checks on
/// it before it notes the time of its own start, and that thread may so measure from timestamp 0. On the system's clock that is the start of the
/// machine: the silo then warns of a stall of days that never was, and counts it against its own health. Here it is the start of the silo.
/// </summary>
internal sealed class MembershipClock : TimeProvider
{
    private readonly long _start = System.GetTimestamp();

    public override long GetTimestamp() => System.GetTimestamp() - _start;
}
