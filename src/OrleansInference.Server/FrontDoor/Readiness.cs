using System.Globalization;
using System.Text;
using Microsoft.Extensions.Options;
using OrleansInference.Diagnosis;
using OrleansInference.DynamoDB;
using OrleansInference.Hosting;

namespace OrleansInference.FrontDoor;

/// <summary>
/// Whether the process lives, and whether requests should be sent to it. Tables that AWS lets nobody use are told but make it no less ready: all servers share them, so that another would
/// serve no more, and what needs no table just now is served. A server that alone is cut off is not ready.
/// </summary>
internal sealed class Readiness(IGrainFactory grains, IHostApplicationLifetime lifetime, IOptionsMonitor<DynamoDBStorageOptions> state, TimeProvider time, TableHealth? tables = null)
{
    private const string HealthPath = "/healthz";
    private const string ReadyPath = "/readyz";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan TroubleCountsFor = TimeSpan.FromMinutes(1);
    private volatile bool _open;

    /// <summary>The catalog is in force: requests are welcome from now on.</summary>
    public void Open() => _open = true;

    /// <summary>Whether a request asks after the server itself: its answer is an answer, whatever its status.</summary>
    public static bool IsProbe(HttpRequest request) => request.Path == ReadyPath || request.Path == HealthPath;

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet(HealthPath, static () => Results.Text("ok")).WithTags("Health").WithName("Health").WithSummary("200 while the process lives.").Produces<string>(StatusCodes.Status200OK, "text/plain");
        routes.MapGet(ReadyPath, static (HttpContext context, Readiness readiness) => readiness.AnswerAsync(context))
            .WithTags("Health").WithName("Readiness").WithSummary("200 while requests are welcome: started, not stopping, and the catalog can be reached. Tables that cannot be used are named.").Produces<string>(StatusCodes.Status200OK, "text/plain");
    }

    private async Task AnswerAsync(HttpContext context)
    {
        if (lifetime.ApplicationStopping.IsCancellationRequested)
        {
            throw NotReady("The server is stopping.");
        }

        if (!_open)
        {
            throw NotReady("The server is starting.");
        }

        try
        {
            await grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Get().WaitAsync(Patience, context.RequestAborted);
        }
        catch (Exception exception) when (exception is TimeoutException or OrleansException)
        {
            // Without its table the catalog is out of reach for all servers alike.
            if (AwsProblem.Of(exception, isOfAws: false) is not { IsShared: true } && !IsStateRefused())
            {
                throw NotReady("The catalog cannot be reached.");
            }
        }

        await context.Response.WriteAsync(Ready(), context.RequestAborted);
    }

    /// <summary>Whether AWS itself has just refused this server the table that the catalog is in.</summary>
    private bool IsStateRefused()
    {
        var (table, since) = (state.Get(OrleansInferenceOptions.StorageName).TableName, time.GetUtcNow() - TroubleCountsFor);
        return tables is { Troubles: { Count: > 0 } troubles }
            && troubles.Any(trouble => trouble.Table == table && trouble.At > since && AwsProblem.Of(trouble.Problem) is { IsShared: true });
    }

    // Who asks needs no key, so that what AWS said in full, with accounts and roles, is for the log.
    private string Ready()
    {
        if (tables is not { Troubles: { Count: > 0 } troubles })
        {
            return "ready";
        }

        var text = new StringBuilder("ready, but what needs a table is refused with 503 (the log says more):");
        foreach (var trouble in troubles)
        {
            var detail = AwsProblem.Of(trouble.Problem)?.Detail ?? "it cannot be used";
            text.Append(CultureInfo.InvariantCulture, $"\nDynamoDB table {trouble.Table} since {trouble.Since:yyyy-MM-dd'T'HH:mm:ss'Z'}, last tried at {trouble.At:HH:mm:ss'Z'}: {detail.Split(':')[0]}");
        }

        return text.ToString();
    }

    private static RefusedException NotReady(string why) => new(Refusal.Of(ProblemCode.Unavailable, why, TimeSpan.FromSeconds(1)));
}
