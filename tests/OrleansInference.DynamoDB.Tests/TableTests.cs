using System.Text.Json.Nodes;
using Amazon.DynamoDBv2;
using Amazon.DynamoDBv2.Model;
using Amazon.Runtime.Internal;
using Microsoft.Extensions.Time.Testing;
using OrleansInference.Diagnosis;

namespace OrleansInference.DynamoDB.Tests;

[Collection(DynaliteCollection.Name)]
public sealed class TableTests(Dynalite dynalite)
{
    // Tries as often as where a request waits, but as slowly as a slow machine does: the SDK pauses for seconds, at random.
    private static readonly TablePatience Patient = TablePatience.OnRequests with { Attempt = TimeSpan.FromHours(1), Call = TimeSpan.FromMinutes(10) };

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Five_silos_that_start_at_once_make_one_table_on_demand_and_wait_for_it()
    {
        var options = dynalite.Options(new DynamoDBReminderStorageOptions());
        await Task.WhenAll(Enumerable.Range(0, 5).Select(async _ =>
        {
            using var table = new TableClient(options, Patient, TimeProvider.System);
            await table.OpenAsync(ReminderSchema.Table, Cancelled);
        }));
        using var raw = dynalite.Client();
        var description = (await raw.DescribeTableAsync(options.TableName, Cancelled)).Table;
        Assert.Equal((TableStatus.ACTIVE, BillingMode.PAY_PER_REQUEST), (description.TableStatus, description.BillingModeSummary.BillingMode));
        Assert.Equal(["ServiceIdGrainReferenceIndex", "ServiceIdIndex"], description.GlobalSecondaryIndexes.Select(static index => index.IndexName).Order());
        Assert.All(description.GlobalSecondaryIndexes, static index => Assert.Equal(IndexStatus.ACTIVE, index.IndexStatus));
    }

    [Fact]
    public async Task A_table_that_is_created_has_its_tags()
    {
        var options = dynalite.Options(new DynamoDBStorageOptions { Tags = new Dictionary<string, string> { ["CostCenter"] = "42", ["Application"] = "inference" } });
        using var table = new TableClient(options, Patient, TimeProvider.System);
        dynalite.Proxy.TakeCalls();
        Assert.Null(await table.OpenAsync(StateSchema.Table(false), Cancelled));
        var created = Assert.Single(dynalite.Proxy.TakeCalls(), static call => call.Operation == "CreateTable");
        Assert.Equal("""[{"Key":"Application","Value":"inference"},{"Key":"CostCenter","Value":"42"}]""", created.Body["Tags"]!.ToJsonString());

        // One that exists keeps its own.
        Assert.Null(await table.OpenAsync(StateSchema.Table(false), Cancelled));
        Assert.DoesNotContain(dynalite.Proxy.TakeCalls(), static call => call.Operation is "CreateTable" or "TagResource");
    }

    [Theory]
    [InlineData("AccessDeniedException", "not authorized to perform: dynamodb:TagResource")]
    [InlineData("ValidationException", "Tagging is not supported")]
    [InlineData("UnknownOperationException", "Tagging is not currently supported in DynamoDB Local.")]
    public async Task A_table_that_cannot_be_tagged_is_created_without_and_says_so(string error, string message)
    {
        var options = dynalite.Options(new DynamoDBStorageOptions { Tags = new Dictionary<string, string> { ["Application"] = "inference" } });
        using var table = new TableClient(options, Patient, TimeProvider.System);
        dynalite.Proxy.Faults = call => call.Operation == "CreateTable" && call.Body.ContainsKey("Tags") ? new(error, message) : null;
        try
        {
            Assert.Equal(message, await table.OpenAsync(StateSchema.Table(false), Cancelled));
            Assert.NotNull(await table.DescribeAsync(Cancelled));
        }
        finally
        {
            dynalite.Proxy.Faults = null;
        }
    }

