using System.Text.Json;
using Amazon.DynamoDBv2.Model;
using OrleansInference.DynamoDB;

namespace OrleansInference.Tests;

/// <summary>Tables, bucket and queues are laid out as Orleans and the router expect, and outlive their stack.</summary>
public sealed class TableTests(DeployFiles files)
{
    [Theory]
    [InlineData("MembershipTable", "OrleansSilos", "DeploymentId:S:HASH SiloIdentity:S:RANGE", "")]
    [InlineData("GrainTable", "OrleansGrainState", "GrainReference:S:HASH GrainType:S:RANGE", "")]
    [InlineData("ReminderTable", "OrleansReminders", "ReminderId:S:HASH GrainHash:N:RANGE", "ServiceIdIndex(ServiceId:S:HASH GrainHash:N:RANGE) ServiceIdGrainReferenceIndex(ServiceId:S:HASH GrainReference:S:RANGE)")]
    public void A_table_has_the_layout_of_the_official_provider(string resource, string name, string keys, string indexes)
    {
        var table = files.Resource("state", resource).GetProperty("Properties");
        Assert.Equal(name, files.Document("cloudformation/state.yaml").GetProperty("Parameters").GetProperty(table.GetProperty("TableName").GetProperty("Ref").GetString()!).GetProperty("Default").GetString());
        var types = table.GetProperty("AttributeDefinitions").EnumerateArray().ToDictionary(static a => a.GetProperty("AttributeName").GetString()!, static a => a.GetProperty("AttributeType").GetString());
        string Keys(JsonElement schema) => string.Join(' ', schema.GetProperty("KeySchema").EnumerateArray()
            .Select(key => $"{key.GetProperty("AttributeName").GetString()}:{types[key.GetProperty("AttributeName").GetString()!]}:{key.GetProperty("KeyType").GetString()}"));
        Assert.Equal(keys, Keys(table));
        var found = table.TryGetProperty("GlobalSecondaryIndexes", out var list) ? list.EnumerateArray().Select(index => $"{index.GetProperty("IndexName").GetString()}({Keys(index)})") : [];
        Assert.Equal(indexes, string.Join(' ', found));

        // An attribute that no key uses is refused by DynamoDB.
        Assert.All(types.Keys, attribute => Assert.Contains(attribute + ":", keys + indexes, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("MembershipTable")]
    [InlineData("GrainTable")]
    [InlineData("ReminderTable")]
    public void A_table_has_the_layout_that_the_code_would_create(string resource)
    {
        var (name, definition) = resource switch
        {
            "MembershipTable" => (MembershipSchema.DefaultTable, MembershipSchema.Table),
            "GrainTable" => (StateSchema.DefaultTable, StateSchema.Table(expires: true)),
            _ => (ReminderSchema.DefaultTable, ReminderSchema.Table),
        };
        var template = files.Document("cloudformation/state.yaml");
        var table = files.Resource("state", resource).GetProperty("Properties");
        Assert.Equal(name, template.GetProperty("Parameters").GetProperty(table.GetProperty("TableName").GetProperty("Ref").GetString()!).GetProperty("Default").GetString());
        var wanted = definition.ToRequest(name, new Dictionary<string, string>());
        Assert.Equal(wanted.BillingMode.Value, table.GetProperty("BillingMode").GetString());
        Assert.Equal(
            wanted.AttributeDefinitions.Select(static attribute => $"{attribute.AttributeName}:{attribute.AttributeType.Value}").Order(StringComparer.Ordinal),
            table.GetProperty("AttributeDefinitions").EnumerateArray().Select(static attribute => $"{attribute.GetProperty("AttributeName").GetString()}:{attribute.GetProperty("AttributeType").GetString()}").Order(StringComparer.Ordinal));
        Assert.Equal(Keys(wanted.KeySchema), Keys(table));
        Assert.Equal(
            (wanted.GlobalSecondaryIndexes ?? []).Select(static index => $"{index.IndexName} {Keys(index.KeySchema)} {index.Projection.ProjectionType.Value}"),
            (table.TryGetProperty("GlobalSecondaryIndexes", out var indexes) ? indexes.EnumerateArray().ToArray() : []).Select(static index => $"{index.GetProperty("IndexName").GetString()} {Keys(index)} {index.GetProperty("Projection").GetProperty("ProjectionType").GetString()}"));
        Assert.Equal(definition.TimeToLive, table.TryGetProperty("TimeToLiveSpecification", out var ttl) ? ttl.GetProperty("AttributeName").GetString() : null);

        static string Keys(object schema) => schema is JsonElement json
            ? string.Join(' ', json.GetProperty("KeySchema").EnumerateArray().Select(static key => $"{key.GetProperty("AttributeName").GetString()}:{key.GetProperty("KeyType").GetString()}"))
            : string.Join(' ', ((IEnumerable<KeySchemaElement>)schema).Select(static key => $"{key.AttributeName}:{key.KeyType.Value}"));
    }

    [Fact]
    public void What_must_not_be_lost_is_kept()
    {
        foreach (var resource in files.Document("cloudformation/state.yaml").GetProperty("Resources").EnumerateObject())
        {
            var type = resource.Value.GetProperty("Type").GetString();
            if (type is "AWS::DynamoDB::Table" or "AWS::S3::Bucket" or "AWS::SecretsManager::Secret")
            {
                Assert.Equal("Retain", resource.Value.GetProperty("DeletionPolicy").GetString());
                Assert.Equal("Retain", resource.Value.GetProperty("UpdateReplacePolicy").GetString());
            }

            if (type is "AWS::DynamoDB::Table")
            {
                var table = resource.Value.GetProperty("Properties");
                Assert.Equal("PAY_PER_REQUEST", table.GetProperty("BillingMode").GetString());
                Assert.True(table.GetProperty("DeletionProtectionEnabled").GetBoolean());
                Assert.True(table.GetProperty("PointInTimeRecoverySpecification").GetProperty("PointInTimeRecoveryEnabled").GetBoolean());
                Assert.True(table.GetProperty("SSESpecification").GetProperty("SSEEnabled").GetBoolean());
            }
        }
    }

    [Fact]
    public void Objects_of_jobs_expire_and_the_catalog_does_not()
    {
        var rules = files.Resource("state", "PayloadBucket").GetProperty("Properties").GetProperty("LifecycleConfiguration").GetProperty("Rules").EnumerateArray().ToList();
        var prefixes = rules.Where(static rule => rule.TryGetProperty("ExpirationInDays", out _)).Select(static rule => rule.GetProperty("Prefix").GetString()!).ToHashSet();
        Assert.Contains(prefixes, prefix => new Jobs.JobAddress(new("acme"), "job").Prefix.StartsWith(prefix, StringComparison.Ordinal));
        Assert.Superset(new HashSet<string> { "jobs/", "batches/", "windows/", "async/", "tenants/", new Aws.DataCaptureOptions().Prefix + "/" }, prefixes);
        Assert.DoesNotContain(prefixes, static prefix => "config/catalog.json".StartsWith(prefix, StringComparison.Ordinal));
        Assert.Contains(rules, static rule => rule.TryGetProperty("AbortIncompleteMultipartUpload", out _));
    }

    [Fact]
    public void The_bucket_is_closed_to_the_public_and_to_plain_http()
    {
        var bucket = files.Resource("state", "PayloadBucket").GetProperty("Properties");
        Assert.All(bucket.GetProperty("PublicAccessBlockConfiguration").EnumerateObject(), static block => Assert.True(block.Value.GetBoolean()));
        Assert.Equal(4, bucket.GetProperty("PublicAccessBlockConfiguration").EnumerateObject().Count());
        var statement = Assert.Single(files.Resource("state", "PayloadBucketPolicy").GetProperty("Properties").GetProperty("PolicyDocument").GetProperty("Statement").EnumerateArray());
        Assert.Equal("Deny", statement.GetProperty("Effect").GetString());
        Assert.Equal("false", statement.GetProperty("Condition").GetProperty("Bool").GetProperty("aws:SecureTransport").GetString());
    }

    [Fact]
    public void Every_queue_that_others_fill_has_a_dead_letter_queue_but_the_one_that_the_router_empties_itself()
    {
        var without = files.Resources().Where(static resource => resource.Type == "AWS::SQS::Queue" && !resource.Properties.TryGetProperty("RedrivePolicy", out _)).Select(static resource => resource.Name);
        Assert.Equal(["AnswerDeadLetterQueue", "NotificationDeadLetterQueue", "RefusedQueue", "RequestQueue"], without.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_queue_that_the_router_is_to_empty_tells_when_it_does_not_and_one_that_is_to_stay_empty_when_it_is_not()
    {
        var alarms = files.Resources()
            .Where(static resource => resource.Type == "AWS::CloudWatch::Alarm" && resource.Properties.TryGetProperty("Namespace", out var space) && space.GetString() == "AWS/SQS")
            .Select(static alarm => $"{alarm.Properties.GetProperty("MetricName").GetString()} of {alarm.Properties.GetProperty("Dimensions")[0].GetProperty("Value").GetProperty("Fn::ImportValue").GetProperty("Fn::Sub").GetString()}");
        Assert.Equal(
            [
                "ApproximateAgeOfOldestMessage of ${StateStack}-NotificationQueue",
                "ApproximateAgeOfOldestMessage of ${StateStack}-RequestQueue",
                "ApproximateNumberOfMessagesVisible of ${StateStack}-AnswerDeadLetterQueue",
                "ApproximateNumberOfMessagesVisible of ${StateStack}-NotificationDeadLetterQueue",
                "ApproximateNumberOfMessagesVisible of ${StateStack}-RefusedQueue",
            ],
            alarms.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task The_master_key_is_drawn_once_and_is_32_bytes_in_base64()
    {
        var code = files.Resource("state", "MasterKeyFunction").GetProperty("Properties").GetProperty("Code").GetProperty("ZipFile").GetString();
        const string Stubs = """
            import sys, types
            put, sent, stages = [], [], {}
            class Client:
                def describe_secret(self, SecretId): return {"VersionIdsToStages": stages}
                def put_secret_value(self, SecretId, SecretString): put.append(SecretString); stages["1"] = ["AWSCURRENT"]
            sys.modules["boto3"] = types.SimpleNamespace(client=lambda service: Client())
            def send(event, context, status, data, physicalResourceId=None, noEcho=False, reason=None): sent.append(status)
            sys.modules["cfnresponse"] = types.SimpleNamespace(send=send, SUCCESS="SUCCESS", FAILED="FAILED")

            """;
        const string Calls = """

            for kind in ("Create", "Update", "Delete"): handler({"RequestType": kind, "ResourceProperties": {"SecretArn": "arn"}}, None)
            print(" ".join(put), len(put), *sent)
            """;
        var printed = (await ExternalCommand.RunAsync("python3", ["-c", Stubs + code + Calls])).Success().Split(' ');
        Assert.Equal(32, Convert.FromBase64String(printed[0]).Length);
        Assert.Equal("1 SUCCESS SUCCESS SUCCESS", string.Join(' ', printed[1..]).Trim());
    }
}
