using System.Text.Json;
using System.Text.RegularExpressions;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

/// <summary>The role of a silo may do what the code calls, and no more.</summary>
public sealed partial class PermissionTests(DeployFiles files)
{
    // What the stack has made before, and the role must not make.
    private static readonly HashSet<string> Made = ["s3:CreateBucket", "s3:PutBucketTagging", "sqs:CreateQueue", "dynamodb:CreateTable", "dynamodb:UpdateTable", "dynamodb:UpdateTimeToLive"];

    // IAM's name, where it is not the operation's.
    private static readonly Dictionary<string, string[]> Actions = new(StringComparer.Ordinal)
    {
        ["s3:PutBucket"] = ["s3:CreateBucket"],
        ["s3:HeadBucket"] = ["s3:ListBucket"],
        ["s3:ListObjectsV2"] = ["s3:ListBucket"],
        ["s3:GetObjectMetadata"] = ["s3:GetObject"],
        ["s3:DeleteObjects"] = ["s3:DeleteObject"],
        ["sagemaker:invocations"] = ["sagemaker:InvokeEndpoint"],
        ["sagemaker:invocations-response-stream"] = ["sagemaker:InvokeEndpointWithResponseStream"],
        ["sagemaker:async-invocations"] = ["sagemaker:InvokeEndpointAsync"],

        // Its tags take a right of their own.
        ["sagemaker:CreateTransformJob"] = ["sagemaker:CreateTransformJob", "sagemaker:AddTags"],

        // A transaction takes the rights of its parts, which are puts.
        ["dynamodb:TransactWriteItems"] = ["dynamodb:PutItem"],
    };

    private static readonly HashSet<string> DynamoDBOperations =
    [
        "BatchGetItem", "BatchWriteItem", "CreateTable", "DeleteItem", "DescribeTable", "DescribeTimeToLive", "GetItem", "PutItem", "Query", "Scan",
        "TransactGetItems", "TransactWriteItems", "UpdateItem", "UpdateTable", "UpdateTimeToLive",
    ];

    [Fact]
    public void What_the_code_calls_is_allowed()
    {
        var called = Called();
        Assert.Superset(
            new HashSet<string> { "sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointAsync", "sagemaker:InvokeEndpointWithResponseStream", "sagemaker:DescribeEndpoint", "sagemaker:CreateTransformJob", "s3:PutObject", "s3:DeleteObject", "sqs:ReceiveMessage", "dynamodb:GetItem", "dynamodb:PutItem" },
            called);
        Assert.Empty(called.Except(Allowed()).Except(Made));
    }

    [Fact]
    public void What_the_code_does_not_call_is_not_allowed()
    {
        Assert.Empty(Allowed().Except(Called()));
        Assert.Empty(Allowed().Intersect(Made));
    }

    [Fact]
    public void Every_right_is_for_named_resources()
    {
        foreach (var statement in Policy("silo"))
        {
            Assert.DoesNotContain("\"*\"", statement.GetProperty("Resource").GetRawText(), StringComparison.Ordinal);
        }

        var jobs = Policy("silo").Single(static statement => statement.GetProperty("Sid").GetString() == "TransformJobs").GetProperty("Resource").GetProperty("Fn::Sub").GetString();
        Assert.EndsWith($":transform-job/{new OrleansInferenceOptions().TransformJobPrefix}-*", jobs, StringComparison.Ordinal);
        var tables = Policy("silo").Single(static statement => statement.GetProperty("Sid").GetString() == "Tables").GetProperty("Resource").GetRawText();
        Assert.All(["-MembershipTable", "-GrainTable", "-ReminderTable", "/index/*"], part => Assert.Contains(part, tables, StringComparison.Ordinal));
    }

