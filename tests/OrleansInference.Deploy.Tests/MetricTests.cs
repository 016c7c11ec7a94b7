using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.RegularExpressions;
using OrleansInference.Telemetry;

namespace OrleansInference.Tests;

/// <summary>Collector, alarms and dashboard ask for what the router measures.</summary>
public sealed partial class MetricTests(DeployFiles files)
{
    private const string Namespace = "OrleansInference";

    // The collector's own, one value for each cluster.
    private const string Cluster = "cluster";

    [Fact]
    public void Every_metric_is_measured()
    {
        var measured = Instruments();
        Assert.Contains("orleans_inference.requests", measured);
        var asked = Asked().Select(static metric => metric.Name).Concat(Declared().Select(static metric => metric.Name)).ToHashSet();
        Assert.Superset(new HashSet<string> { "orleans_inference.requests", "orleans_inference.latency", "orleans_inference.replies_given_up" }, asked);
        Assert.Empty(asked.Except(measured));
    }

    [Fact]
    public void The_collector_forwards_what_the_router_measures_and_nothing_of_it_is_forgotten() =>
        Assert.Equal(Instruments().Order(StringComparer.Ordinal), Declared().Select(static metric => metric.Name).Distinct().Order(StringComparer.Ordinal));

    [Fact]
    public void Alarms_and_dashboard_ask_by_dimensions_that_the_collector_sends()
    {
        var declared = Declared().Select(static metric => $"{metric.Name} by {string.Join(' ', metric.Dimensions.Order(StringComparer.Ordinal))}").ToHashSet();
        Assert.All(Asked(), metric => Assert.Contains($"{metric.Name} by {string.Join(' ', metric.Dimensions.Keys.Order(StringComparer.Ordinal))}", declared));
    }

    [Fact]
    public void Dimensions_and_their_values_are_the_routers()
    {
        var source = File.ReadAllText(Path.Combine(DeployFiles.Root, "src", "OrleansInference.Grains", "Telemetry", "RouterTelemetry.cs"));
        Assert.All(Declared().SelectMany(static metric => metric.Dimensions).Distinct().Where(static dimension => dimension != Cluster), dimension => Assert.Contains($"{{ \"{dimension}\"", source, StringComparison.Ordinal));
        foreach (var (dimension, value) in Asked().SelectMany(static metric => metric.Dimensions).Where(static dimension => dimension.Value.Length > 0))
        {
            Assert.True(
                dimension switch
                {
                    "lane" => Enum.GetNames<Lane>().Contains(value),
                    "class" => Enum.GetNames<TrafficClass>().Contains(value),
                    "percent" => new TenantDefinition { Id = new("acme") }.AlertPercents.Contains(int.Parse(value, System.Globalization.CultureInfo.InvariantCulture)),
                    "outcome" => source.Contains($"\"{value}\"", StringComparison.Ordinal),
                    _ => dimension == Cluster,
                },
                $"{dimension}={value}");
        }
    }

    [Fact]
    public void A_log_stream_is_named_after_its_task_which_the_collector_finds_out()
    {
        var collector = files.Document("collector");
        Assert.Contains("{TaskId}", collector.GetProperty("exporters").GetProperty("awsemf").GetProperty("log_stream_name").GetString(), StringComparison.Ordinal);
        Assert.Contains("ecs", collector.GetProperty("processors").GetProperty("resourcedetection").GetProperty("detectors").EnumerateArray().Select(static detector => detector.GetString()));
        Assert.Contains("resourcedetection", collector.GetProperty("service").GetProperty("pipelines").GetProperty("metrics").GetProperty("processors").EnumerateArray().Select(static processor => processor.GetString()));
    }

    [Fact]
    public void Silos_send_to_the_collector_beside_them_what_has_changed_since()
    {
        var silo = DeployFiles.Environment(files.Container("silo"));
        var receiver = files.Document("collector").GetProperty("receivers").GetProperty("otlp").GetProperty("protocols").GetProperty("grpc").GetProperty("endpoint").GetString();
        Assert.Equal($"http://{receiver}", silo["OrleansInference__OtlpEndpoint"]);
        Assert.Equal("delta", silo["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"]);
        Assert.Equal(Namespace, files.Document("collector").GetProperty("exporters").GetProperty("awsemf").GetProperty("namespace").GetString());
    }

    [Fact]
    public void Every_alarm_that_no_deployment_asks_for_tells_the_topic() =>
        Assert.All(files.Resources().Where(static resource => resource is { Type: "AWS::CloudWatch::Alarm", Name: not "NotReady" }), static alarm => Assert.Equal("AlarmTopic", alarm.Properties.GetProperty("AlarmActions")[0].GetProperty("Ref").GetString()));

