using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using OrleansInference.Audit;

namespace OrleansInference.Demo;

/// <summary>What the front door answered to one request.</summary>
/// <param name="Lane">The lane; null if the request was refused before one was chosen.</param>
/// <param name="Endpoint">The endpoint; empty likewise.</param>
/// <param name="Charge">What was charged; zero for a job that has not ended.</param>
/// <param name="JobId">Set if the answer comes later.</param>
/// <param name="Problem">Set if there is neither answer nor job: its code.</param>
internal readonly record struct DemoAnswer(Lane? Lane, string Endpoint, Money Charge, string? JobId, string? Problem);

/// <summary>One tenant's line of the audit summary.</summary>
internal sealed record AuditLine
{
    /// <summary>Who paid.</summary>
    public required TenantId Tenant { get; init; }

    /// <summary>Ended reservations.</summary>
    public long Records { get; init; }

    /// <summary>Sum of the charges.</summary>
    public Money Charged { get; init; }

    /// <summary>Of them those of requests that had arrived in an earlier run of the server; null if there are none.</summary>
    public AuditCarriedOver? CarriedOver { get; init; }
}

/// <summary>Speaks HTTP with the demo's own front door, as any caller would.</summary>
internal sealed class DemoClient : IDisposable
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    // English prose of about four bytes a token, as the simulated models count.
    private const string Prose = "the ferry left the harbour late that evening and the lamps along the quay were lit one by one while people waited for news ";

    private readonly HttpClient _http;
    private readonly string _adminKey;

    public DemoClient(Uri frontDoor, string adminKey)
    {
        _adminKey = adminKey;
        _http = new(new SocketsHttpHandler { PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1), UseProxy = false })
        {
            BaseAddress = frontDoor,
            Timeout = TimeSpan.FromMinutes(5),
        };
    }

    /// <summary>Sends one request of the replay.</summary>
    public async Task<DemoAnswer> InvokeAsync(string apiKey, DemoRequest request, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, $"/v1/models/{request.Model}/invocations") { Content = Body(request) };
        message.Headers.Authorization = new("Bearer", apiKey);
        message.Headers.Add("X-Inference-Class", request.Class.ToString());
        message.Headers.Add("X-Inference-Input-Tokens", Invariant($"{request.InputTokens}"));
        message.Headers.Add("X-Inference-Max-Output-Tokens", Invariant($"{request.MaxOutputTokens}"));
        if (request.TakesJob)
        {
            message.Headers.Add("Prefer", "respond-async");
        }

        using var response = await _http.SendAsync(message, cancellationToken);
        Lane? lane = Enum.TryParse<Lane>(Header(response, "X-Inference-Lane"), ignoreCase: true, out var parsed) ? parsed : null;
        var endpoint = Header(response, "X-Inference-Endpoint") ?? "";
        var charge = Money.TryParse(Header(response, "X-Inference-Charge"), out var stated) ? stated : Money.Zero;
        if (response.StatusCode == HttpStatusCode.Accepted)
        {
            return new(lane, endpoint, Money.Zero, Header(response, "X-Inference-Job-Id") ?? throw new InvalidDataException("An accepted job came without X-Inference-Job-Id."), null);
        }

        return response.IsSuccessStatusCode
            ? new(lane ?? throw new InvalidDataException("An answer came without X-Inference-Lane."), endpoint, charge, null, null)
            : new(lane, endpoint, charge, null, await ProblemCodeAsync(response, cancellationToken));
    }

    /// <summary>A job, waiting for its end for at most <paramref name="waitSeconds"/>; null if there is none of that id.</summary>
    public Task<JobView?> GetJobAsync(string apiKey, string jobId, int waitSeconds, CancellationToken cancellationToken) =>
        GetAsync<JobView>($"/v1/jobs/{jobId}", apiKey, cancellationToken, waitSeconds);

    /// <summary>A tenant's budget.</summary>
    public async Task<BudgetView> GetBudgetAsync(string apiKey, TenantId tenant, CancellationToken cancellationToken) =>
        await GetAsync<BudgetView>($"/v1/tenants/{tenant}/budget", apiKey, cancellationToken) ?? throw new InvalidDataException($"Tenant {tenant} has no ledger.");

    /// <summary>An endpoint as it stands.</summary>
    public async Task<EndpointView> GetEndpointAsync(EndpointName endpoint, CancellationToken cancellationToken) =>
        await GetAsync<EndpointView>($"/v1/endpoints/{endpoint}", _adminKey, cancellationToken) ?? throw new InvalidDataException($"Endpoint {endpoint} is not known.");

    /// <summary>Issues a key pair to a tenant.</summary>
    public async Task<IssuedKey> IssueKeyAsync(TenantId tenant, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, $"/v1/admin/tenants/{tenant}/keys");
        message.Headers.Authorization = new("Bearer", _adminKey);
        using var response = await _http.SendAsync(message, cancellationToken);
        await RequireSuccessAsync(response, cancellationToken);
        return (await response.Content.ReadFromJsonAsync<IssuedKey>(Json, cancellationToken))!;
    }

    /// <summary>The audit log's sums by tenant, after everything is durable.</summary>
    public async Task<IReadOnlyList<AuditLine>> GetAuditAsync(CancellationToken cancellationToken)
    {
        using var document = await GetAsync<JsonDocument>("/v1/admin/audit/summary", _adminKey, cancellationToken)
            ?? throw new InvalidDataException("There is no audit summary.");
        return document.RootElement.GetProperty("tenants").Deserialize<AuditLine[]>(Json)!;
    }

    /// <summary>Whether the server says that it is ready.</summary>
    public async Task<bool> IsReadyAsync(CancellationToken cancellationToken)
    {
        using var response = await _http.GetAsync("/readyz", cancellationToken);
        return response.IsSuccessStatusCode;
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private async Task<T?> GetAsync<T>(string path, string key, CancellationToken cancellationToken, int waitSeconds = 0)
        where T : class
    {
        using var message = new HttpRequestMessage(HttpMethod.Get, path);
        message.Headers.Authorization = new("Bearer", key);
        if (waitSeconds > 0)
        {
            message.Headers.Add("Prefer", Invariant($"wait={waitSeconds}"));
        }

        using var response = await _http.SendAsync(message, cancellationToken);
        if (response.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }

        await RequireSuccessAsync(response, cancellationToken);
        return await response.Content.ReadFromJsonAsync<T>(Json, cancellationToken);
    }

    private static async Task RequireSuccessAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        if (!response.IsSuccessStatusCode)
        {
            var text = await response.Content.ReadAsStringAsync(cancellationToken);
            throw new HttpRequestException(Invariant($"{response.RequestMessage!.RequestUri!.AbsolutePath} answered {(int)response.StatusCode}: {text}"), null, response.StatusCode);
        }
    }

    private static async Task<string> ProblemCodeAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        try
        {
            using var document = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(cancellationToken));
            return document.RootElement.TryGetProperty("code", out var code) && code.GetString() is { } text ? text : Invariant($"Http{(int)response.StatusCode}");
        }
        catch (JsonException)
        {
            return Invariant($"Http{(int)response.StatusCode}");
        }
    }

    private static ByteArrayContent Body(in DemoRequest request)
    {
        var text = new StringBuilder("{\"inputs\":\"", (request.InputTokens * 4) + 128);
        for (var left = request.InputTokens * 4; left > 0; left -= Prose.Length)
        {
            text.Append(Prose.AsSpan(0, Math.Min(left, Prose.Length)));
        }

        text.Append(Invariant($"\",\"parameters\":{{\"max_new_tokens\":{request.MaxOutputTokens}}},\"input_tokens\":{request.InputTokens},\"output_tokens\":{request.OutputTokens}}}"));
        return new(Encoding.UTF8.GetBytes(text.ToString())) { Headers = { ContentType = new("application/json") } };
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out var values) ? values.FirstOrDefault() : null;
}
