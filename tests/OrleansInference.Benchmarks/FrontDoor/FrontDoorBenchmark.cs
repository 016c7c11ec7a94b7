using System.Text;

namespace OrleansInference.Benchmarks.FrontDoor;

/// <summary>
/// Requests per second through the HTTP front door, with a key and with a signature, next to a proxy that only passes on (YARP) and, where Node
/// is present, to another AI gateway: the same load before the same backend, in turn, several times over.
/// </summary>
internal static class FrontDoorBenchmark
{
    private const int Turns = 7;
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Turn = TimeSpan.FromSeconds(2);

    /// <summary>Body of every request, in a form that every gateway takes.</summary>
    public static byte[] Body { get; } = Encoding.UTF8.GetBytes(
        """{"model":"chat","inputs":"Is it so?","messages":[{"role":"user","content":"Is it so?"}],"max_tokens":64}""");

    public static async Task RunAsync(Figures figures)
    {
        figures.Say("the front door beside a bare proxy");
        using var backend = await StartPeerAsync(Peers.Backend);
        using var proxy = await StartPeerAsync(Peers.Proxy, backend.Address);
        using var router = new RouterProcess();
        await router.StartAsync(backend.Address);
        using var portkey = await Portkey.StartAsync(figures);
        List<(string Name, Uri Address, Func<byte[]> Request)> contenders =
        [
            ("yarp", proxy.Address, () => Request(proxy.Address, "/endpoints/chat/invocations", [])),
            ("api_key", router.Address, router.KeyedRequest),
            ("sigv4", router.Address, router.SignedRequest),
        ];
        if (portkey is not null)
        {
            contenders.Add(("portkey", portkey.Address, () => Portkey.Request(portkey.Address, backend.Address)));
        }

        foreach (var (name, address, request) in contenders)
        {
            figures.Say($"warming up {name}");
            HttpLoad.Run(address, request(), WarmUp);
        }

        var rates = contenders.ToDictionary(static contender => contender.Name, static _ => new double[Turns]);
        for (var turn = 0; turn < Turns; turn++)
        {
            foreach (var (name, address, request) in contenders)
            {
                rates[name][turn] = HttpLoad.Run(address, request(), Turn);
            }
        }

        foreach (var (name, _, _) in contenders)
        {
            figures.Print($"routing.front_door.{name}.median", Median(rates[name]), "1/s", null, Better.High);
        }

        figures.Print("routing.front_door.api_key_to_yarp.median", Ratio(rates["api_key"], rates["yarp"]), "x", 0.6, Better.High);
        figures.Print("routing.front_door.sigv4_to_yarp.median", Ratio(rates["sigv4"], rates["yarp"]), "x", 0.6, Better.High);
        if (rates.TryGetValue("portkey", out var others))
        {
            figures.Print("routing.front_door.api_key_to_portkey.median", Ratio(rates["api_key"], others), "x", null, Better.High);
        }
    }

    /// <summary>A whole request as it goes over the wire.</summary>
    public static byte[] Request(Uri server, string path, IReadOnlyList<(string Name, string Value)> headers)
    {
        var head = new StringBuilder($"POST {path} HTTP/1.1\r\nHost: {server.Authority}\r\nContent-Type: application/json\r\nContent-Length: {Body.Length}\r\n");
        foreach (var (name, value) in headers)
        {
            head.Append(name).Append(": ").Append(value).Append("\r\n");
        }

        return [.. Encoding.ASCII.GetBytes(head.Append("\r\n").ToString()), .. Body];
    }

    private static Task<PeerProcess> StartPeerAsync(string role, Uri? backend = null)
    {
        var address = PeerProcess.FreeAddress();
        return PeerProcess.StartAsync("dotnet", [Path.Combine(AppContext.BaseDirectory, "OrleansInference.Benchmarks.dll"), "peer", role, address.OriginalString, .. backend is null ? Array.Empty<string>() : [backend.OriginalString]], address);
    }

    // Turn by turn, so that what else runs on the machine meets both.
    private static double Ratio(double[] ours, double[] theirs) => Median([.. ours.Zip(theirs, static (one, other) => one / other)]);

    private static double Median(double[] values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }
}
