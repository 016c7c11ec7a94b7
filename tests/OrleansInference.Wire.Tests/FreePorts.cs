using System.Net;
using System.Net.Sockets;

namespace OrleansInference.Tests;

/// <summary>Loopback ports for servers that are started as processes.</summary>
internal static class FreePorts
{
    private static readonly Lock Giving = new();
    private static readonly HashSet<int> Given = [];

    /// <summary>
    /// A port that is free now, below those that systems give to whoever asks for any, and given once: no connection and no other server takes it before the
    /// one that it is for.
    /// </summary>
    public static int Next()
    {
        lock (Giving)
        {
            while (true)
            {
                var port = Random.Shared.Next(12_000, 20_000);
                try
                {
                    using var listener = new TcpListener(IPAddress.Loopback, port);
                    listener.Start();
                    if (Given.Add(port))
                    {
                        return port;
                    }
                }
                catch (SocketException)
                {
                    // Somebody listens on it.
                }
            }
        }
    }
}
