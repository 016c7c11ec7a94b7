using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Configuration;
using OrleansInference.FrontDoor;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

/// <summary>Wherever it runs, the server's process is reached, asked and stopped alike.</summary>
public sealed partial class ProcessTests(DeployFiles files)
{
    private const int FrontDoor = 8080;
    private const int Silo = 11111;
    private const int Gateway = 30000;
    private static readonly int[] Ports = [FrontDoor, Silo, Gateway];

    private static string Dockerfile { get; } = File.ReadAllText(Path.Combine(DeployFiles.Folder, "Dockerfile"));

    private JsonElement Container => files.Pod().GetProperty("containers")[0];

    [Fact]
    public void Ports_agree()
    {
        Assert.Equal(Ports, Exposed().Match(Dockerfile).Groups[1].Value.Split(' ').Select(static port => int.Parse(port, CultureInfo.InvariantCulture)));
        Assert.Equal(Ports, files.Container("silo").GetProperty("PortMappings").EnumerateArray().Select(static port => port.GetProperty("ContainerPort").GetInt32()));
        Assert.Equal(Ports, Container.GetProperty("ports").EnumerateArray().Select(static port => port.GetProperty("containerPort").GetInt32()));
        var silo = files.Document("compose.yaml").GetProperty("x-silo");
        Assert.Equal(Ports, silo.GetProperty("expose").EnumerateArray().Select(static port => int.Parse(port.GetString()!, CultureInfo.InvariantCulture)));
        foreach (var urls in new[]
        {
            DeployFiles.Environment(files.Container("silo")), DeployFiles.Members(files.Document("kubernetes/configmap.yaml").GetProperty("data")), DeployFiles.Members(silo.GetProperty("environment")),
        }.Select(static settings => settings["OrleansInference__Urls"]).Append(Urls().Match(Dockerfile).Groups[1].Value))
        {
            Assert.Equal($"http://0.0.0.0:{FrontDoor}", urls);
        }

        var balanced = Assert.Single(files.Resource("router", "Service").GetProperty("Properties").GetProperty("LoadBalancers").EnumerateArray());
        Assert.Equal(FrontDoor, balanced.GetProperty("ContainerPort").GetInt32());
        Assert.Equal(FrontDoor, files.Resource("router", "TargetGroup").GetProperty("Properties").GetProperty("Port").GetInt32());
        var nginx = File.ReadAllText(Path.Combine(DeployFiles.Folder, "compose", "nginx.conf"));
        Assert.All(["silo-1", "silo-2", "silo-3"], name => Assert.Contains($"server {name}:{FrontDoor} ", nginx, StringComparison.Ordinal));
        Assert.Equal(3, files.Document("compose.yaml").GetProperty("services").EnumerateObject().Count(static service => service.Name.StartsWith("silo-", StringComparison.Ordinal)));
    }

    [Fact]
    public void Only_silos_reach_the_ports_of_silos()
    {
        foreach (var (name, _, properties) in files.Resources().Where(static resource => resource.Type == "AWS::EC2::SecurityGroupIngress" && resource.Properties.GetProperty("FromPort").GetInt32() is Silo or Gateway))
        {
            Assert.True(properties.GetProperty("FromPort").GetInt32() == properties.GetProperty("ToPort").GetInt32(), name);
            Assert.Equal("SiloSecurityGroup", properties.GetProperty("SourceSecurityGroupId").GetProperty("Ref").GetString());
        }

        Assert.False(files.Resource("router", "SiloSecurityGroup").GetProperty("Properties").TryGetProperty("SecurityGroupIngress", out _));
        var rules = files.Document("kubernetes/networkpolicy.yaml").GetProperty("spec").GetProperty("ingress").EnumerateArray();
        Assert.Equal([FrontDoor], rules.Where(static rule => !rule.TryGetProperty("from", out _)).SelectMany(static rule => rule.GetProperty("ports").EnumerateArray()).Select(static port => port.GetProperty("port").GetInt32()));
        Assert.DoesNotContain(files.Document("compose.yaml").GetProperty("services").EnumerateObject(), static service => service.Name.StartsWith("silo-", StringComparison.Ordinal) && service.Value.TryGetProperty("ports", out _));
    }