    [Fact]
    public async Task A_missing_table_that_is_not_to_be_created_is_named()
    {
        var options = dynalite.Options(new DynamoDBClusteringOptions { CreateIfNotExists = false });
        using var table = new TableClient(options, Patient, TimeProvider.System);
        var problem = await Assert.ThrowsAsync<TableException>(() => table.OpenAsync(MembershipSchema.Table, Cancelled));
        Assert.Contains($"no DynamoDB table '{options.TableName}' at {dynalite.Service}", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_table_of_another_layout_is_refused()
    {
        var options = dynalite.Options(new DynamoDBReminderStorageOptions());
        using (var state = new TableClient(options, Patient, TimeProvider.System))
        {
            await state.OpenAsync(StateSchema.Table(false), Cancelled);
        }

        using var table = new TableClient(options, Patient, TimeProvider.System);
        var problem = await Assert.ThrowsAsync<TableException>(() => table.OpenAsync(ReminderSchema.Table, Cancelled));
        Assert.Contains("its keys are GrainReference and GrainType, not ReminderId and GrainHash; it has no index ServiceIdIndex", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_time_to_live_on_another_attribute_is_refused()
    {
        var options = dynalite.Options(new DynamoDBStorageOptions());
        using var table = new TableClient(options, Patient, TimeProvider.System);
        await table.OpenAsync(StateSchema.Table(true) with { TimeToLive = "Other" }, Cancelled);
        Assert.Contains("expires items by 'Other'", (await Assert.ThrowsAsync<TableException>(() => table.OpenAsync(StateSchema.Table(true), Cancelled))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "OrleansSilos", null, null, "Service is ''")]
    [InlineData("us east 1", "OrleansSilos", null, null, "Service is 'us east 1'")]
    [InlineData("ftp://somewhere", "OrleansSilos", null, null, "Service is 'ftp://somewhere'")]
    [InlineData("us-east-1", "a", null, null, "TableName is 'a'")]
    [InlineData("us-east-1", "OrleansSilos", "key", null, "must be given together")]
    [InlineData("us-east-1", "OrleansSilos", null, "secret", "must be given together")]
    public void Options_that_cannot_be_used_say_which_and_why(string service, string table, string? key, string? secret, string problem)
    {
        var options = new DynamoDBClusteringOptions { Service = service, TableName = table, AccessKey = key, SecretKey = secret };
        var failure = Assert.Throws<Orleans.Runtime.OrleansConfigurationException>(new DynamoDBOptionsValidator(options, "DynamoDB clustering").ValidateConfiguration);
        Assert.StartsWith("DynamoDB clustering: ", failure.Message, StringComparison.Ordinal);
        Assert.Contains(problem, failure.Message, StringComparison.Ordinal);
        if (secret is not null)
        {
            Assert.DoesNotContain(secret, failure.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("us-east-1")]
    [InlineData("eu-central-1")]
    [InlineData("us-gov-west-1")]
    [InlineData("cn-north-1")]
    [InlineData("https://dynamodb.eu-west-1.amazonaws.com")]
    public void Regions_and_addresses_are_taken(string service) =>
        new DynamoDBOptionsValidator(new DynamoDBClusteringOptions { Service = service }, "x").ValidateConfiguration();

    [Theory]
    [InlineData("eu-central-1", false, "dynamodb.eu-central-1.amazonaws.com")]
    [InlineData("us-east-1", true, "dynamodb-fips.us-east-1.amazonaws.com")]
    [InlineData("cn-north-1", false, "dynamodb.cn-north-1.amazonaws.com.cn")]
    public void A_table_is_called_at_the_address_of_its_region(string region, bool fips, string host)
    {
        var options = new DynamoDBStorageOptions { Service = region, UseFips = fips, AccessKey = "a", SecretKey = "b" };
        new DynamoDBOptionsValidator(options, "x").ValidateConfiguration();
        using var table = new TableClient(options, Patient, TimeProvider.System);
        Assert.Equal(host, table.Address.Host);
    }

    [Fact]
    public void What_the_environment_says_of_FIPS_addresses_stands_unless_the_options_ask_for_one()
    {
        Environment.SetEnvironmentVariable("AWS_USE_FIPS_ENDPOINT", "true");
        FallbackInternalConfigurationFactory.Reset();
        try
        {
            using var table = new TableClient(new DynamoDBStorageOptions { Service = "us-east-1", AccessKey = "a", SecretKey = "b" }, Patient, TimeProvider.System);
            Assert.Equal("dynamodb-fips.us-east-1.amazonaws.com", table.Address.Host);
        }
        finally
        {
            Environment.SetEnvironmentVariable("AWS_USE_FIPS_ENDPOINT", null);
            FallbackInternalConfigurationFactory.Reset();
        }
    }

    [Fact]
    public void A_FIPS_address_and_one_of_ones_own_exclude_each_other()
    {
        var options = new DynamoDBStorageOptions { Service = dynalite.Service, UseFips = true };
        Assert.Contains("UseFips and a URL as Service exclude each other", Assert.Throws<Orleans.Runtime.OrleansConfigurationException>(new DynamoDBOptionsValidator(options, "x").ValidateConfiguration).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Many_items_are_deleted_in_batches_and_what_was_left_is_deleted_too()
    {
        var options = dynalite.Options(new DynamoDBStorageOptions());
        using var table = new TableClient(options, Patient, TimeProvider.System);
        await table.OpenAsync(StateSchema.Table(false), Cancelled);
        var keys = Enumerable.Range(0, 60).Select(static i => new Dictionary<string, AttributeValue> { ["GrainReference"] = Items.S("g"), ["GrainType"] = Items.S($"{i}") }).ToList();
        foreach (var key in keys)
        {
            await table.PutAsync(new(key) { ["ETag"] = Items.N(0) }, null, null, Cancelled);
        }

        await table.DeleteAsync(keys, Cancelled);
        await foreach (var item in table.QueryAsync("GrainReference = :g", new() { [":g"] = Items.S("g") }, Cancelled))
        {
            Assert.Fail(item["GrainType"].S);
        }
    }

    [Fact]
    public async Task A_query_reads_all_pages()
    {
        var options = dynalite.Options(new DynamoDBStorageOptions());
        using var table = new TableClient(options, Patient, TimeProvider.System);
        await table.OpenAsync(StateSchema.Table(false), Cancelled);
        for (var i = 0; i < 12; i++)
        {
            // A page has at most 1 MB.
            await table.PutAsync(new() { ["GrainReference"] = Items.S("g"), ["GrainType"] = Items.S($"{i:00}"), ["GrainState"] = new() { B = new(new byte[300_000]) } }, null, null, Cancelled);
        }

        dynalite.Proxy.TakeCalls();
        List<string> read = [];
        await foreach (var item in table.QueryAsync("GrainReference = :g", new() { [":g"] = Items.S("g") }, Cancelled))
        {
            read.Add(item["GrainType"].S);
        }

        Assert.Equal(Enumerable.Range(0, 12).Select(static i => $"{i:00}"), read);
        Assert.True(dynalite.Proxy.TakeCalls().Count > 1);
    }

    [Fact]
    public async Task A_throttled_call_that_a_request_waits_for_is_tried_three_times_and_says_why_it_failed()
    {
        await using var proxy = await DynamoProxy.StartAsync(new(dynalite.Service));
        var options = dynalite.Options(new DynamoDBStorageOptions());
        options.Service = proxy.Address;
        using var table = new TableClient(options, Patient, TimeProvider.System);
        proxy.Faults = static _ => new("ProvisionedThroughputExceededException", "too fast");
        var refused = await Assert.ThrowsAsync<OrleansException>(() => table.GetAsync(Key, Cancelled));
        Assert.Equal($"DynamoDB table '{options.TableName}' could not be used: too fast", refused.Message);
        Assert.IsType<ProvisionedThroughputExceededException>(refused.InnerException);
        Assert.Equal(3, proxy.TakeCalls().Count);
    }

    [Fact]
    public async Task Membership_is_tried_as_often_as_ever_however_many_calls_are_throttled_beside_it()
    {
        await using var proxy = await DynamoProxy.StartAsync(new(dynalite.Service));
        var options = dynalite.Options(new DynamoDBClusteringOptions());
        options.Service = proxy.Address;
        proxy.Faults = static _ => new("ProvisionedThroughputExceededException", "too fast");
        using (var busy = new TableClient(options, Patient with { Retries = 1 }, TimeProvider.System))
        {
            // Until the retries that all of them share are used up.
            await Task.WhenAll(Enumerable.Range(0, 150).Select(_ => Assert.ThrowsAsync<OrleansException>(() => busy.GetAsync(Key, Cancelled))));
            proxy.TakeCalls();
            await Assert.ThrowsAsync<OrleansException>(() => busy.GetAsync(Key, Cancelled));
            Assert.Single(proxy.TakeCalls());
        }

        using var table = new TableClient(options, TablePatience.InBackground with { Retries = 2, Attempt = Patient.Attempt, Call = Patient.Call }, TimeProvider.System);
        await Assert.ThrowsAsync<OrleansException>(() => table.GetAsync(Key, Cancelled));
        Assert.Equal(3, proxy.TakeCalls().Count);
    }

    [Fact]
    public async Task A_call_that_is_not_answered_ends_with_the_time_that_it_may_take()
    {
        await using var proxy = await DynamoProxy.StartAsync(new(dynalite.Service));
        var options = dynalite.Options(new DynamoDBStorageOptions());
        options.Service = proxy.Address;
        var time = new FakeTimeProvider();

        // An attempt may take longer than the test, so that it is the time for the whole call that ends it.
        using var table = new TableClient(options, TablePatience.OnRequests with { Attempt = TimeSpan.FromHours(1) }, time);
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var never = new TaskCompletionSource();
        proxy.Holds = _ =>
        {
            asked.TrySetResult();
            return never.Task;
        };
        var call = table.GetAsync(Key, Cancelled);
        await asked.Task;
        time.Advance(TablePatience.OnRequests.Call - TimeSpan.FromMilliseconds(1));
        Assert.False(call.IsCompleted);
        time.Advance(TimeSpan.FromMilliseconds(1));
        var late = await Assert.ThrowsAsync<OrleansException>(() => call.WaitAsync(TimeSpan.FromMinutes(2), Cancelled));
        Assert.Equal($"DynamoDB table '{options.TableName}' could not be used: no answer within 4 s", late.Message);
        never.SetResult();
    }

    [Fact]
    public async Task An_attempt_that_is_not_answered_is_told_as_that()
    {
        await using var proxy = await DynamoProxy.StartAsync(new(dynalite.Service));
        var options = dynalite.Options(new DynamoDBStorageOptions());
        options.Service = proxy.Address;
        using var table = new TableClient(options, Patient with { Retries = 0, Attempt = TimeSpan.FromSeconds(1) }, TimeProvider.System);
        var never = new TaskCompletionSource();
        proxy.Holds = _ => never.Task;
        var late = await Assert.ThrowsAsync<OrleansException>(() => table.GetAsync(Key, Cancelled).WaitAsync(TimeSpan.FromMinutes(2), Cancelled));
        Assert.Equal($"DynamoDB table '{options.TableName}' could not be used: no attempt was answered within 1 s", late.Message);
        Assert.StartsWith("it did not answer in time", AwsProblem.Of(late, isOfAws: false)?.Detail, StringComparison.Ordinal);
        never.SetResult();
    }

    [Fact]
    public async Task A_table_whose_last_call_failed_is_in_trouble_until_one_succeeds_and_a_condition_that_does_not_hold_is_no_failure()
    {
        await using var proxy = await DynamoProxy.StartAsync(new(dynalite.Service));
        var options = dynalite.Options(new DynamoDBStorageOptions());
        options.Service = proxy.Address;
        List<string> failed = [];
        var time = new FakeTimeProvider();
        var health = new TableHealth(failed.Add, time);
        using var table = new TableClient(options, Patient, TimeProvider.System, health);
        await table.OpenAsync(StateSchema.Table(false), Cancelled);
        await table.PutAsync(Key, "attribute_not_exists(GrainReference)", null, Cancelled);
        await Assert.ThrowsAsync<ConditionalCheckFailedException>(() => table.PutAsync(Key, "attribute_not_exists(GrainReference)", null, Cancelled));
        Assert.Empty(health.Troubles);
        proxy.Faults = static _ => new("AccessDeniedException", "not now");
        var since = time.GetUtcNow();
        await Assert.ThrowsAsync<OrleansException>(() => table.GetAsync(Key, Cancelled));
        time.Advance(TimeSpan.FromMinutes(1));
        await Assert.ThrowsAsync<OrleansException>(() => table.DeleteAsync(Keys(2), Cancelled));
        var trouble = Assert.Single(health.Troubles);
        Assert.Equal((options.TableName, since, time.GetUtcNow(), "not now"), (trouble.Table, trouble.Since, trouble.At, trouble.Problem.Message));
        Assert.Equal([options.TableName, options.TableName], failed);
        proxy.Faults = null;
        await table.GetAsync(Key, Cancelled);
        Assert.Empty(health.Troubles);
    }

    [Fact]
    public async Task A_caller_who_gives_up_is_told_of_that_and_of_nothing_else()
    {
        await using var proxy = await DynamoProxy.StartAsync(new(dynalite.Service));
        var options = dynalite.Options(new DynamoDBStorageOptions());
        options.Service = proxy.Address;
        using var table = new TableClient(options, TablePatience.OnRequests with { Attempt = TimeSpan.FromHours(1) }, new FakeTimeProvider());
        using var given = new CancellationTokenSource();
        var never = new TaskCompletionSource();
        proxy.Holds = _ =>
        {
            given.Cancel();
            return never.Task;
        };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => table.GetAsync(Key, given.Token).WaitAsync(TimeSpan.FromMinutes(2), Cancelled));
        never.SetResult();
    }

    [Fact]
    public async Task Deletions_that_are_left_unprocessed_again_and_again_are_an_error_and_those_that_come_on_are_not()
    {
        var options = dynalite.Options(new DynamoDBStorageOptions());
        using var table = new TableClient(options, Patient, TimeProvider.System);
        await table.OpenAsync(StateSchema.Table(false), Cancelled);
        try
        {
            // One is done each time: 25 times, for 25 items.
            dynalite.Proxy.Faults = static call => call.Operation == "BatchWriteItem" ? Unprocessed(call, done: 1) : null;
            dynalite.Proxy.TakeCalls();
            await table.DeleteAsync(Keys(25), Cancelled);
            Assert.Equal(25, dynalite.Proxy.TakeCalls().Count);
            dynalite.Proxy.Faults = static call => call.Operation == "BatchWriteItem" ? Unprocessed(call, done: 0) : null;
            var left = await Assert.ThrowsAsync<OrleansException>(() => table.DeleteAsync(Keys(25), Cancelled).WaitAsync(TimeSpan.FromMinutes(2), Cancelled));
            Assert.Contains("25 of 25 deletions were left unprocessed 8 times", left.Message, StringComparison.Ordinal);
            Assert.Equal(8, dynalite.Proxy.TakeCalls().Count);
        }
        finally
        {
            dynalite.Proxy.Faults = null;
        }

        static DynamoFault Unprocessed(DynamoCall call, int done)
        {
            var (name, writes) = call.Body["RequestItems"]!.AsObject().Single();
            var left = new JsonArray([.. writes!.AsArray().Skip(done).Select(static write => write!.DeepClone())]);
            return DynamoFault.Of(new() { ["UnprocessedItems"] = left.Count == 0 ? [] : new JsonObject { [name] = left } });
        }
    }

    private static Dictionary<string, AttributeValue> Key => Keys(1).Single();

    private static IEnumerable<Dictionary<string, AttributeValue>> Keys(int count) =>
        Enumerable.Range(0, count).Select(static i => new Dictionary<string, AttributeValue> { ["GrainReference"] = Items.S("g"), ["GrainType"] = Items.S($"{i}") });
}
