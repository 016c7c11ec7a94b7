using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using OrleansInference.Configuration;
using OrleansInference.Hosting;

namespace OrleansInference.Tests.Configuration;

public sealed class SettingsReaderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("oi-settings-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_settings_and_the_catalog_that_come_with_the_server_are_good()
    {
        var settings = SettingsReader.Read(null, new Dictionary<string, string?> { ["DataFolder"] = In("data"), ["Urls"] = "http://127.0.0.1:0", ["SiloPort"] = "0", ["GatewayPort"] = "0" });
        Assert.Equal(3, settings.Catalog.Models.Length);
        Assert.Equal(In("data"), settings.DataFolder);
        Assert.Null(settings.Aws);
    }

    [Fact]
    public void A_catalog_is_the_same_whatever_the_order_of_its_members()
    {
        static string Of(string json) => CatalogFile.Fingerprint(System.Text.Json.Nodes.JsonNode.Parse(json));
        var fingerprint = Of("""{"models":[{"name":"a","variants":[]},1],"prices":{"x":"1","y":null}}""");
        Assert.Equal(fingerprint, Of("""{"prices":{"y":null,"x":"1"},"models":[{"variants":[],"name":"a"},1]}"""));
        Assert.NotEqual(fingerprint, Of("""{"models":[1,{"name":"a","variants":[]}],"prices":{"x":"1","y":null}}"""));
        Assert.NotEqual(fingerprint, Of("""{"models":[{"name":"a","variants":[]},1],"prices":{"x":"2","y":null}}"""));
    }

    [Fact]
    public void An_address_without_a_port_and_an_empty_path_are_mistakes_like_others()
    {
        var exception = Assert.Throws<ConfigurationException>(() => SettingsReader.Read("", new Dictionary<string, string?> { ["Urls"] = "htp:/x", ["DataFolder"] = In("data"), ["Speed"] = "NaN" }));
        Assert.Contains(exception.Problems, problem => problem.Contains("--config", StringComparison.Ordinal));
        Assert.Contains(exception.Problems, problem => problem.Contains("'htp:/x'", StringComparison.Ordinal));
        Assert.Contains(exception.Problems, problem => problem.Contains("Speed", StringComparison.Ordinal));
    }

    [Fact]
    public void What_webhooks_are_allowed_beyond_public_addresses_is_a_list_and_a_mistake_in_it_is_named()
    {
        var values = new Dictionary<string, string?> { ["Urls"] = "http://127.0.0.1:0", ["DataFolder"] = In("data"), ["WebhookAllow"] = "hooks.internal; http://10.0.0.0/8", ["WebhookRetryFor"] = "2h" };
        var settings = SettingsReader.Read(null, values);
        Assert.Equal(["hooks.internal", "http://10.0.0.0/8"], settings.WebhookAllow);
        Assert.Equal(TimeSpan.FromHours(2), settings.WebhookRetryFor);
        values["WebhookAllow"] = "hooks.internal;10.0.0.0/99";
        var exception = Assert.Throws<ConfigurationException>(() => SettingsReader.Read(null, values));
        Assert.Contains("WebhookAllow", Assert.Single(exception.Problems), StringComparison.Ordinal);
    }

    [Fact]
    public void Tags_for_the_bill_are_a_list_and_those_without_a_setting_name_the_application()
    {
        var values = new Dictionary<string, string?> { ["Urls"] = "http://127.0.0.1:0", ["DataFolder"] = In("data") };
        Assert.Equal(new Dictionary<string, string> { ["Application"] = "orleans-inference" }, SettingsReader.Read(null, values).CostTags);
        values["CostTags"] = "Application=inference; CostCenter = 4711 a=b;";
        Assert.Equal(new Dictionary<string, string> { ["Application"] = "inference", ["CostCenter"] = "4711 a=b" }, SettingsReader.Read(null, values).CostTags);
    }

    [Theory]
    [InlineData("CostCenter")]
    [InlineData("=1")]
    [InlineData("A=1;A=2")]
    [InlineData("aws:A=1")]
    [InlineData("InferenceType=Batch")]
    [InlineData("A=<1>")]
    public void Tags_that_AWS_does_not_take_or_that_the_router_sets_are_named(string tags)
    {
        var values = new Dictionary<string, string?> { ["Urls"] = "http://127.0.0.1:0", ["DataFolder"] = In("data"), ["CostTags"] = tags };
        var exception = Assert.Throws<ConfigurationException>(() => SettingsReader.Read(null, values));
        Assert.Contains("CostTags", Assert.Single(exception.Problems), StringComparison.Ordinal);
    }

    [Fact]
    public void A_cluster_is_one_setting_and_what_it_needs_is_named()
    {
        var values = new Dictionary<string, string?>
        {
            ["Urls"] = "http://127.0.0.1:0",
            ["DataFolder"] = In("cluster"),
            ["Aws:Mode"] = "Amazon",
            ["Aws:State"] = "DynamoDB",
            ["AdvertisedAddress"] = "127.0.0.1",
            ["SiloPort"] = "0",
            ["GatewayPort"] = "0",
            ["AdminKey"] = new string('a', 20),
            ["MasterKey"] = Convert.ToBase64String(new byte[32]),
            ["Aws:GrainTable"] = "states",
            ["Aws:CreateTables"] = "true",
            ["ClusterId"] = "blue",
        };
        var cluster = SettingsReader.Read(null, values).Cluster!;
        Assert.Equal(("blue", "orleans-inference", "OrleansSilos", "states", "OrleansReminders", true), (cluster.ClusterId, cluster.ServiceId, cluster.MembershipTable, cluster.GrainTable, cluster.ReminderTable, cluster.CreateTables));

        foreach (var key in (string[])["SiloPort", "GatewayPort", "AdminKey", "MasterKey", "Aws:Mode"])
        {
            values.Remove(key);
        }

        (values["Aws:MembershipTable"], values["AdvertisedAddress"], values["Speed"]) = ("x", "somewhere", "2");
        var problems = Assert.Throws<ConfigurationException>(() => SettingsReader.Read(null, values, isToServe: false)).Problems;
        Assert.Equal(6, problems.Count);
        Assert.All(["Aws:MembershipTable", "AdvertisedAddress", "AdminKey", "MasterKey", "Aws:State", "Speed"], key => Assert.Single(problems, problem => problem.Contains($"{key}:", StringComparison.Ordinal)));
        values.Remove("Aws:State");
        Assert.Null(SettingsReader.Read(null, new Dictionary<string, string?> { ["Urls"] = "http://127.0.0.1:0", ["DataFolder"] = In("alone") }, isToServe: false).Cluster);
    }

    [Theory]
    [InlineData("Aws:AccessKeyId", "AKIDEXAMPLE", "Aws: AccessKeyId and SecretAccessKey go together")]
    [InlineData("Aws:SessionToken", "token", "Aws: SessionToken needs the AccessKeyId")]
    public void Half_of_a_key_pair_is_a_mistake_that_is_named(string key, string value, string problem)
    {
        var values = new Dictionary<string, string?> { ["Urls"] = "http://127.0.0.1:0", ["DataFolder"] = In("half"), ["Aws:Mode"] = "Amazon", [key] = value };
        Assert.StartsWith(problem, Assert.Single(Assert.Throws<ConfigurationException>(() => SettingsReader.Read(null, values, isToServe: false)).Problems), StringComparison.Ordinal);
    }

    [Fact]
    public void FIPS_addresses_are_those_of_all_services_and_exclude_addresses_of_ones_own()
    {
        var values = new Dictionary<string, string?>
        {
            ["Urls"] = "http://127.0.0.1:0",
            ["DataFolder"] = In("fips"),
            ["Aws:Mode"] = "Amazon",
            ["Aws:State"] = "DynamoDB",
            ["Aws:UseFips"] = "true",
            ["AdminKey"] = new string('a', 20),
            ["MasterKey"] = Convert.ToBase64String(new byte[32]),
        };
        var settings = SettingsReader.Read(null, values, isToServe: false);
        Assert.True(settings.Aws!.UseFips);
        var table = StateHosting.Fill(new DynamoDB.DynamoDBStorageOptions(), settings, settings.Cluster!, "states");
        Assert.Equal(("us-east-1", true), (table.Service, table.UseFips));
        values["Aws:DynamoDBEndpoint"] = "https://dynamodb.us-east-1.amazonaws.com";
        Assert.StartsWith("Aws:DynamoDBEndpoint: ", Assert.Single(Assert.Throws<ConfigurationException>(() => SettingsReader.Read(null, values, isToServe: false)).Problems), StringComparison.Ordinal);
        values["Aws:UseFips"] = "perhaps";
        Assert.Contains("use true or false", Assert.Single(Assert.Throws<ConfigurationException>(() => SettingsReader.Read(null, values, isToServe: false)).Problems), StringComparison.Ordinal);
    }

    [Fact]
    public void Data_capture_goes_to_the_payload_bucket_unless_another_is_named()
    {
        var values = new Dictionary<string, string?> { ["Urls"] = "http://127.0.0.1:0", ["DataFolder"] = In("capture"), ["PayloadBucket"] = "payloads", ["DataCapture:Redact"] = "$.user.email; $..ssn" };
        Assert.Null(SettingsReader.Read(null, values, isToServe: false).DataCapture);
        values["DataCapture:Percent"] = "12.5";
        var capture = SettingsReader.Read(null, values, isToServe: false).DataCapture!;
        Assert.Equal((12.5, "payloads", "data-capture"), (capture.Percent, capture.Bucket, capture.Prefix));
        Assert.Equal(["$.user.email", "$..ssn"], capture.Redact);
        (values["DataCapture:Bucket"], values["DataCapture:Prefix"]) = ("captures", "monitor/");
        capture = SettingsReader.Read(null, values, isToServe: false).DataCapture!;
        Assert.Equal(("captures", "monitor/"), (capture.Bucket, capture.Prefix));
        (values["DataCapture:Redact"], values["DataCapture:Percent"]) = ("user.email", "101");
        Assert.Equal(2, Assert.Throws<ConfigurationException>(() => SettingsReader.Read(null, values, isToServe: false)).Problems.Count);
    }

    [Theory]
    [InlineData("master.key", "not base64")]
    [InlineData("admin.key", "")]
    [InlineData("state.db", "this is no database, but some text that is longer than a header of one would be, so that it is read and refused")]
    public async Task A_damaged_file_in_the_data_folder_is_named(string file, string content)
    {
        Directory.CreateDirectory(In("damaged"));
        Write(Path.Combine("damaged", file), content);
        var settings = new ServerSettings { DataFolder = In("damaged"), Catalog = new(), Urls = ["http://127.0.0.1:0"], LogLevel = Microsoft.Extensions.Logging.LogLevel.None };
        var exception = await Assert.ThrowsAsync<ConfigurationException>(() => ServerHost.StartAsync(settings, TestContext.Current.CancellationToken));
        Assert.Contains(file, Assert.Single(exception.Problems), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_mistake_is_reported_at_once_with_its_file_and_key()
    {
        var catalog = Write("broken-catalog.json", """
            {
              "instancePrices": { "ml.m5.large": "-0.115" },
              "models": [ { "name": "chat", "variants": [ { "name": "full", "endpoints": [ { "name": "chat-rt", "lane": "Realtime", "instanceType": "ml.unknown.large" } ] } ] } ],
              "tenants": [ { "id": "acme", "budgets": [ { "kind": "Rolling", "seconds": 3600, "limit": "-1" } ] } ]
            }
            """);
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;
        using var held = DataFolder.Open(In("held"));
        var config = Write("config.json", $$"""
            { "OrleansInference": { "Catalog": "broken-catalog.json", "Speed": 5000, "Urls": "http://127.0.0.1:{{port}}", "DataFolder": "held", "Catlog": "x", "InlineWait": "soon" } }
            """);

        var problems = Problems(config);
        Has(problems, catalog, "instancePrices.ml.m5.large", "negative");
        Has(problems, catalog, "models[0].variants[0].endpoints[0]", "ml.unknown.large");
        Has(problems, catalog, "tenants[0].budgets[0].limit", "negative");
        Has(problems, config, "OrleansInference:Speed", "5000");
        Has(problems, config, "OrleansInference:InlineWait", "soon");
        Has(problems, config, "OrleansInference:Catlog", "no such setting");
        Has(problems, $"port {port}", "taken");
        Has(problems, In("held"), "in use");
    }

    [Fact]
    public void Every_value_of_the_wrong_form_is_reported_with_line_and_key_and_what_is_wanted()
    {
        var catalog = Write("forms.json", """
            {
              "instancePrices": { "ml.m5.large": true, "ml.m5.xlarge": "-1" },
              "models": [
                5,
                { "name": "chat", "maxOutputTokens": "many", "variants": [ { "name": "full", "quality": "good", "endpoints": [
                  { "name": "chat-rt", "lane": "Fast", "maxInstances": 1.5, "instanceType": "ml.m5.xlarge" },
                  { "name": "cold", "lane": "Realtime", "minInstnces": 0, "instanceType": "ml.m5.xlarge" } ] } ] } ],
              "deadlines": { "high": "soon" },
              "tenants": [ { "id": "acme", "budgets": [ { "kind": "Rolling", "seconds": 3600, "limit": "much" } ] }, { "budgets": {} } ]
            }
            """);

        var problems = Problems(Write("config.json", """{ "OrleansInference": { "Catalog": "forms.json" } }"""));
        Has(problems, $"{catalog}(2)", "instancePrices.ml.m5.large", "dollars");
        Has(problems, $"{catalog}(2)", "instancePrices.ml.m5.xlarge", "negative");
        Has(problems, $"{catalog}(4)", "models[0]", "an object in { }");
        Has(problems, $"{catalog}(5)", "models[1].maxOutputTokens", "a whole number");
        Has(problems, $"{catalog}(5)", "models[1].variants[0].quality", "a number");
        Has(problems, $"{catalog}(6)", "models[1].variants[0].endpoints[0].lane", "Realtime, Serverless, Async, Batch");
        Has(problems, $"{catalog}(6)", "models[1].variants[0].endpoints[0].maxInstances", "a whole number");
        Has(problems, $"{catalog}(7)", "models[1].variants[0].endpoints[1].minInstnces", "'minInstances' may be meant");
        Has(problems, $"{catalog}(8)", "deadlines.high", "a number");
        Has(problems, $"{catalog}(9)", "tenants[0].budgets[0].limit", "'much'");
        Has(problems, $"{catalog}(9)", "tenants[1].budgets", "a list in [ ]");
    }

    [Fact]
    public void Queues_are_read_from_a_list_and_what_is_wrong_with_one_is_named_with_its_place()
    {
        var config = Write("queues.json", """
            { "OrleansInference": { "Queues": [
                { "Queue": "acme-requests", "Tenant": "acme", "DeadLetterQueue": "acme-refused", "ReplyQueues": ["a", "https://sqs.eu-central-1.amazonaws.com/1/b"], "Visibility": "30s" },
                { "Queue": "platform", "Tenants": ["acme", "*"], "Model": "chat", "MaxInFlight": 5 } ] } }
            """);
        var queues = SettingsReader.Read(config, new Dictionary<string, string?> { ["DataFolder"] = In("data"), ["Urls"] = "http://127.0.0.1:0" }).Queues;
        Assert.Equal(2, queues.Count);
        Assert.Equal(("acme-requests", "acme", "acme-refused", 30.0), (queues[0].Queue, queues[0].Tenant?.Value, queues[0].DeadLetterQueue, queues[0].Visibility.TotalSeconds));
        Assert.Equal(["a", "https://sqs.eu-central-1.amazonaws.com/1/b"], queues[0].ReplyQueues);
        Assert.Equal(["acme", "*"], queues[1].Tenants);
        Assert.Equal(("chat", 5, null), (queues[1].Model?.Value, queues[1].MaxInFlight, queues[1].Tenant?.Value));

        var problems = Problems(Write("bad-queues.json", """
            { "OrleansInference": { "Queues": [
                { "Tenant": "acme" },
                { "Queue": "no spaces", "Tenant": "acme", "Tenants": ["globex"] },
                { "Queue": "q", "DeadLeterQueue": "d" },
                { "Queue": "r", "Tenant": "acme", "DeadLetterQueue": "r", "Visibility": "1s", "MaxInFlight": 0 } ] } }
            """));
        Has(problems, "Queues:0:Queue", "missing");
        Has(problems, "Queues:1:Queue", "not usable");
        Has(problems, "Queues:1:Tenant", "either");
        Has(problems, "Queues:2:Tenant", "either");
        Has(problems, "Queues:2:DeadLeterQueue", "'DeadLetterQueue' may be meant");
        Has(problems, "Queues:3:DeadLetterQueue", "another one");
        Has(problems, "Queues:3:Visibility", "1 s is not from 2");
        Has(problems, "Queues:3:MaxInFlight", "'0'");
    }

    [Fact]
    public void Mistakes_of_range_are_reported_with_their_line_also_beside_values_of_the_wrong_form()
    {
        var catalog = Write("both.json", """
            {
              "instancePrices": { "ml.m5.large": "-0.115" },
              "serverlessPerGigabyteSecond": "2000000000",
              "models": [ { "name": "chat", "variants": [ { "name": "full", "endpoints": [
                { "name": "chat-rt", "lane": "Fast", "instanceType": "ml.m5.large", "memoryMb": 2048,
                  "minInstances": 3,
                  "maxInstances": 2,
                  "tariff": { "perRequest": "-1" } },
                { "name": 7, "lane": "Realtime", "instanceType": "ml.m5.large",
                  "minInstances": 9, "maxInstances": "ten",
                  "maxServiceSeconds": 1000 } ] } ] } ],
              "tenants": [ { "id": "acme", "models": [ "chat" ], "budgets": [
                { "kind": "Rolling", "limit": true,
                  "seconds": 1 } ] } ]
            }
            """);
        var problems = Problems(Write("config.json", """{ "OrleansInference": { "Catalog": "both.json" } }"""));
        const string First = "models[0].variants[0].endpoints[0]";
        const string Second = "models[0].variants[0].endpoints[1]";
        Has(problems, $"{catalog}(2): instancePrices.ml.m5.large: ", "negative");
        Has(problems, $"{catalog}(3): serverlessPerGigabyteSecond: ", "above 1000000");
        Has(problems, $"{catalog}(5): {First}.lane: ", "one of Realtime");
        Has(problems, $"{catalog}(6): {First}.minInstances: ", "2");
        Has(problems, $"{catalog}(8): {First}.tariff.perRequest: ", "negative");
        Has(problems, $"{catalog}(9): {Second}.name: ");
        Has(problems, $"{catalog}(10): {Second}.maxInstances: ", "a whole number");
        Has(problems, $"{catalog}(11): {Second}.maxServiceSeconds: ", "1000");
        Has(problems, $"{catalog}(13): tenants[0].budgets[0].limit: ");
        Has(problems, $"{catalog}(14): tenants[0].budgets[0].seconds: ");

        // Nothing that only follows: memory is wrong on all lanes but one, nine instances may be within what was meant.
        Assert.Equal(10, problems.Count(problem => problem.StartsWith(catalog, StringComparison.Ordinal)));
    }

    [Fact]
    public void A_mistake_of_range_alone_has_its_line_too_and_what_is_missing_that_of_what_lacks_it()
    {
        var catalog = Write("range.json", """
            { "instancePrices": { "ml.m5.large": "0.115" },
              "models": [ { "name": "chat", "variants": [ { "name": "full", "endpoints": [
                { "name": "chat-rt", "lane": "Realtime", "instanceType": "ml.m5.large", "minInstances": 2, "maxInstances": 1 },
                { "name": "chat-2", "lane": "Async" } ] } ] } ] }
            """);
        var problems = Problems(Write("config.json", """{ "OrleansInference": { "Catalog": "range.json" } }"""));
        Has(problems, $"{catalog}(3): models[0].variants[0].endpoints[0].minInstances: ", "above maxInstances (1)");
        Has(problems, $"{catalog}(4): models[0].variants[0].endpoints[1].instanceType: ", "runs on instances");
    }

    [Fact]
    public void What_bounds_budgets_can_be_set_within_its_range()
    {
        var problems = Problems(Write("config.json", """{ "OrleansInference": { "MaxHeldJobs": -1, "LimitChangeSeconds": 2 } }"""));
        Has(problems, "MaxHeldJobs", "-1");
        Has(problems, "LimitChangeSeconds", "2");
        var settings = SettingsReader.Read(
            Write("good.json", """{ "OrleansInference": { "MaxHeldJobs": 7, "LimitChangeSeconds": 3.5 } }"""),
            new Dictionary<string, string?> { ["DataFolder"] = In("bounds"), ["Urls"] = "http://127.0.0.1:0", ["SiloPort"] = "0", ["GatewayPort"] = "0" });
        Assert.Equal((7, 3.5), (settings.MaxHeldJobs, settings.LimitChangeSeconds));
    }

    [Fact]
    public void What_bounds_batches_can_be_lowered()
    {
        var problems = Problems(Write("config.json", """{ "OrleansInference": { "MaxBatchBytes": 0, "MaxBatchRecords": 100001 } }"""));
        Has(problems, "MaxBatchBytes", "0");
        Has(problems, "MaxBatchRecords", "100001");
        var settings = SettingsReader.Read(
            Write("good.json", """{ "OrleansInference": { "MaxBatchBytes": 5000, "MaxBatchRecords": 7 } }"""),
            new Dictionary<string, string?> { ["DataFolder"] = In("batches"), ["Urls"] = "http://127.0.0.1:0", ["SiloPort"] = "0", ["GatewayPort"] = "0" });
        Assert.Equal((5_000, 7), (settings.MaxBatchBytes, settings.MaxBatchRecords));
    }

    [Fact]
    public void Tries_and_second_tries_can_be_set_within_their_range()
    {
        var problems = Problems(Write("config.json", """{ "OrleansInference": { "MaxAttempts": 0, "HedgeQuantile": 0.4, "MaxHedgeShare": 1.5 } }"""));
        Has(problems, "MaxAttempts", "0");
        Has(problems, "HedgeQuantile", "0.4");
        Has(problems, "MaxHedgeShare", "1.5");
        var settings = SettingsReader.Read(
            Write("tries.json", """{ "OrleansInference": { "MaxAttempts": 2, "HedgeQuantile": 0.95, "MaxHedgeShare": 0.1 } }"""),
            new Dictionary<string, string?> { ["DataFolder"] = In("tries"), ["Urls"] = "http://127.0.0.1:0", ["SiloPort"] = "0", ["GatewayPort"] = "0" });
        Assert.Equal((2, 0.95, 0.1), (settings.MaxAttempts, settings.HedgeQuantile, settings.MaxHedgeShare));
        var off = SettingsReader.Read(
            Write("off.json", """{ "OrleansInference": { "HedgeQuantile": 0 } }"""),
            new Dictionary<string, string?> { ["DataFolder"] = In("off"), ["Urls"] = "http://127.0.0.1:0", ["SiloPort"] = "0", ["GatewayPort"] = "0" });
        Assert.Equal(0, off.HedgeQuantile);
    }

    [Fact]
    public void A_misspelt_section_or_setting_is_named_with_the_one_that_may_be_meant()
    {
        var config = Write("config.json", """{ "OrleansInferance": { "Speed": 2 }, "Logging": {}, "OrleansInference": { "Catlog": "x", "Aws": { "Regoin": "eu" } } }""");
        var problems = Problems(config);
        Has(problems, config, "OrleansInferance", "Call it OrleansInference");
        Has(problems, config, "OrleansInference:Catlog", "'Catalog' may be meant");
        Has(problems, config, "OrleansInference:Aws:Regoin", "'Aws:Region' may be meant");
        Assert.DoesNotContain(problems, static problem => problem.Contains("Logging", StringComparison.Ordinal));
    }

    [Fact]
    public void Settings_beside_their_section_are_named_with_the_file_and_where_they_belong()
    {
        var bare = Write("bare.json", """{ "Urls": "http://127.0.0.1:0", "aws": { "Mode": "Amazon", "State": "DynamoDB" }, "Logging": {} }""");
        var problem = Assert.Single(Problems(bare));
        Assert.StartsWith($"{bare}: aws, Urls: they are beside the section OrleansInference, and not in it. Settings stand under \"OrleansInference\":", problem, StringComparison.Ordinal);

        var both = Write("both.json", """{ "OrleansInference": { "Urls": "http://127.0.0.1:0" }, "Speed": 2 }""");
        Assert.StartsWith($"{both}: Speed: it is beside the section OrleansInference", Assert.Single(Problems(both)), StringComparison.Ordinal);

        var none = Write("none.json", """{ "Logging": { "LogLevel": { "Default": "Debug" } } }""");
        Assert.StartsWith($"{none}: it has no section OrleansInference, and so sets nothing. Settings stand under \"OrleansInference\":", Assert.Single(Problems(none)), StringComparison.Ordinal);
    }

    [Fact]
    public void What_other_programs_set_may_stand_beside_the_section()
    {
        var config = Write("config.json", """{ "Logging": {}, "AllowedHosts": "*", "Kestrel": {}, "OrleansInference": { "Urls": "http://127.0.0.1:0", "DataFolder": "data" } }""");
        Assert.Equal(["http://127.0.0.1:0"], SettingsReader.Read(config, new Dictionary<string, string?>()).Urls);
    }

    [Fact]
    public void The_settings_file_of_a_member_of_a_cluster_in_the_documentation_is_good()
    {
        var page = File.ReadAllText(Path.Combine(Root(), "docs", "operating.md")).ReplaceLineEndings("\n");
        var begin = page.IndexOf("```json\n{\n  \"OrleansInference\"", StringComparison.Ordinal) + "```json\n".Length;
        var file = page[begin..page.IndexOf("```", begin, StringComparison.Ordinal)];

        // What is to be filled in is refused as it is.
        Has(Problems(Write("member.json", file)), "OrleansInference:AdminKey");
        Has(Problems(Write("member.json", file)), "OrleansInference:MasterKey");
        file = file.Replace("<admin key>", new('a', 20), StringComparison.Ordinal).Replace("<master key>", Convert.ToBase64String(new byte[32]), StringComparison.Ordinal);
        var settings = SettingsReader.Read(Write("member.json", file), new Dictionary<string, string?> { ["Catalog"] = Path.Combine(Root(), "src", "OrleansInference.Server", "catalog.json") }, isToServe: false);
        Assert.NotNull(settings.Aws);
        Assert.NotNull(settings.Cluster);
        Assert.NotNull(settings.AdminKey);
        Assert.NotNull(settings.MasterKey);
    }

    [Fact]
    public void The_settings_file_of_a_cluster_on_one_machine_in_the_documentation_is_good()
    {
        var page = File.ReadAllText(Path.Combine(Root(), "docs", "operating.md")).ReplaceLineEndings("\n");
        var begin = page.IndexOf("```json\n", page.IndexOf("\n## A cluster on one machine\n", StringComparison.Ordinal), StringComparison.Ordinal) + "```json\n".Length;
        var file = page[begin..page.IndexOf("```", begin, StringComparison.Ordinal)];
        var settings = SettingsReader.Read(Write("cluster.json", file), new Dictionary<string, string?> { ["Catalog"] = Path.Combine(Root(), "src", "OrleansInference.Server", "catalog.json") }, isToServe: false);
        Assert.Equal((new Uri("http://127.0.0.1:4566"), new Uri("http://127.0.0.1:4566"), true), (settings.Aws!.Endpoint, settings.Cluster!.Endpoint, settings.Cluster.CreateTables));
        Assert.Contains("\"Catalog\": \"src/OrleansInference.Server/catalog.json\"", file, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("OrleansInferance__Speed", "with two underscores")]
    [InlineData("OrleansInference_Speed", "with two underscores")]
    [InlineData("OrleansInference__Catlog", "'Catalog' may be meant")]
    public void A_misspelt_environment_variable_is_named_with_its_remedy(string name, string remedy)
    {
        Environment.SetEnvironmentVariable(name, "2");
        try
        {
            Has(Problems(Write("config.json", """{ "OrleansInference": { } }""")), "environment variable", name, remedy);
        }
        finally
        {
            Environment.SetEnvironmentVariable(name, null);
        }
    }

    [Fact]
    public void The_region_holds_with_the_embedded_AWS_as_on_Amazon()
    {
        ServerSettings Read(string mode) => SettingsReader.Read(
            Write("config.json", $$"""{ "OrleansInference": { "Aws": { "Mode": "{{mode}}", "Region": "eu-central-1" }, "Urls": "http://127.0.0.1:0", "DataFolder": "data" } }"""),
            new Dictionary<string, string?>());
        Assert.Equal(("eu-central-1", null), (Read("Embedded").Region, Read("Embedded").Aws));
        Assert.Equal(("eu-central-1", "eu-central-1"), (Read("Amazon").Region, Read("Amazon").Aws!.Region));
    }

    [Fact]
    public void The_data_folder_is_where_the_caller_is_also_with_dotnet_run()
    {
        var settings = SettingsReader.Read(null, new Dictionary<string, string?> { ["Urls"] = "http://127.0.0.1:0" });
        Assert.Equal(Path.Combine(Environment.CurrentDirectory, "data"), settings.DataFolder);

        // The web SDK would have 'dotnet run' work in the project's folder, among the sources.
        var project = File.ReadAllText(Path.Combine(Root(), "src", "OrleansInference.Server", "OrleansInference.Server.csproj"));
        Assert.Contains("<EnableDefaultRunWorkingDirectory>false</EnableDefaultRunWorkingDirectory>", project, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_setting_is_described()
    {
        var page = File.ReadAllText(Path.Combine(Root(), "docs", "operating.md"));
        Assert.All(SettingsReader.Known, setting => Assert.Contains($"`{setting}`", page, StringComparison.Ordinal));
    }

    [Fact]
    public void A_real_time_endpoint_without_an_instance_is_refused_as_SageMaker_does()
    {
        var catalog = Write("c.json", """
            { "instancePrices": { "ml.m5.large": "0.115" },
              "models": [ { "name": "chat", "variants": [ { "name": "full", "endpoints": [ { "name": "chat-rt", "lane": "Realtime", "instanceType": "ml.m5.large", "minInstances": 0 } ] } ] } ] }
            """);
        Has(Problems(Write("config.json", """{ "OrleansInference": { "Catalog": "c.json" } }""")), catalog, "endpoints[0].minInstances", "at least one");
    }

    [Fact]
    public void A_catalog_that_is_no_json_is_reported_with_line_and_column()
    {
        var catalog = Write("c.json", "{\n  \"models\": [\n    { \"name\": }\n  ]\n}");
        Has(Problems(Write("config.json", """{ "OrleansInference": { "Catalog": "c.json" } }""")), $"{catalog}(3,15)");
    }

    [Fact]
    public void A_catalog_member_that_does_not_exist_is_named()
    {
        var catalog = Write("c.json", """{ "modles": [] }""");
        Has(Problems(Write("config.json", """{ "OrleansInference": { "Catalog": "c.json" } }""")), catalog, "modles");
    }

    [Fact]
    public void A_configuration_file_that_is_no_json_or_not_there_is_reported_too()
    {
        var config = Write("config.json", "{ \"OrleansInference\": ");
        Has(Problems(config), $"{config}(1,");
        Has(Problems(In("missing.json")), In("missing.json"), "cannot be read");
    }

    [Fact]
    public void Two_listeners_at_one_port_are_named()
    {
        var settings = new Dictionary<string, string?> { ["DataFolder"] = In("ports"), ["Urls"] = "http://127.0.0.1:28411;http://[::1]:28411;http://127.0.0.1:28412", ["SiloPort"] = "28413", ["GatewayPort"] = "28414" };
        Assert.Equal(28413, SettingsReader.Read(null, settings, isToServe: false).SiloPort);

        // Another address is another listener.
        settings["LocalAwsPort"] = "28412";
        settings["Urls"] = "http://192.0.2.1:28412";
        Assert.Equal(28412, SettingsReader.Read(null, settings, isToServe: false).LocalAwsPort);
        settings["Urls"] = "http://127.0.0.1:28411;http://[::1]:28411;http://127.0.0.1:28412";
        (settings["SiloPort"], settings["GatewayPort"], settings["LocalAwsPort"]) = ("28413", "28413", "28412");
        var problems = Assert.Throws<ConfigurationException>(() => SettingsReader.Read(null, settings, isToServe: false)).Problems;
        Assert.Equal(["LocalAwsPort and Urls are both port 28412. Give each a port of its own.", "SiloPort and GatewayPort are both port 28413. Give each a port of its own."], problems.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_shutdown_that_would_be_cut_is_refused()
    {
        var settings = new Dictionary<string, string?> { ["DataFolder"] = In("patience"), ["ShutdownTimeout"] = "55m" };
        Assert.Equal(TimeSpan.FromMinutes(55), SettingsReader.Read(null, settings, isToServe: false).ShutdownTimeout);
        settings["ShutdownTimeout"] = "1h";
        Assert.Equal(["ShutdownTimeout: 01:00:00 is too long: at most 55 minutes."], Assert.Throws<ConfigurationException>(() => SettingsReader.Read(null, settings, isToServe: false)).Problems);
    }

    private static List<string> Problems(string config) => [.. Assert.Throws<ConfigurationException>(() => SettingsReader.Read(config, new Dictionary<string, string?> { ["SiloPort"] = "0", ["GatewayPort"] = "0" })).Problems];

    private static void Has(List<string> problems, params string[] words) =>
        Assert.True(problems.Any(problem => words.All(word => problem.Contains(word, StringComparison.Ordinal))), $"{string.Join(" … ", words)}\nis not in\n{string.Join('\n', problems)}");

    private static string Root([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", "..", ".."));

    private string In(string name) => Path.Combine(_folder, name);

    private string Write(string name, string text)
    {
        File.WriteAllText(In(name), text);
        return In(name);
    }
}
