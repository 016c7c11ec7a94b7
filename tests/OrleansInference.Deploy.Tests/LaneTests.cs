using System.Text.Json;
using System.Text.RegularExpressions;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

/// <summary>The lanes are tagged for the bill, and nobody but the router scales them.</summary>
public sealed partial class LaneTests(DeployFiles files)
{
    [Fact]
    public void Every_lane_is_tagged_with_its_kind_of_inference()
    {
        var tags = files.Resources().Where(static resource => resource.Type.StartsWith("AWS::SageMaker::", StringComparison.Ordinal)).Select(static resource => (resource.Name, Kind: Tags(resource.Properties).GetValueOrDefault("InferenceType", ""))).ToList();
        Assert.All(tags, static tag => Assert.True(tag.Kind.Length > 0 && tag.Name.StartsWith(tag.Kind, StringComparison.Ordinal), $"{tag.Name} is tagged '{tag.Kind}'."));
        Assert.Equal(Enum.GetNames<Lane>().Order(StringComparer.Ordinal), tags.Select(static tag => tag.Kind).Distinct().Order(StringComparer.Ordinal));
    }

    [Fact]
    public void What_can_be_tagged_is_tagged_for_the_bill_and_for_no_tenant()
    {
        foreach (var (name, type, properties) in files.Resources().Where(static resource => resource.Properties.TryGetProperty("Tags", out _)))
        {
            var keys = Tags(properties).Keys.ToHashSet();
            Assert.True(keys.IsSupersetOf(["Application", "CostCenter"]), name);
            Assert.True(keys.IsSubsetOf(["Application", "CostCenter", "InferenceType"]), $"{name} ({type})");
        }
    }

    [Fact]
    public void Transform_jobs_are_tagged_as_the_lanes_are()
    {
        var batch = Tags(files.Resources().First(static resource => resource.Name.StartsWith("Batch", StringComparison.Ordinal) && resource.Type == "AWS::SageMaker::Model").Properties);
        Assert.Equal(nameof(Lane.Batch), batch[CostTag.InferenceType]);
        var environment = files.Resource("router", "Task").GetProperty("Properties").GetProperty("ContainerDefinitions").EnumerateArray()
            .SelectMany(static container => container.TryGetProperty("Environment", out var variables) ? variables.EnumerateArray() : default(JsonElement.ArrayEnumerator))
            .Where(static variable => variable.TryGetProperty("Name", out var name) && name.GetString() == "OrleansInference__CostTags").ToList();
        var stack = CostTag.Parse(Assert.Single(environment).GetProperty("Value").GetProperty("Fn::Sub").GetString()!.Replace("${CostCenter}", "inference", StringComparison.Ordinal));
        var map = CostTag.Parse(DeployFiles.Members(files.Document("kubernetes/configmap.yaml").GetProperty("data"))["OrleansInference__CostTags"]);
        foreach (var tags in new[] { stack!, map! })
        {
            Assert.Equal(batch.Keys.Where(static key => key != CostTag.InferenceType).Order(StringComparer.Ordinal), tags.Keys.Order(StringComparer.Ordinal));
            Assert.Equal("orleans-inference", tags["Application"]);
            Assert.Equal("inference", tags["CostCenter"]);
        }
    }

    /// <summary>What a crash leaves behind goes after some days, wherever the code puts it; what doctor puts it deletes.</summary>
    [Fact]
    public void Objects_of_every_folder_that_is_written_expire()
    {
        var written = Directory.EnumerateFiles(Path.Combine(DeployFiles.Root, "src", "OrleansInference.Grains"), "*.cs", SearchOption.AllDirectories)
            .Where(static file => Path.GetFileName(file) is "AnswerStore.cs" or "BatchFiles.cs" or "WindowFiles.cs")
            .SelectMany(static file => Folder().Matches(File.ReadAllText(file)).Select(static match => match.Groups[1].Value + "/"))
            .Append(new OrleansInference.Jobs.JobAddress(new("t"), "j").Prefix[..(new OrleansInference.Jobs.JobAddress(new("t"), "j").Prefix.IndexOf('/', StringComparison.Ordinal) + 1)])
            .ToHashSet();
        Assert.Equal(4, written.Count);
        var expiring = files.Resource("state", "PayloadBucket").GetProperty("Properties").GetProperty("LifecycleConfiguration").GetProperty("Rules").EnumerateArray()
            .Where(static rule => rule.TryGetProperty("ExpirationInDays", out _)).Select(static rule => rule.GetProperty("Prefix").GetString()!).ToHashSet();
        Assert.Empty(written.Except(expiring));
    }

    [Fact]
    public void Nobody_else_scales()
    {
        Assert.DoesNotContain(files.Resources(), static resource => resource.Type.StartsWith("AWS::ApplicationAutoScaling::", StringComparison.Ordinal));

        // A change of the stack keeps the instance counts that the router has set.
        Assert.All(["RealtimeEndpoint", "AsyncEndpoint"], name => Assert.True(files.Resource("lanes", name).GetProperty("Properties").GetProperty("RetainAllVariantProperties").GetBoolean()));
    }

    [Fact]
    public void The_end_of_an_async_invocation_reaches_the_notification_queue()
    {
        var notifications = files.Resource("lanes", "AsyncConfig").GetProperty("Properties").GetProperty("AsyncInferenceConfig").GetProperty("OutputConfig").GetProperty("NotificationConfig");
        foreach (var topic in new[] { "SuccessTopic", "ErrorTopic" })
        {
            Assert.Equal($"${{StateStack}}-{topic}", notifications.GetProperty(topic).GetProperty("Fn::ImportValue").GetProperty("Fn::Sub").GetString());
            var subscription = files.Resources().Single(resource => resource.Type == "AWS::SNS::Subscription" && resource.Properties.GetProperty("TopicArn").GetProperty("Ref").GetString() == topic).Properties;
            Assert.Equal("sqs", subscription.GetProperty("Protocol").GetString());
            Assert.Equal("NotificationQueue", subscription.GetProperty("Endpoint").GetProperty("Fn::GetAtt")[0].GetString());
        }
    }

    private static Dictionary<string, string> Tags(JsonElement properties) => properties.GetProperty("Tags").EnumerateArray()
        .ToDictionary(static tag => tag.GetProperty("Key").GetString()!, static tag => tag.GetProperty("Value") is { ValueKind: JsonValueKind.String } value ? value.GetString()! : "", StringComparer.Ordinal);

    [GeneratedRegex("\\$\"([a-z]+)/\\{")]
    private static partial Regex Folder();
}
