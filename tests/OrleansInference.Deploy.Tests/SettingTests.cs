using System.Text.RegularExpressions;
using OrleansInference.Configuration;
using OrleansInference.Ingest;

namespace OrleansInference.Tests;

/// <summary>What containers are given is what the server reads.</summary>
public sealed partial class SettingTests(DeployFiles files)
{
    private const string Prefix = "OrleansInference__";

    [Fact]
    public void Every_variable_is_a_setting_of_the_server()
    {
        var named = Directory.EnumerateFiles(DeployFiles.Folder, "*", SearchOption.AllDirectories)
            .SelectMany(static file => Variable().Matches(File.ReadAllText(file)).Select(match => (File: Path.GetFileName(file), Setting: match.Groups[1].Value.Replace("__", ":", StringComparison.Ordinal))))
            .Distinct().ToList();
        Assert.True(named.Count > 40, $"Only {named.Count} variables were found.");
        Assert.All(named, static found => Assert.True(IsSetting(found.Setting), $"{found.File}: {found.Setting}"));
    }

    [Fact]
    public void A_name_that_no_setting_has_is_found() => Assert.False(IsSetting("Aws:Regions") || IsSetting("Queues:0:Queues") || IsSetting("Queues"));

    [Fact]
    public void State_in_DynamoDB_comes_with_its_secrets_and_ports()
    {
        foreach (var (place, settings, secrets) in Places())
        {
            Assert.True(settings[Prefix + "Aws__State"] == "DynamoDB", place);
            Assert.True(settings[Prefix + "Aws__Mode"] == "Amazon", place);
            Assert.True(secrets.Contains(Prefix + "AdminKey") && secrets.Contains(Prefix + "MasterKey"), place);
            Assert.True(settings[Prefix + "SiloPort"] == "11111" && settings[Prefix + "GatewayPort"] == "30000", place);
            Assert.True(settings.ContainsKey(Prefix + "ClusterId") && settings.ContainsKey(Prefix + "ServiceId"), place);
            Assert.True(settings[Prefix + "DataFolder"] == "/data", place);
        }
    }

    [Fact]
    public void Calls_are_captured_where_that_is_asked_for_and_nowhere_else()
    {
        var defaults = new Aws.DataCaptureOptions();
        var parameters = files.Document("cloudformation/router.yaml").GetProperty("Parameters");
        Assert.Equal(0, parameters.GetProperty("CapturePercent").GetProperty("Default").GetInt32());
        Assert.Equal(defaults.Prefix, parameters.GetProperty("CapturePrefix").GetProperty("Default").GetString());
        var capture = Prefix + "DataCapture__";
        var silo = DeployFiles.Environment(files.Container("silo")).Keys.Where(name => name.StartsWith(capture, StringComparison.Ordinal));
        Assert.Equal(SettingsReader.Known.Where(static name => name.StartsWith("DataCapture:", StringComparison.Ordinal)).Select(static name => Prefix + name.Replace(":", "__", StringComparison.Ordinal)).Order(StringComparer.Ordinal), silo.Order(StringComparer.Ordinal));
        var map = DeployFiles.Members(files.Document("kubernetes/configmap.yaml").GetProperty("data"));
        Assert.Equal(("0", defaults.Prefix, ""), (map[capture + "Percent"], map[capture + "Prefix"], map[capture + "Redact"]));
        var compose = DeployFiles.Members(files.Document("compose.yaml").GetProperty("x-silo").GetProperty("environment"));
        Assert.Equal(("${CAPTURE_PERCENT:-0}", "${CAPTURE_REDACT:-}"), (compose[capture + "Percent"], compose[capture + "Redact"]));
    }

    [Fact]
    public void Secrets_are_in_no_file()
    {
        Assert.All(files.Document("kubernetes/secret.example.yaml").GetProperty("stringData").EnumerateObject(), static secret => Assert.StartsWith("replace-with-", secret.Value.GetString(), StringComparison.Ordinal));
        Assert.DoesNotContain(files.Document("kubernetes/kustomization.yaml").GetProperty("resources").EnumerateArray(), static file => file.GetString()!.Contains("secret", StringComparison.Ordinal));
        var compose = DeployFiles.Members(files.Document("compose.yaml").GetProperty("x-silo").GetProperty("environment"));
        Assert.StartsWith("${ADMIN_KEY:?", compose[Prefix + "AdminKey"], StringComparison.Ordinal);
        Assert.StartsWith("${MASTER_KEY:?", compose[Prefix + "MasterKey"], StringComparison.Ordinal);
    }

