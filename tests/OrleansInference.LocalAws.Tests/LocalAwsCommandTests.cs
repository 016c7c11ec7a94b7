using OrleansInference.LocalAws;

namespace OrleansInference.Tests;

public sealed class LocalAwsCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("oi-local-aws-").FullName;

    [Theory]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("""{"models":[{"name":"not a name"}]}""")]
    [InlineData("""{"models":[{"name":"chat"}]}""")]
    public async Task A_bad_catalog_has_an_exit_code_of_its_own(string json)
    {
        var file = Path.Combine(_folder, "catalog.json");
        await File.WriteAllTextAsync(file, json);

        Assert.Equal(LocalAwsCommand.CatalogExitCode, await LocalAwsCommand.RunAsync(["--catalog", file]));
    }

    [Fact]
    public async Task What_cannot_be_used_has_an_exit_code_of_its_own()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new() { DataFolder = _folder });

        Assert.Equal(LocalAwsCommand.CatalogExitCode, await LocalAwsCommand.RunAsync(["--catalog", Path.Combine(_folder, "none.json")]));
        Assert.Equal(LocalAwsCommand.DataFolderExitCode, await LocalAwsCommand.RunAsync(["--data", _folder]));
        Assert.Equal(LocalAwsCommand.PortExitCode, await LocalAwsCommand.RunAsync(["--port", aws.Server.Address.Port.ToString(System.Globalization.CultureInfo.InvariantCulture)]));
        Assert.NotEqual(0, await LocalAwsCommand.RunAsync(["--speed", "0"]));
        Assert.NotEqual(0, await LocalAwsCommand.RunAsync(["--dynalite", "127.0.0.1:4567"]));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
