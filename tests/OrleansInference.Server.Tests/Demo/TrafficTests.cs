using OrleansInference.Demo;
using OrleansInference.Pricing;

namespace OrleansInference.Tests.Demo;

public sealed class TrafficTests
{
    [Fact]
    public void The_bundled_trace_is_read_whole_and_in_order()
    {
        var rows = TraceReader.Read(TraceReader.BundledFolder, TimeSpan.FromHours(2));
        Assert.Equal(19_366 + 8_819, rows.Count);
        Assert.Equal(TimeSpan.Zero, rows[0].Offset);
        Assert.Equal((374, 44), (rows[0].InputTokens, rows[0].OutputTokens));
        Assert.Equal(rows.Select(row => row.Offset).Order(), rows.Select(row => row.Offset));
    }

    [Fact]
    public void A_span_ends_the_trace_early()
    {
        var rows = TraceReader.Read(TraceReader.BundledFolder, TimeSpan.FromMinutes(1));
        Assert.All(rows, row => Assert.True(row.Offset < TimeSpan.FromMinutes(1)));
        Assert.Equal(191, rows.Count);
    }

    [Fact]
    public void A_missing_trace_is_named()
    {
        var problem = Assert.Throws<InvalidDataException>(() => TraceReader.Read(Path.Combine(Path.GetTempPath(), Guid.NewGuid().ToString("N")), TimeSpan.FromMinutes(1)));
        Assert.Contains("conv.csv", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_tenant_model_and_class_gets_its_share_and_the_split_repeats()
    {
        var rows = TraceReader.Read(TraceReader.BundledFolder, TimeSpan.FromMinutes(18));
        var requests = rows.Select(TrafficMix.Assign).ToArray();
        Assert.Equal(requests, rows.Select(TrafficMix.Assign));
        var catalog = DemoCatalog.Create();
        Assert.Equal(catalog.Tenants.Select(tenant => tenant.Id).ToHashSet(), requests.Select(request => request.Tenant).ToHashSet());
        Assert.Equal(catalog.Models.Select(model => model.Name).ToHashSet(), requests.Select(request => request.Model).ToHashSet());
        Assert.Equal(3, requests.Select(request => request.Class).Distinct().Count());
        Assert.All(requests, request => Assert.InRange(request.MaxOutputTokens, request.OutputTokens, int.MaxValue));
        Assert.All(requests, request => Assert.True(request.MaxOutputTokens <= catalog.Models.Single(model => model.Name == request.Model).MaxOutputTokens));
    }

    [Fact]
    public void The_demo_catalog_is_valid() => Assert.Empty(CatalogValidation.Validate(DemoCatalog.Create()));
}