    [Fact]
    public void Captures_may_be_put_below_their_prefix_of_another_bucket_and_no_more()
    {
        var resource = files.Resource("router", "CapturePolicy");
        Assert.Equal("HasCaptureBucket", resource.GetProperty("Condition").GetString());
        var policy = resource.GetProperty("Properties");
        Assert.Equal("SiloRole", Assert.Single(policy.GetProperty("Roles").EnumerateArray()).GetProperty("Ref").GetString());
        var statement = Assert.Single(policy.GetProperty("PolicyDocument").GetProperty("Statement").EnumerateArray());
        Assert.Equal(("Allow", "s3:PutObject"), (statement.GetProperty("Effect").GetString(), statement.GetProperty("Action").GetString()));
        Assert.Equal("arn:${AWS::Partition}:s3:::${CaptureBucket}/${CapturePrefix}/*", statement.GetProperty("Resource").GetProperty("Fn::Sub").GetString());
    }

    [Fact]
    public void The_role_that_starts_a_task_reads_the_two_secrets()
    {
        var policy = Assert.Single(files.Resource("router", "ExecutionRole").GetProperty("Properties").GetProperty("Policies").EnumerateArray());
        var statement = Assert.Single(policy.GetProperty("PolicyDocument").GetProperty("Statement").EnumerateArray());
        Assert.Equal("secretsmanager:GetSecretValue", statement.GetProperty("Action").GetString());
        var readable = statement.GetProperty("Resource").EnumerateArray().Select(static resource => resource.GetRawText()).ToHashSet();
        Assert.All(files.Container("silo").GetProperty("Secrets").EnumerateArray(), secret => Assert.Contains(secret.GetProperty("ValueFrom").GetRawText(), readable));
    }

    /// <summary>The actions of the operations that the sources name.</summary>
    private static HashSet<string> Called()
    {
        var operations = new HashSet<string>(StringComparer.Ordinal);
        foreach (var file in Directory.EnumerateFiles(Path.Combine(DeployFiles.Root, "src"), "*.cs", SearchOption.AllDirectories).Where(static file => !file.Contains("LocalAws", StringComparison.Ordinal) && !file.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal)))
        {
            var text = File.ReadAllText(file);
            Add(ControlPlane(), "sagemaker");
            Add(Runtime(), "sagemaker");
            Add(S3(), "s3");
            Add(Sqs(), "sqs");
            if (text.Contains("Amazon.DynamoDBv2", StringComparison.Ordinal))
            {
                operations.UnionWith(SdkCall().Matches(text).Select(static match => match.Groups[1].Value).Where(DynamoDBOperations.Contains).Select(static name => "dynamodb:" + name));
            }

            void Add(Regex call, string service) => operations.UnionWith(call.Matches(text).Select(match => $"{service}:{match.Groups[1].Value}"));
        }

        return [.. operations.SelectMany(static operation => Actions.TryGetValue(operation, out var actions) ? actions : [operation])];
    }

    private HashSet<string> Allowed() => [.. Policy("silo").Where(static statement => statement.GetProperty("Effect").GetString() == "Allow").SelectMany(static statement => statement.GetProperty("Action") is { ValueKind: JsonValueKind.Array } many
        ? many.EnumerateArray().Select(static action => action.GetString()!)
        : [statement.GetProperty("Action").GetString()!])];

    private JsonElement.ArrayEnumerator Policy(string name) => files.Resource("router", "SiloRole").GetProperty("Properties").GetProperty("Policies").EnumerateArray()
        .Single(policy => policy.GetProperty("PolicyName").GetString() == name).GetProperty("PolicyDocument").GetProperty("Statement").EnumerateArray();

    [GeneratedRegex(@"CallAsync<[^>]+>\(\s*""([A-Z]\w+)""")]
    private static partial Regex ControlPlane();

    [GeneratedRegex(@"(?:Invocation\(call|Request\(call\.EndpointName), ""([a-z-]+)""")]
    private static partial Regex Runtime();

    [GeneratedRegex(@"\bs3\.([A-Z]\w+)Async\(")]
    private static partial Regex S3();

    [GeneratedRegex(@"\bsqs\.([A-Z]\w+)Async\(")]
    private static partial Regex Sqs();

    [GeneratedRegex(@"\.([A-Z]\w+)Async\(")]
    private static partial Regex SdkCall();
}
