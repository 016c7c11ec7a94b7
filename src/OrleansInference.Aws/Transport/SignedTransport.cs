using OrleansInference.Aws.Credentials;
using OrleansInference.Aws.Signing;

namespace OrleansInference.Aws.Transport;

/// <summary>Signs requests and sends them. Does not repeat them.</summary>
internal sealed class SignedTransport(ConnectionPool connections, SigV4Signer signer, CredentialSource credentials, TimeProvider time)
{
    /// <summary>Sends a request whose headers are complete; ends when the answer's headers are there.</summary>
    /// <exception cref="Amazon.Runtime.AmazonClientException">There are no credentials. Nothing was sent.</exception>
    /// <exception cref="HttpRequestException">The service could not be reached, or broke off.</exception>
    public async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        var signing = await credentials.GetAsync(cancellationToken).ConfigureAwait(false);
        signer.Sign(request, PayloadHash.Of(body.Span), signing, time.GetUtcNow());
        return await connections.SendAsync(request, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Whether a failure happened before anything of the request left this machine.</summary>
    public static bool IsBeforeSending(Exception failure) => failure switch
    {
        HttpRequestException http => http.HttpRequestError is HttpRequestError.NameResolutionError or HttpRequestError.ConnectionError
            or HttpRequestError.SecureConnectionError or HttpRequestError.ProxyTunnelError,

        // How the handler reports that connecting took too long.
        OperationCanceledException { InnerException: TimeoutException } => true,
        Amazon.Runtime.AmazonClientException => true,
        _ => false,
    };
}
