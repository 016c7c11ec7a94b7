using System.Globalization;
using OrleansInference.Budgets;

namespace OrleansInference.Tests.Budgets;

public sealed class CalendarPeriodsTests
{
    // Zone, day or month, a moment, and the period that it belongs to, all in UTC.
    [Theory]
    [InlineData("UTC", "day", "2026-03-05T00:00:00", "2026-03-05T00:00:00", "2026-03-06T00:00:00")]
    [InlineData("UTC", "day", "2026-03-04T23:59:59.999", "2026-03-04T00:00:00", "2026-03-05T00:00:00")]
    [InlineData("Europe/Berlin", "day", "2026-03-29T12:00:00", "2026-03-28T23:00:00", "2026-03-29T22:00:00")]
    [InlineData("Europe/Berlin", "day", "2026-10-25T12:00:00", "2026-10-24T22:00:00", "2026-10-25T23:00:00")]
    [InlineData("America/New_York", "day", "2026-03-08T12:00:00", "2026-03-08T05:00:00", "2026-03-09T04:00:00")]
    [InlineData("Australia/Lord_Howe", "day", "2026-04-04T20:00:00", "2026-04-04T13:00:00", "2026-04-05T13:30:00")]
    [InlineData("Asia/Kathmandu", "day", "2026-01-01T00:00:00", "2025-12-31T18:15:00", "2026-01-01T18:15:00")]
    [InlineData("Asia/Kolkata", "month", "2026-02-10T00:00:00", "2026-01-31T18:30:00", "2026-02-28T18:30:00")]
    [InlineData("UTC", "day", "2028-02-29T12:00:00", "2028-02-29T00:00:00", "2028-03-01T00:00:00")]
    [InlineData("UTC", "month", "2028-02-29T23:59:59", "2028-02-01T00:00:00", "2028-03-01T00:00:00")]
    [InlineData("UTC", "month", "2026-02-28T23:59:59", "2026-02-01T00:00:00", "2026-03-01T00:00:00")]
    [InlineData("UTC", "month", "2026-12-31T23:59:59.999", "2026-12-01T00:00:00", "2027-01-01T00:00:00")]
    [InlineData("America/New_York", "month", "2027-01-01T03:00:00", "2026-12-01T05:00:00", "2027-01-01T05:00:00")]
    [InlineData("Europe/Berlin", "month", "2026-03-15T00:00:00", "2026-02-28T23:00:00", "2026-03-31T22:00:00")]
    [InlineData("Pacific/Apia", "day", "2011-12-30T09:59:59", "2011-12-29T10:00:00", "2011-12-30T10:00:00")]
    [InlineData("Pacific/Apia", "day", "2011-12-30T10:00:00", "2011-12-30T10:00:00", "2011-12-31T10:00:00")]
    [InlineData("Pacific/Apia", "month", "2011-12-31T00:00:00", "2011-12-01T10:00:00", "2011-12-31T10:00:00")]
    [InlineData("America/Sao_Paulo", "day", "2018-11-04T12:00:00", "2018-11-04T03:00:00", "2018-11-05T02:00:00")]
    [InlineData("Africa/Cairo", "day", "2026-04-24T12:00:00", "2026-04-23T22:00:00", "2026-04-24T21:00:00")]
    public void A_moment_belongs_to_the_period_of_its_zones_calendar(string zone, string kind, string moment, string start, string end)
    {
        var period = new CalendarPeriods(CalendarPeriods.Zone(zone), kind == "month").Containing(Utc(moment));
        Assert.Equal((Utc(start), Utc(end)), (period.Start, period.End));
    }

    [Theory]
    [InlineData("Pacific/Apia", 2011)]
    [InlineData("Europe/Berlin", 2026)]
    [InlineData("Australia/Lord_Howe", 2026)]
    [InlineData("America/Sao_Paulo", 2018)]
    [InlineData("America/Havana", 2026)]
    [InlineData("Africa/Casablanca", 2026)]
    public void Periods_follow_one_another_without_gap_or_overlap(string zone, int year)
    {
        foreach (var months in (bool[])[false, true])
        {
            var periods = new CalendarPeriods(CalendarPeriods.Zone(zone), months);
            var period = periods.Containing(Utc($"{year - 1}-12-15T00:00:00"));
            while (period.End < Utc($"{year + 1}-01-15T00:00:00"))
            {
                Assert.True(period.End > period.Start);
                Assert.Equal(period, periods.Containing(period.Start));
                Assert.Equal(period, periods.Containing(period.End - 1));
                var next = periods.Containing(period.End);
                Assert.Equal(period.End, next.Start);
                period = next;
            }
        }
    }

    private static long Utc(string text) => DateTimeOffset.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal).ToUnixTimeMilliseconds();
}