    [Fact]
    public void Whoever_asks_for_health_asks_what_is_served()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddSingleton<Readiness>();
        var application = builder.Build();
        Readiness.Map(application);
        var served = ((IEndpointRouteBuilder)application).DataSources.SelectMany(static source => source.Endpoints).OfType<RouteEndpoint>().Select(static endpoint => endpoint.RoutePattern.RawText!).ToHashSet();
        var readiness = files.Resource("router", "TargetGroup").GetProperty("Properties").GetProperty("HealthCheckPath").GetString()!;
        Assert.Contains(readiness, served);
        Assert.Equal(readiness, Path("readinessProbe"));
        Assert.Contains(Path("livenessProbe"), served);

        // A silo that cannot reach the others is not killed for it, nor one that waits for its tables.
        Assert.NotEqual(readiness, Path("livenessProbe"));
        Assert.Equal(Path("livenessProbe"), Path("startupProbe"));
        Assert.EndsWith($":{FrontDoor}{readiness}", files.Document("compose.yaml").GetProperty("services").GetProperty("front").GetProperty("healthcheck").GetProperty("test").EnumerateArray().Last().GetString(), StringComparison.Ordinal);

        string Path(string probe) => Container.GetProperty(probe).GetProperty("httpGet").GetProperty("path").GetString()!;
    }

    [Fact]
    public void A_stop_has_time_to_end()
    {
        var inTask = Patience(DeployFiles.Environment(files.Container("silo")));
        var stopTimeout = files.Container("silo").GetProperty("StopTimeout").GetInt32();
        Assert.InRange(stopTimeout, inTask.TotalSeconds + 10, 120);

        var inPod = Patience(DeployFiles.Members(files.Document("kubernetes/configmap.yaml").GetProperty("data")));
        var sleep = Container.GetProperty("lifecycle").GetProperty("preStop").GetProperty("sleep").GetProperty("seconds").GetInt32();
        Assert.InRange(files.Pod().GetProperty("terminationGracePeriodSeconds").GetInt32(), sleep + inPod.TotalSeconds + 10, 3600);

        var silo = files.Document("compose.yaml").GetProperty("x-silo");
        var inCompose = Patience(DeployFiles.Members(silo.GetProperty("environment")));
        Assert.InRange(Span(silo.GetProperty("stop_grace_period").GetString()!).TotalSeconds, inCompose.TotalSeconds + 10, 3600);

        // ECS stops a task once the load balancer waits for nothing more of it.
        var drained = files.Resource("router", "TargetGroup").GetProperty("Properties").GetProperty("TargetGroupAttributes").EnumerateArray()
            .Single(static attribute => attribute.GetProperty("Key").GetString() == "deregistration_delay.timeout_seconds").GetProperty("Value").GetString()!;
        Assert.InRange(int.Parse(drained, CultureInfo.InvariantCulture), new ServerSettings { DataFolder = "", Catalog = new() }.InlineWait.TotalSeconds + 10, 3600);

        // The process itself waits no longer than this.
        var field = typeof(ServeCommand).GetField("TerminationTimeout", System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Static);
        Assert.True(new[] { inTask, inPod, inCompose, new ServerSettings { DataFolder = "", Catalog = new() }.InlineWait }.Max() < (TimeSpan)field!.GetValue(null)!);
    }

    [Fact]
    public void An_upgrade_takes_no_silo_away_before_its_successor_is_ready()
    {
        var deployment = files.Document("kubernetes/deployment.yaml").GetProperty("spec");
        var rolling = deployment.GetProperty("strategy").GetProperty("rollingUpdate");
        Assert.Equal((0, 1), (rolling.GetProperty("maxUnavailable").GetInt32(), rolling.GetProperty("maxSurge").GetInt32()));
        Assert.InRange(files.Document("kubernetes/poddisruptionbudget.yaml").GetProperty("spec").GetProperty("minAvailable").GetInt32(), 2, deployment.GetProperty("replicas").GetInt32() - 1);
        var service = files.Resource("router", "Service").GetProperty("Properties").GetProperty("DeploymentConfiguration");
        Assert.Equal(100, service.GetProperty("MinimumHealthyPercent").GetInt32());
        Assert.True(service.GetProperty("MaximumPercent").GetInt32() > 100);
        Assert.All(["Enable", "Rollback"], name => Assert.True(service.GetProperty("DeploymentCircuitBreaker").GetProperty(name).GetBoolean()));
    }

    [Fact]
    public void A_silo_that_waits_is_sent_no_requests_and_not_replaced_and_a_deployment_of_such_silos_is_rolled_back()
    {
        var service = files.Resource("router", "Service").GetProperty("Properties");
        Assert.Equal("/readyz", files.Resource("router", "TargetGroup").GetProperty("Properties").GetProperty("HealthCheckPath").GetString());
        Assert.Equal(int.MaxValue, service.GetProperty("HealthCheckGracePeriodSeconds").GetInt32());
        var alarms = service.GetProperty("DeploymentConfiguration").GetProperty("Alarms");
        Assert.All(["Enable", "Rollback"], name => Assert.True(alarms.GetProperty(name).GetBoolean()));
        var alarm = files.Resource("router", Assert.Single(alarms.GetProperty("AlarmNames").EnumerateArray()).GetProperty("Ref").GetString()!).GetProperty("Properties");
        Assert.Equal("UnHealthyHostCount", alarm.GetProperty("MetricName").GetString());
        Assert.Equal(
            ["LoadBalancer.LoadBalancerFullName", "TargetGroup.TargetGroupFullName"],
            alarm.GetProperty("Dimensions").EnumerateArray().Select(static dimension => string.Join('.', dimension.GetProperty("Value").GetProperty("Fn::GetAtt").EnumerateArray().Select(static part => part.GetString()))));
    }

    [Fact]
    public void A_silo_is_no_root_and_writes_its_data_folder_only()
    {
        var pod = files.Pod().GetProperty("securityContext");
        Assert.True(pod.GetProperty("runAsNonRoot").GetBoolean());
        Assert.Equal("RuntimeDefault", pod.GetProperty("seccompProfile").GetProperty("type").GetString());
        var container = Container.GetProperty("securityContext");
        Assert.True(container.GetProperty("readOnlyRootFilesystem").GetBoolean());
        Assert.False(container.GetProperty("allowPrivilegeEscalation").GetBoolean());
        Assert.Equal(["ALL"], container.GetProperty("capabilities").GetProperty("drop").EnumerateArray().Select(static capability => capability.GetString()));
        Assert.True(files.Container("silo").GetProperty("ReadonlyRootFilesystem").GetBoolean());
        Assert.Contains("VOLUME [\"/data\"]", Dockerfile, StringComparison.Ordinal);
        Assert.Contains("dotnet/aspnet:10.0-noble-chiseled-extra", Dockerfile, StringComparison.Ordinal);
    }

    [Fact]
    public void The_image_is_built_from_everything_that_a_build_reads()
    {
        // Without the analysers' settings the sources do not build, and what the context leaves out cannot be copied.
        string[] needed = [".editorconfig", "Directory.Build.props", "Directory.Packages.props", "global.json", "src"];
        var copied = Copied().Matches(Dockerfile).SelectMany(static copy => copy.Groups[1].Value.Split(' ', StringSplitOptions.RemoveEmptyEntries)[..^1]).Select(static source => source.TrimEnd('/')).ToList();
        Assert.Equal(needed, copied);
        var context = File.ReadAllLines(Path.Combine(DeployFiles.Root, ".dockerignore"));
        Assert.All(needed, name => Assert.True(context.Contains("!" + name) && Path.Exists(Path.Combine(DeployFiles.Root, name)), name));
    }

    [Fact]
    public void Pods_tell_each_other_their_own_address()
    {
        var address = Container.GetProperty("env").EnumerateArray().Single(static variable => variable.GetProperty("name").GetString() == "OrleansInference__AdvertisedAddress");
        Assert.Equal("status.podIP", address.GetProperty("valueFrom").GetProperty("fieldRef").GetProperty("fieldPath").GetString());
        var headless = files.Documents("kubernetes/services.yaml").Single(static service => service.GetProperty("spec").TryGetProperty("clusterIP", out var address) && address.GetString() == "None").GetProperty("spec");
        Assert.Equal([Silo, Gateway], headless.GetProperty("ports").EnumerateArray().Select(static port => port.GetProperty("port").GetInt32()));
    }

    private static TimeSpan Patience(Dictionary<string, string> settings) => Span(settings["OrleansInference__ShutdownTimeout"]);

    private static TimeSpan Span(string text)
    {
        Assert.True(DurationText.TryParse(text, out var span), text);
        return span;
    }

    [GeneratedRegex(@"^COPY ((?!--from).+)$", RegexOptions.Multiline)]
    private static partial Regex Copied();

    [GeneratedRegex(@"^EXPOSE (.+)$", RegexOptions.Multiline)]
    private static partial Regex Exposed();

    [GeneratedRegex(@"OrleansInference__Urls=(\S+)")]
    private static partial Regex Urls();
}
