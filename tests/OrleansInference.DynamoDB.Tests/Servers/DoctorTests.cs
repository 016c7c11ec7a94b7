using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Amazon.SQS;
using Amazon.SQS.Model;
using OrleansInference.Configuration;
using OrleansInference.Diagnosis;
using OrleansInference.Tests;

namespace OrleansInference.DynamoDB.Tests.Servers;

[Collection(DynaliteCollection.Name)]
public sealed class DoctorTests(Dynalite dynalite) : IAsyncLifetime
{
    private ServerCluster? _cluster;

    public async ValueTask InitializeAsync() => _cluster = await ServerCluster.StartAsync(dynalite.Service, 0);

    public async ValueTask DisposeAsync()
    {
        dynalite.Proxy.Faults = null;
        await _cluster!.DisposeAsync();
    }

    [Fact]
    public async Task All_that_can_be_used_is_ok_and_nothing_is_left_behind()
    {
        var settings = await WithTablesAsync(_cluster!.Settings(0));
        var findings = await ExamineAsync(settings);
        Assert.All(findings, static finding => Assert.True(finding.State == FindingState.Ok, $"{finding}"));
        Assert.Equal(
            [
                "data folder", "clock", "credentials", $"DynamoDB table {settings.Cluster!.MembershipTable}", $"DynamoDB table {settings.Cluster.GrainTable}", $"DynamoDB table {settings.Cluster.ReminderTable}", "master key",
                "S3 bucket orleans-inference", "SQS queue orleans-inference-notifications", "SageMaker endpoint chat-rt", "SageMaker endpoint chat-async", "SageMaker endpoint slow-rt",
            ],
            findings.Select(static finding => finding.Dependency));
        using var raw = dynalite.Client();
        foreach (var table in (string[])[settings.Cluster.MembershipTable, settings.Cluster.GrainTable, settings.Cluster.ReminderTable])
        {
            Assert.Equal(0, (await raw.ScanAsync(new Amazon.DynamoDBv2.Model.ScanRequest { TableName = table }, TestContext.Current.CancellationToken)).Count);
        }
    }

    [Fact]
    public async Task What_is_missing_is_not_created()
    {
        var settings = _cluster!.Settings(0);
        var findings = await ExamineAsync(settings);
        Assert.Equal(("data folder", FindingState.Ok, $"{settings.DataFolder} does not exist yet; a server that starts creates it"), (findings[0].Dependency, findings[0].State, findings[0].Detail));
        Assert.False(Directory.Exists(settings.DataFolder));
        var tables = findings.Where(static finding => finding.Dependency.StartsWith("DynamoDB", StringComparison.Ordinal)).ToList();
        Assert.Equal(3, tables.Count);
        Assert.All(tables, static finding => Assert.True(finding.State == FindingState.Warning && finding.Detail.StartsWith("there is no such table; a server that starts creates it", StringComparison.Ordinal), $"{finding}"));
        using var raw = dynalite.Client();
        foreach (var table in (string[])[settings.Cluster!.MembershipTable, settings.Cluster.GrainTable, settings.Cluster.ReminderTable])
        {
            await Assert.ThrowsAsync<Amazon.DynamoDBv2.Model.ResourceNotFoundException>(() => raw.DescribeTableAsync(table, TestContext.Current.CancellationToken));
        }
    }

