using Microsoft.Extensions.Time.Testing;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

public sealed class DurableClockTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("oi-clock-").FullName;
    private readonly FakeTimeProvider _wall = new(DateTimeOffset.UnixEpoch.AddYears(50));

    private string File => Path.Combine(_folder, "clock");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_stopped_clock_resumes_where_it_stood()
    {
        long stood;
        await using (var first = DurableClock.Open(File, _wall, 50))
        {
            _wall.Advance(TimeSpan.FromSeconds(3));
            stood = first.Clock.Now;
            Assert.Equal(_wall.GetUtcNow().ToUnixTimeMilliseconds() + (49 * 3000), stood);
        }

        await using var second = DurableClock.Open(File, _wall, 50);
        Assert.Equal(stood, second.Clock.Now);
        _wall.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(stood + 50_000, second.Clock.Now);
    }

    [Theory]
    [InlineData(0.5)]
    [InlineData(3600)]
    public async Task A_killed_clock_resumes_at_or_after_the_last_moment_it_showed(double seconds)
    {
        // A copy of the file is what a kill leaves.
        await using var first = DurableClock.Open(File, _wall, 50);
        var left = File + ".left";
        System.IO.File.Copy(File, left);
        _wall.Advance(TimeSpan.FromSeconds(seconds));
        if (long.Parse(await System.IO.File.ReadAllTextAsync(left), null) < first.Clock.Now)
        {
            // The clock went on because a later moment was saved meanwhile.
            System.IO.File.Copy(File, left, overwrite: true);
        }

        var shown = first.Clock.Now;
        await using var second = DurableClock.Open(left, _wall, 50);
        Assert.True(second.Clock.Now >= shown);
    }

    [Fact]
    public async Task It_does_not_go_back_when_the_next_run_is_slower_and_keeps_its_lead()
    {
        long stood;
        await using (var fast = DurableClock.Open(File, _wall, 100))
        {
            _wall.Advance(TimeSpan.FromSeconds(4));
            stood = fast.Clock.Now;
        }

        long later;
        await using (var slow = DurableClock.Open(File, _wall, 1))
        {
            Assert.Equal(stood, slow.Clock.Now);
            _wall.Advance(TimeSpan.FromSeconds(2));
            later = slow.Clock.Now;
            Assert.Equal(stood + 2000, later);
        }

        await using var again = DurableClock.Open(File, _wall, 1);
        Assert.Equal(later, again.Clock.Now);
    }

    [Fact]
    public async Task At_speed_1_it_is_the_wall_and_needs_no_file()
    {
        await using var clock = DurableClock.Open(File, _wall, 1);
        _wall.Advance(TimeSpan.FromDays(1));
        Assert.Equal(_wall.GetUtcNow().ToUnixTimeMilliseconds(), clock.Clock.Now);
        Assert.False(System.IO.File.Exists(File));
    }

    [Fact]
    public void A_damaged_file_is_named_with_its_remedy()
    {
        System.IO.File.WriteAllText(File, "yesterday");
        var problem = Assert.Throws<IOException>(() => DurableClock.Open(File, _wall, 50));
        Assert.Contains(File, problem.Message, StringComparison.Ordinal);
        Assert.Contains("Unix milliseconds", problem.Message, StringComparison.Ordinal);
    }
}
