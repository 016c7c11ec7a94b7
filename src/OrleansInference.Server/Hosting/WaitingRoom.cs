using System.Net.Mime;
using OrleansInference.Configuration;

namespace OrleansInference.Hosting;

/// <summary>
/// The front door of a server that waits for what it depends on before it can start: who asks whether it lives is told so, that nobody kills and starts it again and again, and who asks for
/// anything else is told what it waits for. It gives way to the front door itself.
/// </summary>
internal sealed class WaitingRoom : IAsyncDisposable
{
    private readonly WebApplication _application;
    private volatile string _waitsFor;

    private WaitingRoom(WebApplication application, string waitsFor) => (_application, _waitsFor) = (application, waitsFor);

    /// <summary>What the server waits for, in one line.</summary>
    public string WaitsFor
    {
        get => _waitsFor;
        set => _waitsFor = value;
    }

    /// <summary>Opens it at the addresses of the front door.</summary>
    /// <exception cref="IOException">An address is taken.</exception>
    public static async Task<WaitingRoom> OpenAsync(ServerSettings settings, string waitsFor, CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(static kestrel => kestrel.AddServerHeader = false).UseUrls([.. settings.Urls]);
        var application = builder.Build();
        var room = new WaitingRoom(application, waitsFor);
        application.Run(room.AnswerAsync);
        try
        {
            await application.StartAsync(cancellationToken);
            return room;
        }
        catch
        {
            await application.DisposeAsync();
            throw;
        }
    }

    public ValueTask DisposeAsync() => _application.DisposeAsync();

    private Task AnswerAsync(HttpContext context)
    {
        var response = context.Response;

        // Whoever keeps a connection would find it closed when the front door opens.
        response.Headers.Connection = "close";
        if (context.Request.Path == "/healthz")
        {
            response.ContentType = MediaTypeNames.Text.Plain;
            return response.WriteAsync("ok", context.RequestAborted);
        }

        response.StatusCode = StatusCodes.Status503ServiceUnavailable;
        response.Headers.RetryAfter = "5";
        return response.WriteAsJsonAsync(
            new Dictionary<string, object> { ["title"] = "Unavailable", ["status"] = response.StatusCode, ["detail"] = $"The server cannot start yet: {WaitsFor}" },
            options: null,
            MediaTypeNames.Application.ProblemJson,
            context.RequestAborted);
    }
}
