using System.Buffers.Text;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace OrleansInference.Benchmarks.FrontDoor;

/// <summary>
/// Sends one and the same request over and over on kept connections, each waiting for its answer, and does next to nothing else: what it
/// measures is what it talks to.
/// </summary>
internal static class HttpLoad
{
    private const int Connections = 16;
    private static readonly TimeSpan LongestAnswer = TimeSpan.FromSeconds(20);

    /// <summary>Requests answered per second.</summary>
    /// <exception cref="InvalidOperationException">An answer is not 200.</exception>
    public static double Run(Uri server, byte[] request, TimeSpan duration)
    {
        long answered = 0;
        Exception? failure = null;
        var start = Stopwatch.GetTimestamp();
        var workers = new Thread[Connections];
        for (var i = 0; i < workers.Length; i++)
        {
            workers[i] = new(() =>
            {
                try
                {
                    var mine = Drive(server, request, start, duration);
                    Interlocked.Add(ref answered, mine);
                }
                catch (Exception exception)
                {
                    Interlocked.CompareExchange(ref failure, exception, null);
                }
            });
            workers[i].Start();
        }

        foreach (var worker in workers)
        {
            worker.Join();
        }

        return failure is null
            ? answered / Stopwatch.GetElapsedTime(start).TotalSeconds
            : throw new InvalidOperationException($"{server} does not take the load: {failure.Message}", failure);
    }

    private static long Drive(Uri server, byte[] request, long start, TimeSpan duration)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = (int)LongestAnswer.TotalMilliseconds };
        socket.Connect(IPAddress.Loopback, server.Port);
        var buffer = new byte[64 << 10];
        long answered = 0;
        while (Stopwatch.GetElapsedTime(start) < duration)
        {
            socket.Send(request);
            Receive(socket, buffer);
            answered++;
        }

        return answered;
    }

    private static void Receive(Socket socket, byte[] buffer)
    {
        var length = 0;
        int head;
        while ((head = buffer.AsSpan(0, length).IndexOf("\r\n\r\n"u8)) < 0)
        {
            length += Read(socket, buffer, length);
        }

        var headers = buffer.AsSpan(0, head);
        if (!headers.StartsWith("HTTP/1.1 200"u8))
        {
            throw new InvalidOperationException($"the answer is {Encoding.UTF8.GetString(buffer, 0, length)}");
        }

        if (ContentLength(headers) is { } body)
        {
            while (length < head + 4 + body)
            {
                length += Read(socket, buffer, length);
            }
        }
        else
        {
            // In chunks, of which the last is empty.
            while (!buffer.AsSpan(head, length - head).EndsWith("\r\n0\r\n\r\n"u8))
            {
                length += Read(socket, buffer, length);
            }
        }
    }

    private static int Read(Socket socket, byte[] buffer, int length) => socket.Receive(buffer, length, buffer.Length - length, SocketFlags.None) is > 0 and var read
        ? read
        : throw new InvalidOperationException("the connection was closed");

    private static int? ContentLength(ReadOnlySpan<byte> headers)
    {
        foreach (var range in headers.Split("\r\n"u8))
        {
            var line = headers[range];
            const int Name = 15;
            if (line.Length > Name && Ascii.EqualsIgnoreCase(line[..Name], "content-length:"u8) && Utf8Parser.TryParse(line[Name..].TrimStart((byte)' '), out int value, out _))
            {
                return value;
            }
        }

        return null;
    }
}
