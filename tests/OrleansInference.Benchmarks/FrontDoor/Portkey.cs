using System.Diagnostics;

namespace OrleansInference.Benchmarks.FrontDoor;

/// <summary>The Portkey AI gateway (npm <c>@portkey-ai/gateway</c>), installed once from the lock file beside the benchmarks.</summary>
internal static class Portkey
{
    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "FrontDoor", "JavaScript");

    /// <summary>Starts it; null where Node is not present or it cannot be installed.</summary>
    public static async Task<PeerProcess?> StartAsync(Figures figures)
    {
        try
        {
            if (!File.Exists(Path.Combine(Folder, "node_modules", ".package-lock.json")))
            {
                using var npm = Process.Start(new ProcessStartInfo("npm", ["ci", "--ignore-scripts"]) { WorkingDirectory = Folder, RedirectStandardOutput = true, RedirectStandardError = true })!;
                var (output, errors) = (npm.StandardOutput.ReadToEndAsync(), npm.StandardError.ReadToEndAsync());
                await npm.WaitForExitAsync();
                if (npm.ExitCode != 0)
                {
                    figures.Say($"Portkey is left out: npm ended with {npm.ExitCode}. {await errors}{await output}");
                    return null;
                }
            }

            var address = PeerProcess.FreeAddress();
            return await PeerProcess.StartAsync("node", [Path.Combine("node_modules", "@portkey-ai", "gateway", "build", "start-server.js"), "--headless", $"--port={address.Port}"], address, Folder);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            figures.Say("Portkey is left out: node and npm are not present");
            return null;
        }
    }

    /// <summary>The same request, in the way that it takes it.</summary>
    public static byte[] Request(Uri gateway, Uri backend) => FrontDoorBenchmark.Request(
        gateway,
        "/v1/chat/completions",
        [("Authorization", "Bearer benchmark"), ("x-portkey-provider", "openai"), ("x-portkey-custom-host", $"{backend.OriginalString}/v1")]);
}
