namespace OrleansInference.FrontDoor;

/// <summary>Whether the process lives, and whether requests should be sent to it.</summary>
internal sealed class Readiness(IGrainFactory grains, IHostApplicationLifetime lifetime)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);
    private volatile bool _open;

    /// <summary>The catalog is in force: requests are welcome from now on.</summary>
    public void Open() => _open = true;

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/healthz", static () => Results.Text("ok")).WithTags("Health").WithName("Health").WithSummary("200 while the process lives.").Produces<string>(StatusCodes.Status200OK, "text/plain");
        routes.MapGet("/readyz", static (HttpContext context, Readiness readiness) => readiness.AnswerAsync(context))
            .WithTags("Health").WithName("Readiness").WithSummary("200 while requests are welcome: started, not stopping, and the catalog can be reached.").Produces<string>(StatusCodes.Status200OK, "text/plain");
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
            throw NotReady("The catalog cannot be reached.");
        }

        await context.Response.WriteAsync("ready", context.RequestAborted);
    }

    private static RefusedException NotReady(string why) => new(Refusal.Of(ProblemCode.Unavailable, why, TimeSpan.FromSeconds(1)));
}
