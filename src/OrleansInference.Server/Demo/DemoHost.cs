using System.Globalization;
using OrleansInference.Configuration;
using OrleansInference.Hosting;
using Spectre.Console;

namespace OrleansInference.Demo;

/// <summary>Starts a server for the demo, runs it, and stays up to be tried.</summary>
internal static class DemoHost
{
    /// <summary>Runs the demo; 0 if all went well, 1 if its figures do not add up.</summary>
    public static async Task<int> RunAsync(DemoOptions options, CancellationToken cancellationToken)
    {
        var view = new DemoView(AnsiConsole.Console);
        var catalog = DemoCatalog.Create();
        var settings = new ServerSettings
        {
            DataFolder = options.DataFolder ?? Directory.CreateTempSubdirectory("orleans-inference-demo-").FullName,
            Catalog = catalog,
            Urls = [string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{options.Port}")],
            Speed = options.Speed,
            LogLevel = LogLevel.Error,
        };
        await using var host = await ServerHost.StartAsync(settings, cancellationToken);
        view.Say($"Serving at {host.Address}, embedded AWS at {host.LocalAws}, ledger and objects in {host.DataFolderPath}");
        using var run = new DemoRun(options, catalog, host.Address, host.AdminKey, view);
        var agrees = await run.RunAsync(cancellationToken);
        if (options.Exit || !agrees)
        {
            return agrees ? 0 : 1;
        }

        Invite(view, host, run.Key(DemoCatalog.Harbor));
        await host.WaitForShutdownAsync(cancellationToken);
        return 0;
    }

    private static void Invite(DemoView view, ServerHost host, IssuedKey key)
    {
        var address = host.Address.GetLeftPart(UriPartial.Authority);
        view.Say("");
        view.Say($"Try it, as tenant {key.Tenant}. The server stays up until Ctrl+C.");
        view.Say("");
        view.Say($$"""
            curl -i {{address}}/v1/models/{{DemoCatalog.ChatLarge}}/invocations -H 'Authorization: Bearer {{key.ApiKey}}' -H 'Content-Type: application/json' -H 'X-Inference-Class: High' -d '{"inputs":"Where is my parcel?"}'

            curl {{address}}/v1/models/{{DemoCatalog.ChatLarge}}/route -H 'Authorization: Bearer {{key.ApiKey}}' -H 'Content-Type: application/json' -d '{"inputs":"Where is my parcel?"}'

            curl {{address}}/v1/tenants/{{key.Tenant}}/budget -H 'Authorization: Bearer {{key.ApiKey}}'

            echo '{"inputs":"Where is my parcel?"}' > request.json
            AWS_ACCESS_KEY_ID={{key.AccessKeyId}} AWS_SECRET_ACCESS_KEY={{key.SecretAccessKey}} aws sagemaker-runtime invoke-endpoint --region us-east-1 --endpoint-url {{address}} --endpoint-name {{DemoCatalog.ChatLarge}} --content-type application/json --body fileb://request.json answer.json
            """);
    }
}