    [Fact]
    public async Task A_data_folder_is_left_as_it_is_and_one_that_cannot_be_used_is_named()
    {
        var settings = _cluster!.Settings(0);
        Directory.CreateDirectory(settings.DataFolder);
        Assert.Equal($"{settings.DataFolder} may be written", (await ExamineAsync(settings))[0].Detail);
        Assert.Empty(Directory.EnumerateFileSystemEntries(settings.DataFolder));
        var file = Path.Combine(settings.DataFolder, "file");
        await File.WriteAllTextAsync(file, "", TestContext.Current.CancellationToken);
        var below = (await ExamineAsync(settings with { DataFolder = Path.Combine(file, "below") }))[0];
        Assert.Equal(FindingState.Wrong, below.State);
        Assert.Contains($"it cannot be created ('{file}' is a file)", below.Detail, StringComparison.Ordinal);
        await _cluster.AddAsync(1);
        var held = (await ExamineAsync(_cluster.Settings(1)))[0];
        Assert.Equal(FindingState.Wrong, held.State);
        Assert.Contains("in use by another server", held.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_server_may_do_with_endpoints_and_models_is_tried_by_SageMakers_names_without_doing_it()
    {
        var settings = await WithAllLanesAsync(_cluster!.Settings(0));
        var findings = (await ExamineAsync(settings)).Where(static finding => finding.Dependency.StartsWith("SageMaker", StringComparison.Ordinal)).ToList();
        Assert.All(findings, static finding => Assert.True(finding.State == FindingState.Ok, $"{finding}"));
        Assert.Equal(
            [
                ("SageMaker endpoint oi-chat-rt", "in service, variant full, 2 instances, may be invoked, may be scaled"),
                ("SageMaker endpoint oi-chat-async", "in service, variant full, 2 instances, whether it may be invoked was not tried, since what is sent to it is queued (doctor --invoke tries it), may be scaled"),
                ("SageMaker model oi-chat-batch", "it is there"),
                ("SageMaker transform jobs", "they may be created with tags, looked at and stopped"),
            ],
            findings.Select(static finding => (finding.Dependency, finding.Detail)));
        Assert.Empty(_cluster.Aws.Invocations);
    }

    [Theory]
    [InlineData("invocations", "sagemaker:InvokeEndpoint", "SageMaker endpoint oi-chat-rt")]
    [InlineData("invocations-response-stream", "sagemaker:InvokeEndpointWithResponseStream", "SageMaker endpoint oi-chat-rt")]
    [InlineData("UpdateEndpointWeightsAndCapacities", "sagemaker:UpdateEndpointWeightsAndCapacities", "SageMaker endpoint oi-chat-rt", "SageMaker endpoint oi-chat-async")]
    [InlineData("CreateTransformJob", "sagemaker:AddTags", "SageMaker transform jobs")]
    [InlineData("StopTransformJob", "sagemaker:StopTransformJob", "SageMaker transform jobs")]
    [InlineData("DeleteMessage", "sqs:DeleteMessage", "SQS queue orleans-inference-notifications")]
    public async Task What_it_may_not_do_is_named_with_the_action(string operation, string action, params string[] dependencies)
    {
        await using var proxy = await AwsProxy.StartAsync(_cluster!.Aws.Address);
        proxy.Refusals = asked => asked == operation ? (403, "AccessDeniedException", $"User: arn:aws:sts::1:assumed-role/silo is not authorized to perform: {action} on resource: r") : null;
        var wrong = (await ExamineAsync(By(proxy, await WithAllLanesAsync(_cluster.Settings(0))))).Where(static finding => finding.State == FindingState.Wrong).ToList();
        Assert.Equal(dependencies, wrong.Select(static finding => finding.Dependency));
        Assert.All(wrong, finding =>
        {
            Assert.StartsWith("it is not permitted: ", finding.Detail, StringComparison.Ordinal);
            Assert.Contains(action, finding.Detail, StringComparison.Ordinal);
        });
    }

    [Fact]
    public async Task A_model_that_may_not_be_looked_at_is_no_fault_and_one_that_is_missing_is()
    {
        await using var proxy = await AwsProxy.StartAsync(_cluster!.Aws.Address);
        var settings = By(proxy, await WithAllLanesAsync(_cluster.Settings(0)));
        proxy.Refusals = static asked => asked == "DescribeModel" ? (400, "AccessDeniedException", "not authorized") : null;
        Assert.Equal(FindingState.Ok, (await ExamineAsync(settings)).Single(static finding => finding.Dependency == "SageMaker model oi-chat-batch").State);
        proxy.Refusals = static asked => asked == "DescribeModel" ? (400, "ValidationException", "Could not find model \"arn:aws:sagemaker:us-east-1:1:model/oi-chat-batch\".") : null;
        var missing = (await ExamineAsync(settings)).Single(static finding => finding.Dependency == "SageMaker model oi-chat-batch");
        Assert.Equal((FindingState.Wrong, "there is no such model"), (missing.State, missing.Detail));
    }

    [Fact]
    public async Task Each_endpoint_is_called_once_if_that_is_asked_for()
    {
        var settings = await WithAllLanesAsync(_cluster!.Settings(0));
        var findings = (await ExamineAsync(settings, invoke: true)).Where(static finding => finding.Dependency.StartsWith("SageMaker", StringComparison.Ordinal)).ToDictionary(static finding => finding.Dependency);
        Assert.All(findings.Values, static finding => Assert.True(finding.State == FindingState.Ok, $"{finding}"));
        Assert.EndsWith("may be invoked, may be scaled, was called; its model does not take {} and said 400", findings["SageMaker endpoint oi-chat-rt"].Detail, StringComparison.Ordinal);
        Assert.Contains("took a call whose input does not exist", findings["SageMaker endpoint oi-chat-async"].Detail, StringComparison.Ordinal);
        Assert.Equal("InvokeEndpoint", _cluster.Aws.Invocations.Single(static invocation => invocation.Endpoint == "oi-chat-rt").Operation);
    }

    [Theory]
    [InlineData("AccessDeniedException", "User: arn:aws:iam::1:user/x is not authorized to perform: dynamodb:PutItem", "it is not permitted", "policy")]
    [InlineData("ExpiredTokenException", "The security token included in the request is expired", "have expired", "Renew")]
    [InlineData("InvalidSignatureException", "Signature expired: 20260301T120000Z is now earlier than 20260301T121500Z", "clock is off", "NTP")]
    [InlineData("UnrecognizedClientException", "The security token included in the request is invalid.", "does not take the credentials", "access key")]
    [InlineData("ProvisionedThroughputExceededException", "The level of configured provisioned throughput for the table was exceeded", "it is throttled", "throughput")]
    public async Task What_DynamoDB_refuses_is_named_with_its_remedy(string error, string message, string detail, string remedy)
    {
        await WithTablesAsync(_cluster!.Settings(0));
        dynalite.Proxy.Faults = call => call.Operation == "PutItem" ? new(error, message) : null;
        var wrong = (await ExamineAsync(_cluster.Settings(0))).Where(static finding => finding.State == FindingState.Wrong).ToList();
        Assert.Equal(3, wrong.Count);
        Assert.All(wrong, finding =>
        {
            Assert.Contains(detail, finding.Detail, StringComparison.Ordinal);
            Assert.Contains(message, finding.Detail, StringComparison.Ordinal);
            Assert.Contains(remedy, finding.Remedy, StringComparison.Ordinal);
        });
    }

    [Fact]
    public async Task Missing_tables_queues_endpoints_and_what_cannot_be_reached_are_named()
    {
        var settings = _cluster!.Settings(0);
        var cluster = settings.Cluster!;
        var findings = await ExamineAsync(settings with
        {
            NotificationQueue = "nowhere",
            Catalog = settings.Catalog with { Models = [settings.Catalog.Models[0] with { Variants = [settings.Catalog.Models[0].Variants[0] with { Endpoints = [settings.Catalog.Models[0].Variants[0].Endpoints[0] with { Name = new("unknown-rt") }] }] }] },
            Cluster = cluster with { CreateTables = false },
        });
        var wrong = findings.Where(static finding => finding.State == FindingState.Wrong).ToDictionary(static finding => finding.Dependency, static finding => finding.Detail);
        Assert.Equal(4, wrong.Count);
        Assert.Contains($"There is no DynamoDB table '{cluster.GrainTable}'", wrong[$"DynamoDB table {cluster.GrainTable}"], StringComparison.Ordinal);
        Assert.EndsWith($"(asked at {cluster.Endpoint}, Aws:DynamoDBEndpoint)", wrong[$"DynamoDB table {cluster.GrainTable}"], StringComparison.Ordinal);
        Assert.Equal("there is no such endpoint", wrong["SageMaker endpoint unknown-rt"]);

        findings = await ExamineAsync(settings with { Aws = new() { Endpoint = new("http://127.0.0.1:1"), AccessKeyId = "OITESTS0000000000000", SecretAccessKey = new('s', 40), MaxAttempts = 1 } });
        Assert.All(findings.Where(static finding => finding.Dependency.StartsWith('S') || finding.Dependency == "clock"), static finding =>
        {
            Assert.Equal(FindingState.Wrong, finding.State);
            Assert.Contains("cannot be reached", finding.Detail, StringComparison.Ordinal);
            Assert.EndsWith("(asked at http://127.0.0.1:1/, Aws:Endpoint)", finding.Detail, StringComparison.Ordinal);
        });
        findings = await ExamineAsync(settings with { Aws = new() { Endpoint = settings.Aws!.Endpoint, S3Endpoint = new("http://127.0.0.1:1"), AccessKeyId = "OITESTS0000000000000", SecretAccessKey = new('s', 40), MaxAttempts = 1 } });
        var bucket = Assert.Single(findings, static finding => finding.State == FindingState.Wrong);
        Assert.EndsWith("(asked at http://127.0.0.1:1/, Aws:S3Endpoint)", bucket.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bucket_and_a_queue_that_the_server_creates_are_no_fault_and_are_not_created()
    {
        var settings = await WithTablesAsync(_cluster!.Settings(0)) with { PayloadBucket = "jobs-nowhere", NotificationQueue = "nowhere", Queues = [new() { Queue = "requests", Tenant = new(ServerCatalog.Tenant) }] };
        for (var i = 0; i < 2; i++)
        {
            var findings = (await ExamineAsync(settings)).Where(static finding => finding.State != FindingState.Ok).ToDictionary(static finding => finding.Dependency, static finding => (finding.State, finding.Detail));
            Assert.Equal(3, findings.Count);
            Assert.Equal((FindingState.Warning, "there is no such bucket; a server creates it for its first job, if it may (s3:CreateBucket)"), findings["S3 bucket jobs-nowhere"]);
            Assert.Equal((FindingState.Warning, "there is no such queue; a server creates it, if it may (sqs:CreateQueue)"), findings["SQS queue nowhere"]);
            Assert.Equal((FindingState.Wrong, "there is no such queue"), findings["SQS queue requests"]);
        }
    }

    [Fact]
    public async Task The_bucket_of_the_data_capture_is_tried_where_it_is_another()
    {
        var settings = _cluster!.Settings(0);
        Assert.DoesNotContain(await ExamineAsync(settings with { DataCapture = new() { Bucket = settings.PayloadBucket } }), static finding => finding.Dependency.Contains("data capture", StringComparison.Ordinal));
        var missing = Assert.Single(await ExamineAsync(settings with { DataCapture = new() { Bucket = "captures-nowhere" } }), static finding => finding.Dependency == "S3 bucket captures-nowhere of the data capture");
        Assert.Equal(FindingState.Wrong, missing.State);
        Assert.Contains("there is no such thing", missing.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_clock_that_is_minutes_off_is_named()
    {
        var began = Stopwatch.GetTimestamp();
        var clock = (await ExamineAsync(_cluster!.Settings(0), new Ahead())).Single(static finding => finding.Dependency == "clock");
        Assert.Equal(FindingState.Wrong, clock.State);

        // The answer's date is of whole seconds, and as old when it is looked at as its way took.
        var told = Regex.Match(clock.Detail, "^([0-9]+) s ahead of 127.0.0.1$");
        Assert.True(told.Success, clock.Detail);
        Assert.InRange(int.Parse(told.Groups[1].ValueSpan, CultureInfo.InvariantCulture), 419, 422 + Stopwatch.GetElapsedTime(began).TotalSeconds);
        Assert.Contains("NTP", clock.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_whose_tables_cannot_be_used_yet_waits_for_them_and_starts()
    {
        dynalite.Proxy.Faults = static call => call.Operation == "DescribeTable" ? new("AccessDeniedException", "not yet") : null;
        var address = new Uri($"http://127.0.0.1:{FreePorts.Next()}");
        var start = _cluster!.StartServerAsync(_cluster.Settings(0) with { Urls = [address.AbsoluteUri] }, TestContext.Current.CancellationToken);

        // It lives, says what it waits for, and is not to be sent requests.
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromMinutes(2));
        Assert.Equal("ok", await AnswerAsync("/healthz", System.Net.HttpStatusCode.OK));
        var said = await AnswerAsync("/readyz", System.Net.HttpStatusCode.ServiceUnavailable);
        Assert.Contains("The server cannot start yet: DynamoDB table", said, StringComparison.Ordinal);
        Assert.Contains("it is not permitted: not yet", said, StringComparison.Ordinal);
        Assert.False(start.IsCompleted);
        dynalite.Proxy.Faults = null;
        await using var server = await start;
        Assert.Equal("ready", await AnswerAsync("/readyz", System.Net.HttpStatusCode.OK));

        async Task<string> AnswerAsync(string path, System.Net.HttpStatusCode status)
        {
            while (true)
            {
                try
                {
                    using var response = await http.GetAsync(new Uri(address, path), patience.Token);
                    if (response.StatusCode == status)
                    {
                        return await response.Content.ReadAsStringAsync(patience.Token);
                    }
                }
                catch (HttpRequestException)
                {
                    // Nothing listens there yet.
                }

                await Task.Delay(20, patience.Token);
            }
        }
    }

    [Fact]
    public async Task A_server_whose_tables_could_be_used_and_cannot_when_its_silo_starts_rests_and_ends_with_the_reason()
    {
        // What the examination asks for is about "doctor", and the comparison of the master key comes before the silo too; the rest is the silo's own.
        dynalite.Proxy.Faults = static call => call.Operation.StartsWith("Describe", StringComparison.Ordinal) || call.Operation == "CreateTable" || call.Operation == "UpdateTimeToLive" || call.Body.ToJsonString().Contains("doctor", StringComparison.Ordinal)
            || call.Body.ToJsonString().Contains("masterkey", StringComparison.Ordinal)
            ? null
            : new("AccessDeniedException", "not yet");
        var address = new Uri($"http://127.0.0.1:{FreePorts.Next()}");
        var start = _cluster!.StartServerAsync(_cluster.Settings(0) with { Urls = [address.AbsoluteUri] }, TestContext.Current.CancellationToken);
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromMinutes(3));
        while (true)
        {
            Assert.False(start.IsCompleted, "It has ended.");
            try
            {
                using var response = await http.GetAsync(new Uri(address, "/readyz"), patience.Token);
                if ((await response.Content.ReadAsStringAsync(patience.Token)).Contains("The server cannot start yet: it is not permitted: not yet", StringComparison.Ordinal))
                {
                    Assert.Equal(System.Net.HttpStatusCode.ServiceUnavailable, response.StatusCode);
                    break;
                }
            }
            catch (HttpRequestException)
            {
                // Nothing listens there while it is tried.
            }

            await Task.Delay(20, patience.Token);
        }

        var problem = Assert.Single((await Assert.ThrowsAsync<ConfigurationException>(() => start)).Problems);
        Assert.StartsWith("The silo could not start: it is not permitted: not yet", problem, StringComparison.Ordinal);

        // What it held is free for the next one.
        dynalite.Proxy.Faults = null;
        await using var server = await _cluster!.StartServerAsync(_cluster.Settings(0), TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task What_a_server_creates_has_the_cost_tags()
    {
        var settings = _cluster!.Settings(0) with { NotificationQueue = "tagged-notifications", CostTags = new Dictionary<string, string> { ["CostCenter"] = "42" } };
        dynalite.Proxy.TakeCalls();
        await using var server = await _cluster.StartServerAsync(settings, TestContext.Current.CancellationToken);
        var created = dynalite.Proxy.TakeCalls().Where(static call => call.Operation == "CreateTable").ToList();
        Assert.Equal(3, created.Count);
        Assert.All(created, static call => Assert.Equal("""[{"Key":"CostCenter","Value":"42"}]""", call.Body["Tags"]!.ToJsonString()));

        // The queue is created by who listens to it, beside the start.
        using var sqs = new AmazonSQSClient("emulator", "emulator", new AmazonSQSConfig { ServiceURL = _cluster.Aws.Address.AbsoluteUri, AuthenticationRegion = "us-east-1" });
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromMinutes(2));
        while (true)
        {
            try
            {
                var queue = await sqs.GetQueueUrlAsync("tagged-notifications", patience.Token);
                Assert.Equal(new() { ["CostCenter"] = "42" }, (await sqs.ListQueueTagsAsync(new ListQueueTagsRequest { QueueUrl = queue.QueueUrl }, patience.Token)).Tags);
                return;
            }
            catch (QueueDoesNotExistException)
            {
                await Task.Delay(20, patience.Token);
            }
        }
    }

    /// <summary>A clock that is seven minutes fast.</summary>
    private sealed class Ahead : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow().AddMinutes(7);
    }

    // What a server does when it starts.
    private static async Task<ServerSettings> WithTablesAsync(ServerSettings settings)
    {
        var (cluster, service) = (settings.Cluster!, settings.Cluster!.Endpoint!.OriginalString);
        await TableExamination.OfMembership(new() { Service = service, TableName = cluster.MembershipTable }).OpenAsync(TestContext.Current.CancellationToken);
        await TableExamination.OfGrainState(new() { Service = service, TableName = cluster.GrainTable }).OpenAsync(TestContext.Current.CancellationToken);
        await TableExamination.OfReminders(new() { Service = service, TableName = cluster.ReminderTable }).OpenAsync(TestContext.Current.CancellationToken);
        return settings;
    }

    private static ServerSettings By(AwsProxy proxy, ServerSettings settings) =>
        settings with { Aws = new() { Endpoint = proxy.Address, AccessKeyId = "OITESTS0000000000000", SecretAccessKey = new('s', 40), MaxAttempts = 1 } };

    // Under names of SageMaker's that are not those of the catalog.
    private async Task<ServerSettings> WithAllLanesAsync(ServerSettings settings)
    {
        var model = settings.Catalog.Models[0];
        var endpoints = model.Variants[0].Endpoints;
        var batch = endpoints[0] with { Name = new("chat-batch"), Lane = Lane.Batch, MinInstances = 0 };
        var named = endpoints.SetItem(0, endpoints[0] with { Streaming = true }).Add(batch).Select(static endpoint => endpoint with { Target = $"oi-{endpoint.Name}" });
        var catalog = settings.Catalog with { Models = [model with { Variants = [model.Variants[0] with { Endpoints = [.. named] }] }] };
        await _cluster!.Aws.ApplyCatalogAsync(catalog);
        return await WithTablesAsync(settings with { Catalog = catalog });
    }

    private static async Task<List<Finding>> ExamineAsync(ServerSettings settings, TimeProvider? time = null, bool invoke = false)
    {
        using var doctor = new Doctor(settings, time, invoke);
        List<Finding> findings = [];
        await foreach (var finding in doctor.ExamineAsync(TestContext.Current.CancellationToken))
        {
            findings.Add(finding);
        }

        return findings;
    }
}
