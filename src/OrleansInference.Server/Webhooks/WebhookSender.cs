using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using OrleansInference.Hosting;
using OrleansInference.Jobs;
using OrleansInference.Telemetry;

namespace OrleansInference.Webhooks;

/// <summary>
/// Posts signed messages. The address that is connected to is checked after its name was resolved, for each connection, so that a name cannot
/// lead inside; redirects are not followed, no proxy is asked, and of an answer only the status counts.
/// </summary>
internal sealed class WebhookSender : IWebhooks, IDisposable
{
    private const int MostToOneHost = 8;
    private const int MostWaitingForOneHost = 256;
    private const int MostOfOneTenant = 32;
    private const int MostWaitingOfOneTenant = 512;
    private const int MostDrainedBytes = 16_384;
    private const int MostHeaderKilobytes = 16;

    // Together within the time that a call of a grain may take.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(15);

    private readonly WebhookDestinations _destinations;
    private readonly WebhookSecrets _secrets;
    private readonly RouterClock _clock;
    private readonly HttpClient _http;
    private readonly SendingGate _hosts = new(MostToOneHost, MostWaitingForOneHost);
    private readonly SendingGate _tenants = new(MostOfOneTenant, MostWaitingOfOneTenant);

    private readonly Func<string, CancellationToken, Task<IPAddress[]>> _resolve;

