namespace OrleansInference.Budgets;

/// <summary>A span of time: from <paramref name="Start"/> up to but not including <paramref name="End"/>, Unix milliseconds.</summary>
internal readonly record struct Period(long Start, long End)
{
    public bool Contains(long instant) => instant >= Start && instant < End;
}

/// <summary>
/// The calendar days or months of a time zone as spans of Unix time. A day begins at the first instant whose local time
/// is at or after midnight of its date: so a day whose midnight is skipped begins at the jump, one whose midnight comes
/// twice begins at the first, and every instant belongs to exactly one period.
/// </summary>
internal sealed class CalendarPeriods(TimeZoneInfo zone, bool months)
{
    private const long DayMs = 86_400_000;
    private static readonly long MinMs = DateTimeOffset.MinValue.AddYears(2).ToUnixTimeMilliseconds();
    private static readonly long MaxMs = DateTimeOffset.MaxValue.AddYears(-2).ToUnixTimeMilliseconds();

    /// <summary>The zone of an IANA id.</summary>
    /// <exception cref="ArgumentException">The id is unknown on this machine.</exception>
    public static TimeZoneInfo Zone(string id) => TryZone(id, out var zone)
        ? zone
        : throw new ArgumentException($"'{id}' is not a time zone known to this machine: use an IANA id such as 'UTC' or 'Europe/Berlin', and make sure that the package tzdata is installed.", nameof(id));

    /// <summary>The zone of an IANA id, if there is one.</summary>
    public static bool TryZone(string? id, out TimeZoneInfo zone)
    {
        zone = TimeZoneInfo.Utc;
        if (id is "UTC" or "Etc/UTC")
        {
            return true;
        }

        // The id becomes a path below the zone directory: nothing but the characters of IANA ids may get there.
        if (string.IsNullOrEmpty(id) || id.Length > 64 || !char.IsAsciiLetter(id[0]) || !id.All(static c => char.IsAsciiLetterOrDigit(c) || c is '/' or '_' or '-' or '+'))
        {
            return false;
        }

        try
        {
            zone = TimeZoneInfo.FindSystemTimeZoneById(id);
            return true;
        }
        catch (Exception e) when (e is TimeZoneNotFoundException or InvalidTimeZoneException or System.Security.SecurityException or UnauthorizedAccessException or IOException)
        {
            return false;
        }
    }

    /// <summary>The period that <paramref name="instant"/> belongs to.</summary>
    public Period Containing(long instant)
    {
        instant = Math.Clamp(instant, MinMs, MaxMs);
        var first = FirstDay(DateOnly.FromDateTime(new DateTime((instant + OffsetMs(instant)) * TimeSpan.TicksPerMillisecond + DateTime.UnixEpoch.Ticks)));
        var start = StartOf(first);
        while (true)
        {
            var next = months ? first.AddMonths(1) : first.AddDays(1);
            var end = StartOf(next);

            // Where the clock is set back across midnight, the local date falls back for a while: the new day goes on.
            if (instant < end)
            {
                return new(start, end);
            }

            (first, start) = (next, end);
        }
    }

    private DateOnly FirstDay(DateOnly day) => months ? new(day.Year, day.Month, 1) : day;

    private long StartOf(DateOnly day)
    {
        var midnight = (day.ToDateTime(TimeOnly.MinValue).Ticks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMillisecond;
        var before = OffsetMs(midnight - DayMs);
        var after = OffsetMs(midnight + DayMs);
        var earliest = midnight - Math.Max(before, after);
        var latest = midnight - Math.Min(before, after);

        // First instant in [earliest, latest] with local time at or after midnight. If the offset does not change the span is empty.
        if (earliest == latest || earliest + OffsetMs(earliest) >= midnight)
        {
            return earliest;
        }

        while (latest - earliest > 1)
        {
            var middle = earliest + (latest - earliest) / 2;
            if (middle + OffsetMs(middle) >= midnight)
            {
                latest = middle;
            }
            else
            {
                earliest = middle;
            }
        }

        return latest;
    }

    private long OffsetMs(long instant) =>
        zone.GetUtcOffset(DateTimeOffset.FromUnixTimeMilliseconds(instant)).Ticks / TimeSpan.TicksPerMillisecond;
}
