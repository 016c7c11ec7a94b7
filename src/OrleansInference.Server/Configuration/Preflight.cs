using System.Net;
using System.Net.Sockets;
using OrleansInference.Aws;
using OrleansInference.Hosting;
using OrleansInference.Keys;
using OrleansInference.Pricing;

namespace OrleansInference.Configuration;

/// <summary>Checks, before anything is started, that what a server needs for itself can be had.</summary>
internal static class Preflight
{
    // The process may take an hour to end.
    private static readonly TimeSpan LongestShutdown = TimeSpan.FromMinutes(55);

    /// <summary>Adds a problem for settings that exclude or need each other.</summary>
    public static void CheckSettings(ServerSettings settings, ICollection<string> problems)
    {
        if (settings is { Speed: not 1 } and not { Aws: null, Cluster: null })
        {
            problems.Add($"Speed: it is {settings.Speed}, but {(settings.Aws is null ? "a cluster" : "Amazon")} runs at speed 1; leave it out, or use the embedded AWS.");
        }

        foreach (var problem in settings.Aws is { } aws ? AwsOptionsValidation.Problems(aws) : [])
        {
            problems.Add($"Aws: {problem}");
        }

        CheckPorts(settings, problems);
        if (settings.ShutdownTimeout > LongestShutdown)
        {
            problems.Add($"ShutdownTimeout: {settings.ShutdownTimeout} is too long: at most {LongestShutdown.TotalMinutes:0} minutes.");
        }

        if (settings.Cluster is null)
        {
            return;
        }

        if (settings is { Aws.UseFips: true, Cluster.Endpoint: not null })
        {
            problems.Add("Aws:DynamoDBEndpoint: it and Aws:UseFips exclude each other; set the FIPS address itself, or none.");
        }

        if (settings.Aws is null)
        {
            problems.Add("Aws:State: it is DynamoDB with the embedded AWS, of which each server would have one of its own. Set Aws:Mode to Amazon (and Aws:Endpoint to the address of a local-aws that they share), or Aws:State to Local.");
        }

        foreach (var (name, value) in new[] { (nameof(settings.AdminKey), settings.AdminKey), (nameof(settings.MasterKey), settings.MasterKey) })
        {
            if (value is null)
            {
                problems.Add($"{name}: it is missing. The servers of a cluster must have the same AdminKey and MasterKey; give both as secrets ('openssl rand -base64 {MasterKey.Length}' prints one that suits either).");
            }
        }
    }

    /// <summary>Adds a problem for each port that is taken and for a data folder that is in use or cannot be written.</summary>
    public static void CheckMachine(ServerSettings settings, ICollection<string> problems)
    {
        foreach (var url in settings.Urls)
        {
            if (TryParse(url, out var address, out var port))
            {
                CheckPort(address, port, $"Urls '{url}'", problems);
            }
        }

        // The address that silos listen on.
        var silo = SiloAddressOf(settings);
        CheckPort(silo, settings.SiloPort, nameof(settings.SiloPort), problems);
        CheckPort(silo, settings.GatewayPort, nameof(settings.GatewayPort), problems);
        CheckPort(IPAddress.Loopback, settings.LocalAwsPort, nameof(settings.LocalAwsPort), problems);
        try
        {
            DataFolder.Open(settings.DataFolder).Dispose();
        }
        catch (ConfigurationException exception)
        {
            problems.Add(exception.Message);
        }
    }

    /// <summary>Everything that is wrong with settings made by a program.</summary>
    public static void Require(ServerSettings settings)
    {
        var problems = new List<string>(CatalogValidation.Validate(settings.Catalog).Select(static problem => $"catalog: {problem}."));
        CheckSettings(settings, problems);
        CheckMachine(settings, problems);
        if (problems.Count > 0)
        {
            throw new ConfigurationException(problems);
        }
    }

    // Two listeners of one process at one port: each finds it free before either listens.
    private static void CheckPorts(ServerSettings settings, ICollection<string> problems)
    {
        var silo = SiloAddressOf(settings);
        var listeners = new List<(string Setting, IPAddress Address, int Port)> { (nameof(settings.SiloPort), silo, settings.SiloPort), (nameof(settings.GatewayPort), silo, settings.GatewayPort) };
        if (settings.Aws is null)
        {
            listeners.Add((nameof(settings.LocalAwsPort), IPAddress.Loopback, settings.LocalAwsPort));
        }

        foreach (var url in settings.Urls)
        {
            if (TryParse(url, out var address, out var port))
            {
                listeners.Add(("Urls", address, port));
            }
        }

        for (var i = 0; i < listeners.Count; i++)
        {
            for (var k = i + 1; k < listeners.Count; k++)
            {
                var (one, other) = (listeners[i], listeners[k]);
                if (one.Port > 0 && one.Port == other.Port && one.Setting != other.Setting && (one.Address.Equals(other.Address) || IsAny(one.Address) || IsAny(other.Address)))
                {
                    problems.Add($"{one.Setting} and {other.Setting} are both port {one.Port}. Give each a port of its own.");
                }
            }
        }
    }

    private static bool IsAny(IPAddress address) => address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any);

    private static IPAddress SiloAddressOf(ServerSettings settings) =>
        settings.Cluster is null || (settings.Cluster.AdvertisedAddress is { } advertised && IPAddress.IsLoopback(advertised)) ? IPAddress.Loopback : IPAddress.Any;

    private static bool TryParse(string url, out IPAddress address, out int port)
    {
        address = IPAddress.Any;
        port = 0;
        if (!Uri.TryCreate(url.Replace("//*", "//0.0.0.0", StringComparison.Ordinal).Replace("//+", "//0.0.0.0", StringComparison.Ordinal), UriKind.Absolute, out var uri))
        {
            return false;
        }

        port = uri.Port;
        address = IPAddress.TryParse(uri.Host.Trim('[', ']'), out var parsed) ? parsed : uri.Host == "localhost" ? IPAddress.Loopback : IPAddress.Any;
        return true;
    }

    private static void CheckPort(IPAddress address, int port, string setting, ICollection<string> problems)
    {
        // 0 takes a free port; one out of range was reported where it was read, with the address it belongs to.
        if (port is <= 0 or > IPEndPoint.MaxPort)
        {
            return;
        }

        using var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(address, port));
            socket.Listen(1);
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            problems.Add($"{setting}: port {port} is taken by another program. Stop that program, or choose another port.");
        }
        catch (SocketException exception)
        {
            problems.Add($"{setting}: port {port} cannot be opened on {address}: {exception.Message}.");
        }
    }
}
