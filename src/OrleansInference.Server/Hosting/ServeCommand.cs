using System.CommandLine;
using OrleansInference.Configuration;
using OrleansInference.Demo;
using OrleansInference.Diagnosis;

namespace OrleansInference.Hosting;

/// <summary>The server's command line.</summary>
internal static class ServeCommand
{
    /// <summary>Exit code: the command line or the configuration cannot be used.</summary>
    public const int ConfigurationExitCode = 2;

    // Requests under way end, leases go back and the audit log is written before the process does: default patience is two seconds. How long that may take is for ShutdownTimeout to say,
    // and for whoever kills what does not end.
    private static readonly TimeSpan TerminationTimeout = TimeSpan.FromHours(1);

    /// <summary>Runs the command line and answers the exit code.</summary>
    public static async Task<int> RunAsync(string[] args)
    {
        var config = new Option<string?>("--config") { Description = "Settings file (JSON, section OrleansInference) over the server's own appsettings.json." };
        var urls = new Option<string?>("--urls") { Description = "Addresses of the front door, separated by semicolons; port 0 takes a free one." };
        var data = new Option<string?>("--data") { Description = "Folder of everything durable. Default: 'data' in the current folder." };
        var catalog = new Option<string?>("--catalog") { Description = "Catalog file: prices, models with their endpoints, tenants." };
        var root = new RootCommand("Routes inference requests over SageMaker's lanes, each by the cheapest that meets its deadline, within its tenant's budget.")
        {
            config, urls, data, catalog,
        };
        root.Subcommands.Add(DemoCommand.Create(DemoHost.RunAsync));
        root.Subcommands.Add(LocalAws.LocalAwsCommand.Create());
        root.Subcommands.Add(DoctorCommand.Create(parsed => Settings(parsed, isToServe: false), config, data, catalog));
        root.SetAction((parsed, cancellationToken) => ServeAsync(Settings(parsed, isToServe: true), cancellationToken));
        var result = root.Parse(args);
        if (result.Errors.Count > 0)
        {
            foreach (var error in result.Errors)
            {
                await Console.Error.WriteLineAsync(error.Message);
            }

            await Console.Error.WriteLineAsync("--help lists the options.");
            return ConfigurationExitCode;
        }

        ServerSettings Settings(ParseResult parsed, bool isToServe) => SettingsReader.Read(
            parsed.GetValue(config),
            new Dictionary<string, string?> { ["Urls"] = parsed.GetValue(urls), ["DataFolder"] = parsed.GetValue(data), ["Catalog"] = parsed.GetValue(catalog) },
            isToServe);

        try
        {
            return await result.InvokeAsync(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TerminationTimeout });
        }
        catch (ConfigurationException exception)
        {
            await Console.Error.WriteLineAsync("The server cannot start:");
            foreach (var problem in exception.Problems)
            {
                await Console.Error.WriteLineAsync("  " + problem);
            }

            return ConfigurationExitCode;
        }
        catch (OperationCanceledException)
        {
            return 0;
        }
    }

    private static async Task<int> ServeAsync(ServerSettings settings, CancellationToken cancellationToken)
    {
        await using var host = await ServerHost.StartAsync(settings, cancellationToken);
        await Console.Out.WriteLineAsync($"Serving at {host.Address}; data in {host.DataFolderPath}{(host.LocalAws is { } aws ? $"; embedded AWS at {aws}" : "")}. Ctrl+C stops it.");
        if (host.AdminKeyFile is { } file)
        {
            await Console.Out.WriteLineAsync($"The admin key is in {file}. A tenant's key: curl -X POST -H \"X-Api-Key: $(cat '{file}')\" {host.Address}v1/admin/tenants/TENANT/keys");
        }

        await host.WaitForShutdownAsync(cancellationToken);
        return 0;
    }
}
