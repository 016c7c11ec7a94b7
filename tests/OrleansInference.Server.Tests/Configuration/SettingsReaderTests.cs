using System.Net;
using System.Net.Sockets;
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
    public void An_address_without_a_port_and_an_empty_path_are_mistakes_like_others()
    {
        var exception = Assert.Throws<ConfigurationException>(() => SettingsReader.Read("", new Dictionary<string, string?> { ["Urls"] = "htp:/x", ["DataFolder"] = In("data"), ["Speed"] = "NaN" }));
        Assert.Contains(exception.Problems, problem => problem.Contains("--config", StringComparison.Ordinal));
        Assert.Contains(exception.Problems, problem => problem.Contains("'htp:/x'", StringComparison.Ordinal));
        Assert.Contains(exception.Problems, problem => problem.Contains("Speed", StringComparison.Ordinal));
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

    private static List<string> Problems(string config) => [.. Assert.Throws<ConfigurationException>(() => SettingsReader.Read(config, new Dictionary<string, string?> { ["SiloPort"] = "0", ["GatewayPort"] = "0" })).Problems];

    private static void Has(List<string> problems, params string[] words) =>
        Assert.True(problems.Any(problem => words.All(word => problem.Contains(word, StringComparison.Ordinal))), $"{string.Join(" … ", words)}\nis not in\n{string.Join('\n', problems)}");

    private string In(string name) => Path.Combine(_folder, name);

    private string Write(string name, string text)
    {
        File.WriteAllText(In(name), text);
        return In(name);
    }
}
