using OrleansInference.Aws.ServiceEndpoints;

namespace OrleansInference.Aws;

/// <summary>Compares this machine's clock with that of AWS, which takes signatures within five minutes.</summary>
public static class ServiceClock
{
    /// <summary>Asks the SageMaker control plane, unsigned: every answer has the time.</summary>
    /// <param name="options">Where AWS is.</param>
    /// <param name="time">This machine's clock.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>The host asked, and how far this machine is ahead of it; null if the answer does not tell the time.</returns>
    /// <exception cref="HttpRequestException">It cannot be reached.</exception>
    public static async Task<(string Host, TimeSpan? Ahead)> CompareAsync(AwsOptions options, TimeProvider time, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(time);
        var address = ServiceAddresses.Of(options).ControlPlane;
        using var http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false });
        using var request = new HttpRequestMessage(HttpMethod.Head, address);
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
        return (address.Host, time.GetUtcNow() - response.Headers.Date);
    }
}
