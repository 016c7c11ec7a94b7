using System.Text.Json;

namespace OrleansInference.Tests;

/// <summary>The JavaScript SDK for SageMaker Runtime, installed once from the lock file beside the tests.</summary>
public sealed class JavaScriptSdk : IAsyncLifetime
{
    private readonly string _folder = Path.Combine(AppContext.BaseDirectory, "JavaScript");

    public async ValueTask InitializeAsync()
    {
        // npm writes this file last: a whole installation of this very lock file is not repeated.
        var installed = Path.Combine(_folder, "node_modules", ".package-lock.json");
        var wanted = Path.Combine(_folder, "package-lock.json");
        if (!File.Exists(installed) || File.GetLastWriteTimeUtc(installed) < File.GetLastWriteTimeUtc(wanted))
        {
            (await ExternalCommand.RunAsync("npm", ["ci"], folder: _folder)).Success();
        }
    }

    /// <summary>What the SDK signs for many inputs, and what it was found to sign when the vectors of the signer's tests were captured.</summary>
    internal async Task<(string Now, string Captured)> SignAsync()
    {
        var result = await ExternalCommand.RunAsync("node", [Path.Combine(_folder, "sigv4-vectors.mjs")], AwsCredentials.Environment("", ""), _folder);
        return (result.Success(), await File.ReadAllTextAsync(Path.Combine(_folder, "sigv4-vectors.json")));
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>Runs one operation and answers what it printed.</summary>
    internal async Task<JsonElement> RunAsync(string operation, Uri endpoint, string model, string input, string attributes, string accessKeyId, string secretAccessKey)
    {
        var result = await ExternalCommand.RunAsync(
            "node",
            [Path.Combine(_folder, "sagemaker-runtime.mjs"), operation, endpoint.OriginalString, model, input, attributes],
            AwsCredentials.Environment(accessKeyId, secretAccessKey),
            _folder);
        return JsonDocument.Parse(result.Success()).RootElement;
    }
}
