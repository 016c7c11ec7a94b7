using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using OrleansInference.Configuration;
using OrleansInference.Diagnosis;

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
        var findings = await ExamineAsync(_cluster!.Settings(0));
        Assert.All(findings, static finding => Assert.True(finding.State == FindingState.Ok, $"{finding}"));
        var settings = _cluster.Settings(0);
        Assert.Equal(
            [
                "data folder", "clock", "credentials", $"DynamoDB table {settings.Cluster!.MembershipTable}", $"DynamoDB table {settings.Cluster.GrainTable}", $"DynamoDB table {settings.Cluster.ReminderTable}",
                "S3 bucket orleans-inference", "SQS queue orleans-inference-notifications", "SageMaker endpoint chat-rt", "SageMaker endpoint chat-async", "SageMaker endpoint slow-rt",
            ],
            findings.Select(static finding => finding.Dependency));
        using var raw = dynalite.Client();
        foreach (var table in (string[])[settings.Cluster.MembershipTable, settings.Cluster.GrainTable, settings.Cluster.ReminderTable])
        {
            Assert.Equal(0, (await raw.ScanAsync(new Amazon.DynamoDBv2.Model.ScanRequest { TableName = table }, TestContext.Current.CancellationToken)).Count);
        }
    }

    [Theory]
    [InlineData("AccessDeniedException", "User: arn:aws:iam::1:user/x is not authorized to perform: dynamodb:PutItem", "it is not permitted", "policy")]
    [InlineData("ExpiredTokenException", "The security token included in the request is expired", "have expired", "Renew")]
    [InlineData("InvalidSignatureException", "Signature expired: 20260301T120000Z is now earlier than 20260301T121500Z", "clock is off", "NTP")]
    [InlineData("UnrecognizedClientException", "The security token included in the request is invalid.", "does not take the credentials", "access key")]
    [InlineData("ProvisionedThroughputExceededException", "The level of configured provisioned throughput for the table was exceeded", "it is throttled", "throughput")]
    public async Task What_DynamoDB_refuses_is_named_with_its_remedy(string error, string message, string detail, string remedy)
    {
        await ExamineAsync(_cluster!.Settings(0));
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
        Assert.Equal(5, wrong.Count);
        Assert.Contains($"There is no DynamoDB table '{cluster.GrainTable}'", wrong[$"DynamoDB table {cluster.GrainTable}"], StringComparison.Ordinal);
        Assert.Equal(("there is no such queue", "there is no such endpoint"), (wrong["SQS queue nowhere"], wrong["SageMaker endpoint unknown-rt"]));

        findings = await ExamineAsync(settings with { Aws = new() { Endpoint = new("http://127.0.0.1:1"), AccessKeyId = "OITESTS0000000000000", SecretAccessKey = new('s', 40), MaxAttempts = 1 } });
        Assert.All(findings.Where(static finding => finding.Dependency.StartsWith('S') || finding.Dependency == "clock"), static finding =>
        {
            Assert.Equal(FindingState.Wrong, finding.State);
            Assert.Contains("cannot be reached", finding.Detail, StringComparison.Ordinal);
        });
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
        var start = _cluster!.AddAsync(0);
        await Task.Delay(1_500, TestContext.Current.CancellationToken);
        Assert.False(start.IsCompleted);
        dynalite.Proxy.Faults = null;
        await start;
    }

    /// <summary>A clock that is seven minutes fast.</summary>
    private sealed class Ahead : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow().AddMinutes(7);
    }

    private static async Task<List<Finding>> ExamineAsync(ServerSettings settings, TimeProvider? time = null)
    {
        using var doctor = new Doctor(settings, time);
        List<Finding> findings = [];
        await foreach (var finding in doctor.ExamineAsync(TestContext.Current.CancellationToken))
        {
            findings.Add(finding);
        }

        return findings;
    }
}