    /// <param name="destinations">Where messages may go.</param>
    /// <param name="secrets">What they are signed with.</param>
    /// <param name="clock">The router's clock.</param>
    /// <param name="resolve">The addresses of a name; a <see cref="SocketException"/> if there are none. The system's resolver unless given.</param>
    public WebhookSender(WebhookDestinations destinations, WebhookSecrets secrets, RouterClock clock, Func<string, CancellationToken, Task<IPAddress[]>>? resolve = null)
    {
        _resolve = resolve ?? Dns.GetHostAddressesAsync;
        _destinations = destinations;
        _secrets = secrets;
        _clock = clock;
        _http = new(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseProxy = false,
            UseCookies = false,
            AutomaticDecompression = DecompressionMethods.None,
            ActivityHeadersPropagator = DistributedContextPropagator.CreateNoOutputPropagator(),
            ConnectTimeout = ConnectTimeout,
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30),
            PooledConnectionLifetime = TimeSpan.FromMinutes(2),
            MaxConnectionsPerServer = MostOfOneTenant * 8,
            MaxResponseHeadersLength = MostHeaderKilobytes,
            MaxResponseDrainSize = MostDrainedBytes,
            ResponseDrainTimeout = TimeSpan.FromSeconds(1),
            ConnectCallback = ConnectAsync,
        })
        {
            Timeout = System.Threading.Timeout.InfiniteTimeSpan,
        };
        _http.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("OrleansInference", null));
    }

    public async ValueTask<string?> FindProblemAsync(TenantId tenant, string url) =>
        _destinations.FindProblem(url) ?? ((await _secrets.GetAsync(tenant)).Count > 0 ? null : NoSecret(tenant));

    public async Task<ReplyOutcome> PostAsync(TenantId tenant, string url, string id, string body, CancellationToken cancellationToken)
    {
        if (_destinations.FindProblem(url) is { } problem)
        {
            return Tried("refused", null, new(ReplyFate.Failed, problem));
        }

        var secrets = await _secrets.GetAsync(tenant);
        if (secrets.Count == 0)
        {
            return Tried("no_secret", null, new(ReplyFate.Failed, NoSecret(tenant)));
        }

        var address = new Uri(url);
        var host = $"{tenant} {address.IdnHost}:{address.Port}";
        if (!await _hosts.TryEnterAsync(host, Patience, cancellationToken))
        {
            return Busy(address);
        }

        try
        {
            if (!await _tenants.TryEnterAsync(tenant.Value, Patience, cancellationToken))
            {
                return Busy(address);
            }

            try
            {
                return await PostNowAsync(secrets, address, id, Encoding.UTF8.GetBytes(body), cancellationToken);
            }
            finally
            {
                _tenants.Leave(tenant.Value);
            }
        }
        finally
        {
            _hosts.Leave(host);
        }
    }

    public void Dispose() => _http.Dispose();

    private async Task<ReplyOutcome> PostNowAsync(IEnumerable<string> secrets, Uri address, string id, byte[] body, CancellationToken cancellationToken)
    {
        var time = _clock.TimeProvider;

        // The receiver compares it with its own clock, which is the wall's.
        var timestamp = time.GetUtcNow().ToUnixTimeSeconds();
        using var request = new HttpRequestMessage(HttpMethod.Post, address) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new("application/json");
        request.Headers.TryAddWithoutValidation(WebhookSignature.IdHeader, id);
        request.Headers.TryAddWithoutValidation(WebhookSignature.TimestampHeader, timestamp.ToString(CultureInfo.InvariantCulture));
        request.Headers.TryAddWithoutValidation(WebhookSignature.SignatureHeader, WebhookSignature.Sign(secrets, id, timestamp, body));
        using var late = new CancellationTokenSource(Timeout, time);
        using var giveUp = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        var start = time.GetTimestamp();
        try
        {
            using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, giveUp.Token);
            return Tried(response.IsSuccessStatusCode ? "delivered" : response.StatusCode == HttpStatusCode.Gone ? "gone" : "failed", Took(), Judge(response));
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return Tried("timeout", Took(), new(ReplyFate.Failed, late.IsCancellationRequested ? $"{address.Host} did not answer within {Timeout.TotalSeconds:0} s." : $"{address.Host} could not be connected to within {ConnectTimeout.TotalSeconds:0} s."));
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            // Whether a name leads inside or nowhere is for the operator to know.
            return exception.InnerException is NoAddressException none
                ? Tried(none.IsKnown ? "refused" : "unreachable", Took(), new(ReplyFate.Failed, $"{address.Host} has no public address that a webhook may go to."))
                : Tried("unreachable", Took(), new(ReplyFate.Failed, $"{address.Host} could not be reached: {((exception as HttpRequestException)?.HttpRequestError ?? HttpRequestError.Unknown)}."));
        }

        double Took() => time.GetElapsedTime(start).TotalSeconds;
    }

    private ReplyOutcome Judge(HttpResponseMessage response)
    {
        var status = (int)response.StatusCode;
        if (response.IsSuccessStatusCode)
        {
            return ReplyOutcome.Sent;
        }

        if (response.StatusCode == HttpStatusCode.Gone)
        {
            return new(ReplyFate.Refused, "The receiver answered 410: it wants no more.");
        }

        var after = response.Headers.RetryAfter is { } wait ? wait.Delta ?? (wait.Date - _clock.TimeProvider.GetUtcNow()) : null;
        var retryAfterMs = after is { Ticks: > 0 } span ? (long)_clock.FromWall(span > TimeSpan.FromDays(1) ? TimeSpan.FromDays(1) : span).TotalMilliseconds : 0;
        return new(ReplyFate.Failed, status is >= 300 and < 400 ? $"The receiver answered {status}; redirects are not followed." : $"The receiver answered {status}.", retryAfterMs);
    }

    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        var host = context.DnsEndPoint.Host;
        var isSecure = context.InitialRequestMessage.RequestUri!.Scheme == Uri.UriSchemeHttps;
        IPAddress[] addresses;
        try
        {
            addresses = await _resolve(host, cancellationToken);
        }
        catch (SocketException)
        {
            throw new NoAddressException(isKnown: false);
        }

        var allowed = addresses.Where(address => _destinations.MayConnect(isSecure, host, address)).ToArray();
        if (allowed.Length == 0)
        {
            throw new NoAddressException(isKnown: addresses.Length > 0);
        }

        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(allowed, context.DnsEndPoint.Port, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static ReplyOutcome Busy(Uri address) => Tried("busy", null, new(ReplyFate.Busy, $"Too many messages to {address.Host} are under way."));

    private static ReplyOutcome Tried(string outcome, double? seconds, ReplyOutcome result)
    {
        RouterTelemetry.WebhookTried(outcome, seconds);
        return result;
    }

    private static string NoSecret(TenantId tenant) => $"Tenant '{tenant}' has no webhook secret: POST /v1/admin/tenants/{tenant}/webhook-secret makes one.";

    private sealed class NoAddressException(bool isKnown) : IOException
    {
        /// <summary>Whether the name has addresses, none of which is allowed.</summary>
        public bool IsKnown => isKnown;
    }
}
