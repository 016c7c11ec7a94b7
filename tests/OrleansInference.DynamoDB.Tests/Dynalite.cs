using System.Diagnostics;
using Amazon.DynamoDBv2;

namespace OrleansInference.DynamoDB.Tests;

/// <summary>One DynamoDB wire server for all tests of the assembly: dynalite, installed from the lock file, with what it lacks added before it.</summary>
public sealed class Dynalite : IAsyncLifetime
{
    private readonly string _folder = Path.Combine(AppContext.BaseDirectory, "JavaScript");
    private Process? _process;
    private DynamoProxy? _proxy;

    /// <summary>Its address, as the service of options.</summary>
    public string Service => _proxy!.Address;

    internal DynamoProxy Proxy => _proxy!;

    public async ValueTask InitializeAsync()
    {
        // npm writes this file last: a whole installation of this very lock file is not repeated.
        var installed = Path.Combine(_folder, "node_modules", ".package-lock.json");
        var wanted = Path.Combine(_folder, "package-lock.json");
        if (!File.Exists(installed) || File.GetLastWriteTimeUtc(installed) < File.GetLastWriteTimeUtc(wanted))
        {
            (await OrleansInference.Tests.ExternalCommand.RunAsync("npm", ["ci"], folder: _folder)).Success();
        }

        _process = OrleansInference.Tests.ExternalCommand.Start("node", [Path.Combine(_folder, "server.mjs")], folder: _folder);
        var line = await _process.StandardOutput.ReadLineAsync();
        if (!int.TryParse(line, out var port))
        {
            throw new InvalidOperationException($"dynalite did not start: {line} {await _process.StandardError.ReadToEndAsync()}");
        }

        _proxy = await DynamoProxy.StartAsync(new($"http://127.0.0.1:{port}"));
    }

    public async ValueTask DisposeAsync()
    {
        if (_proxy is not null)
        {
            await _proxy.DisposeAsync();
        }

        if (_process is not null)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync();
            _process.Dispose();
        }
    }

    /// <summary>Options for a table of its own.</summary>
    internal T Options<T>(T options, string? table = null)
        where T : DynamoDBClientOptions
    {
        options.Service = Service;
        options.TableName = table ?? NewTable();
        return options;
    }

    /// <summary>The SDK's own client, for what is written by others.</summary>
    internal AmazonDynamoDBClient Client() => new("emulator", "emulator", new AmazonDynamoDBConfig { ServiceURL = Service });

    internal static string NewTable() => $"table-{Guid.NewGuid():N}";
}
