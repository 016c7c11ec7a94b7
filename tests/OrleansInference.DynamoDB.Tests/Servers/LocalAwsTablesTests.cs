using System.Net;
using Amazon.DynamoDBv2;
using Amazon.DynamoDBv2.Model;
using OrleansInference.Diagnosis;
using OrleansInference.LocalAws;

namespace OrleansInference.DynamoDB.Tests.Servers;

/// <summary>The embedded AWS before a dynalite.</summary>
[Collection(DynaliteCollection.Name)]
public sealed class LocalAwsTablesTests(Dynalite dynalite)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Servers_are_one_cluster_with_all_of_AWS_at_one_address()
    {
        await using var cluster = await ServerCluster.StartAsync(dynalite.Service, 0, dynalite: dynalite.Proxy.Behind);
        Assert.Equal(cluster.Aws.Address, cluster.Settings(0).Cluster!.Endpoint);
        dynalite.Proxy.TakeCalls();
        for (var i = 0; i < 2; i++)
        {
            await cluster.AddAsync(i);
        }

        await cluster.IssueAsync();
        for (var i = 0; i < 2; i++)
        {
            using var response = await cluster.InvokeAsync("chat");
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        }

        Assert.DoesNotContain(dynalite.Proxy.TakeCalls(), call => call.Body.ToJsonString().Contains(cluster.Settings(0).Cluster!.GrainTable, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_transaction_is_done_as_a_whole_or_not_at_all()
    {
        await using var aws = await LocalAwsServer.StartAsync(new() { Dynalite = dynalite.Proxy.Behind }, Cancelled);
        using var client = Client(aws);
        var table = Dynalite.NewTable();
        await client.CreateTableAsync(new CreateTableRequest { TableName = table, BillingMode = BillingMode.PAY_PER_REQUEST, AttributeDefinitions = [new("Id", ScalarAttributeType.S)], KeySchema = [new("Id", KeyType.HASH)] }, Cancelled);
        while ((await client.DescribeTableAsync(table, Cancelled)).Table.TableStatus != TableStatus.ACTIVE)
        {
            await Task.Delay(20, Cancelled);
        }

        Put Put(string id, string? condition = null) => new() { TableName = table, Item = new() { ["Id"] = new(id) }, ConditionExpression = condition };
        var cancelled = await Assert.ThrowsAsync<TransactionCanceledException>(() => client.TransactWriteItemsAsync(new() { TransactItems = [new() { Put = Put("a") }, new() { Put = Put("b", "attribute_exists(Id)") }] }, Cancelled));
        Assert.Equal(["None", "ConditionalCheckFailed"], cancelled.CancellationReasons.Select(static reason => reason.Code));
        Assert.Equal(0, (await client.ScanAsync(new ScanRequest { TableName = table }, Cancelled)).Count);
        await client.TransactWriteItemsAsync(new() { TransactItems = [new() { Put = Put("a") }, new() { Put = Put("b", "attribute_not_exists(Id)") }] }, Cancelled);
        Assert.Equal(2, (await client.ScanAsync(new ScanRequest { TableName = table }, Cancelled)).Count);

        // What it does not do of a transaction it does not do in part.
        await Assert.ThrowsAnyAsync<AmazonDynamoDBException>(() => client.TransactWriteItemsAsync(
            new() { TransactItems = [new() { Put = Put("c") }, new() { ConditionCheck = new() { TableName = table, Key = new() { ["Id"] = new("a") }, ConditionExpression = "attribute_exists(Id)" } }] },
            Cancelled));
        Assert.Equal(2, (await client.ScanAsync(new ScanRequest { TableName = table }, Cancelled)).Count);
    }

    [Fact]
    public async Task Without_a_dynalite_and_with_one_that_is_away_it_says_what_to_do()
    {
        await using var none = await LocalAwsServer.StartAsync(new(), Cancelled);
        using var refused = Client(none);
        var unknown = await Assert.ThrowsAsync<AmazonDynamoDBException>(() => refused.ListTablesAsync(Cancelled));
        Assert.Equal("UnknownOperationException", unknown.ErrorCode);
        Assert.Contains("no operation ListTables. Start it by local-aws --dynalite", unknown.Message, StringComparison.Ordinal);

        await using var away = await LocalAwsServer.StartAsync(new() { Dynalite = new("http://127.0.0.1:1") }, Cancelled);
        using var failing = Client(away);
        Assert.Contains("The dynalite at http://127.0.0.1:1/ cannot be reached", (await Assert.ThrowsAnyAsync<AmazonDynamoDBException>(() => failing.ListTablesAsync(Cancelled))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_dynalite_alone_is_named_with_the_operation_that_it_lacks_and_the_remedy()
    {
        await using var cluster = await ServerCluster.StartAsync(dynalite.Service, 1);
        var settings = cluster.Settings(1);
        using var doctor = new Doctor(settings with { Cluster = settings.Cluster! with { Endpoint = dynalite.Proxy.Behind } });
        await foreach (var finding in doctor.ExamineAsync(Cancelled))
        {
            if (finding.Dependency == $"DynamoDB table {settings.Cluster.MembershipTable}")
            {
                Assert.Equal((FindingState.Wrong, $"what answers has no operation TransactWriteItems, and so is no whole DynamoDB (asked at {dynalite.Proxy.Behind}, Aws:DynamoDBEndpoint)"), (finding.State, finding.Detail));
                Assert.Contains("local-aws --dynalite", finding.Remedy, StringComparison.Ordinal);
                return;
            }
        }

        Assert.Fail("Doctor did not look at the table of silos.");
    }

    private static AmazonDynamoDBClient Client(LocalAwsServer aws) => new("emulator", "emulator", new AmazonDynamoDBConfig { ServiceURL = aws.Address.AbsoluteUri, MaxErrorRetry = 0 });
}
