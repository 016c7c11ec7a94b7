using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

public sealed class OptionsTests
{
    [Fact]
    public void Options_as_they_come_and_polling_as_good_as_off_are_accepted()
    {
        Assert.Equal(TimeSpan.FromSeconds(1), Read(static _ => { }).MinPollInterval);
        Assert.Equal(TimeSpan.FromDays(30), Read(static options => options.MinPollInterval = options.MaxPollInterval = options.WindowPollInterval = TimeSpan.FromDays(30)).MaxPollInterval);
    }

    [Theory]
    [InlineData(0, 60, 300, "MinPollInterval")]
    [InlineData(-1, 60, 300, "MinPollInterval")]
    [InlineData(61, 60, 300, "MaxPollInterval")]
    [InlineData(1, 60, 0, "WindowPollInterval")]
    public void Polling_times_that_make_no_sense_are_refused_by_name(double min, double max, double window, string name)
    {
        var refused = Assert.Throws<OptionsValidationException>(() => Read(options =>
        {
            options.MinPollInterval = TimeSpan.FromSeconds(min);
            options.MaxPollInterval = TimeSpan.FromSeconds(max);
            options.WindowPollInterval = TimeSpan.FromSeconds(window);
        }));
        Assert.StartsWith(name, Assert.Single(refused.Failures), StringComparison.Ordinal);
    }

    private static OrleansInferenceOptions Read(Action<OrleansInferenceOptions> configure)
    {
        var builder = new Builder();
        builder.AddOrleansInference(configure);
        using var services = builder.Services.BuildServiceProvider();
        return services.GetRequiredService<IOptions<OrleansInferenceOptions>>().Value;
    }

    private sealed class Builder : ISiloBuilder
    {
        public IServiceCollection Services { get; } = new ServiceCollection();

        public IConfiguration Configuration { get; } = new ConfigurationBuilder().Build();
    }
}
