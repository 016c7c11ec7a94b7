using System.Net;

namespace OrleansInference.Aws.Transport;

/// <summary>The connections to SageMaker, kept and shared by all calls of the process.</summary>
internal sealed class ConnectionPool : IDisposable
{
    private readonly HttpMessageInvoker _invoker;

    public ConnectionPool(AwsOptions options)
        : this(Handler(options))
    {
    }

    /// <summary>Sends through a handler of the caller's, which this then owns.</summary>
    public ConnectionPool(HttpMessageHandler handler) => _invoker = new(handler);

    /// <summary>Sends a request; ends when the answer's headers are there.</summary>
    public Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) => _invoker.SendAsync(request, cancellationToken);

    public void Dispose() => _invoker.Dispose();

    private static SocketsHttpHandler Handler(AwsOptions options) => new()
    {
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        UseCookies = false,

        // What is added after signing would not be signed, and AWS reads no traceparent.
        ActivityHeadersPropagator = null,
        ConnectTimeout = options.ConnectTimeout,
        MaxConnectionsPerServer = options.MaxConnections,

        // Shorter than AWS keeps an idle connection, so that a request is not sent into one that is just being closed; and
        // bounded altogether, so that a change of addresses is noticed.
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(20),
        PooledConnectionLifetime = TimeSpan.FromMinutes(5),
    };
}