    [Fact]
    public void Answers_of_the_silos_with_5xx_have_an_alarm_as_the_load_balancers_own_have()
    {
        var metrics = files.Resources().Where(static resource => resource.Type == "AWS::CloudWatch::Alarm").Select(static alarm => alarm.Properties.TryGetProperty("MetricName", out var name) ? name.GetString() : null).ToHashSet();
        Assert.Superset(new HashSet<string?> { "HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count" }, metrics);
    }

    [Fact]
    public void The_dashboard_covers_every_metric_but_durations()
    {
        var shown = Widgets().Select(static metric => metric.Name).ToHashSet();
        Assert.Equal(["orleans_inference.webhook_duration"], Instruments().Except(shown).Order(StringComparer.Ordinal));
    }

    private static HashSet<string> Instruments()
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, _) =>
            {
                if (instrument.Meter.Name == RouterTelemetry.MeterName)
                {
                    names.Add(instrument.Name);
                }
            },
        };
        RuntimeHelpers.RunClassConstructor(typeof(RouterTelemetry).TypeHandle);
        listener.Start();
        return names;
    }

    private static string Text(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()! : "";

    /// <summary>What the collector makes metrics of, once for each set of dimensions.</summary>
    private IEnumerable<(string Name, string[] Dimensions)> Declared() =>
        from declaration in files.Document("collector").GetProperty("exporters").GetProperty("awsemf").GetProperty("metric_declarations").EnumerateArray()
        from selector in declaration.GetProperty("metric_name_selectors").EnumerateArray()
        from dimensions in declaration.GetProperty("dimensions").EnumerateArray()
        select (Exact().Match(selector.GetString()!).Groups[1].Value.Replace("\\.", ".", StringComparison.Ordinal), dimensions.EnumerateArray().Select(static d => d.GetString()!).ToArray());

    private IEnumerable<(string Name, Dictionary<string, string> Dimensions)> Asked() => Widgets().Concat(Alarms());

    private IEnumerable<(string Name, Dictionary<string, string> Dimensions)> Alarms() =>
        from alarm in files.Resources().Where(static resource => resource.Type == "AWS::CloudWatch::Alarm")
        from metric in alarm.Properties.TryGetProperty("Metrics", out var several)
            ? several.EnumerateArray().Where(static metric => metric.TryGetProperty("MetricStat", out _)).Select(static metric => metric.GetProperty("MetricStat").GetProperty("Metric"))
            : [alarm.Properties]
        where metric.GetProperty("Namespace").GetString() == Namespace
        select (metric.GetProperty("MetricName").GetString()!, metric.GetProperty("Dimensions").EnumerateArray().ToDictionary(static d => d.GetProperty("Name").GetString()!, static d => Text(d.GetProperty("Value"))));

    private IEnumerable<(string Name, Dictionary<string, string> Dimensions)> Widgets()
    {
        var body = files.Resource("monitoring", "Dashboard").GetProperty("Properties").GetProperty("DashboardBody").GetProperty("Fn::Sub")[0].GetString()!;
        foreach (var widget in JsonDocument.Parse(body).RootElement.GetProperty("widgets").EnumerateArray().Where(static widget => widget.GetProperty("type").GetString() == "metric"))
        {
            foreach (var metric in widget.GetProperty("properties").GetProperty("metrics").EnumerateArray())
            {
                if (metric[0].ValueKind == JsonValueKind.Object)
                {
                    var search = Search().Match(metric[0].GetProperty("expression").GetString()!);
                    Assert.True(search.Success, metric.GetRawText());
                    yield return (search.Groups[2].Value, search.Groups[1].Value.Split(',').ToDictionary(static name => name, static _ => ""));
                }
                else if (metric[0].GetString() == Namespace)
                {
                    var parts = metric.EnumerateArray().Where(static part => part.ValueKind == JsonValueKind.String).Select(static part => part.GetString()!).ToArray();
                    yield return (parts[1], parts[2..].Chunk(2).ToDictionary(static pair => pair[0], static pair => pair[0] == Cluster ? "" : pair[1]));
                }
            }
        }
    }

    [GeneratedRegex(@"^\^(.+)\$$")]
    private static partial Regex Exact();

    [GeneratedRegex(@"^SEARCH\('\{OrleansInference,([a-z,]+)\} MetricName=""([a-z_.]+)"" cluster=""\$\{ClusterId\}""', 'Sum', \d+\)$")]
    private static partial Regex Search();
}