    [Fact]
    public void The_example_catalog_is_one_and_names_what_the_template_of_the_lanes_makes()
    {
        List<string> problems = [];
        var catalog = CatalogFile.Read(Path.Combine(DeployFiles.Folder, "kubernetes", "catalog.json"), problems);
        Assert.Empty(problems);
        var parameters = files.Document("cloudformation/lanes.yaml").GetProperty("Parameters");
        var prefix = parameters.GetProperty("NamePrefix").GetProperty("Default").GetString();
        var made = files.Resources().SelectMany(static resource => new[] { "EndpointName", "ModelName" }.Select(name => resource.Properties.TryGetProperty(name, out var value) ? value : default))
            .Where(static name => name.ValueKind == System.Text.Json.JsonValueKind.Object && name.TryGetProperty("Fn::Sub", out _))
            .Select(name => name.GetProperty("Fn::Sub").GetString()!.Replace("${NamePrefix}", prefix, StringComparison.Ordinal)).ToHashSet();
        Assert.All(catalog!.Models.SelectMany(static model => model.Variants).SelectMany(static variant => variant.Endpoints), endpoint => Assert.Contains(endpoint.TargetName, made));
        Assert.StartsWith(files.Document("cloudformation/router.yaml").GetProperty("Parameters").GetProperty("EndpointPrefix").GetProperty("Default").GetString()!, prefix, StringComparison.Ordinal);
    }

    [Fact]
    public void Names_that_are_not_given_are_the_servers_own()
    {
        var defaults = new ServerSettings { DataFolder = "", Catalog = new() };
        var state = files.Document("cloudformation/state.yaml").GetProperty("Parameters");
        Assert.Equal(defaults.NotificationQueue, state.GetProperty("NotificationQueueName").GetProperty("Default").GetString());
        var map = DeployFiles.Members(files.Document("kubernetes/configmap.yaml").GetProperty("data"));
        Assert.Equal(defaults.NotificationQueue, map[Prefix + "NotificationQueue"]);
        foreach (var (setting, parameter) in new[] { ("Aws__MembershipTable", "MembershipTableName"), ("Aws__GrainTable", "GrainTableName"), ("Aws__ReminderTable", "ReminderTableName") })
        {
            Assert.Equal(map[Prefix + setting], state.GetProperty(parameter).GetProperty("Default").GetString());
        }
    }

    private static bool IsSetting(string name) => QueueSetting().Match(name) is { Success: true } queue
        ? typeof(QueueSettings).GetProperty(queue.Groups[1].Value) is not null
        : name != QueueSettingsReader.Key && SettingsReader.Known.Contains(name);

    private IEnumerable<(string Place, Dictionary<string, string> Settings, IReadOnlySet<string> Secrets)> Places()
    {
        var silo = files.Container("silo");
        yield return ("ECS", DeployFiles.Environment(silo), silo.GetProperty("Secrets").EnumerateArray().Select(static secret => secret.GetProperty("Name").GetString()!).ToHashSet());
        var container = files.Pod().GetProperty("containers")[0];
        yield return ("Kubernetes", DeployFiles.Members(files.Document("kubernetes/configmap.yaml").GetProperty("data")), container.GetProperty("env").EnumerateArray().Select(static variable => variable.GetProperty("name").GetString()!).ToHashSet());
        var compose = DeployFiles.Members(files.Document("compose.yaml").GetProperty("x-silo").GetProperty("environment"));
        yield return ("Compose", compose, compose.Keys.ToHashSet());
    }

    [GeneratedRegex(@"OrleansInference__((?:[A-Za-z0-9]|_(?=_[A-Za-z0-9])|(?<=_)_)+)")]
    private static partial Regex Variable();

    [GeneratedRegex(@"^Queues:\d+:(\w+)$")]
    private static partial Regex QueueSetting();
}
