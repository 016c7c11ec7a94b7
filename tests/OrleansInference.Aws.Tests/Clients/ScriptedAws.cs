using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OrleansInference.Aws;
using OrleansInference.Aws.Signing;

namespace OrleansInference.Tests.Clients;

/// <summary>A request as it came over the wire.</summary>
internal sealed record WireRequest(string Method, string Target, IReadOnlyDictionary<string, string> Headers, byte[] Body)
{
    public string Text => Encoding.UTF8.GetString(Body);

    public string? Header(string name) => Headers.GetValueOrDefault(name);
}

/// <summary>A server on a loopback port that checks the signature of every request, keeps it, and answers as a test says.</summary>
internal sealed class ScriptedAws : IAsyncDisposable
{
    public const string AccessKeyId = "AKIDEXAMPLE";
    public const string Secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    private readonly SigV4Verifier _verifier = new();
    private readonly List<WireRequest> _requests = [];
    private readonly Func<WireRequest, HttpContext, Task> _answer;
    private readonly WebApplication _app;
    private readonly KeptWarnings _warnings = new();
    private ServiceProvider? _clients;

    private ScriptedAws(Func<WireRequest, HttpContext, Task> answer)
    {
        _answer = answer;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0));
        _app = builder.Build();
        _app.Run(HandleAsync);
    }

    public Uri Address { get; private set; } = new("http://unset");

    public string? SignatureProblem { get; private set; }

    public string? Service { get; private set; }

    public IReadOnlyList<WireRequest> Requests
    {
        get
        {
            lock (_requests)
            {
                return [.. _requests];
            }
        }
    }

    public static Task<ScriptedAws> StartAsync(int status, string body, params (string Name, string Value)[] headers) =>
        StartAsync((_, context) => AnswerAsync(context, status, body, headers));

    public static async Task<ScriptedAws> StartAsync(Func<WireRequest, HttpContext, Task> answer)
    {
        var server = new ScriptedAws(answer);
        await server._app.StartAsync();
        server.Address = new(server._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
        return server;
    }

    public static async Task AnswerAsync(HttpContext context, int status, string body, params (string Name, string Value)[] headers)
    {
        context.Response.StatusCode = status;
        foreach (var (name, value) in headers)
        {
            context.Response.Headers[name] = value;
        }

        await context.Response.WriteAsync(body);
    }

    /// <summary>Warnings of the clients.</summary>
    public IReadOnlyList<string> Warnings => _warnings.Lines;

    public T Client<T>(Action<AwsOptions>? configure = null, IReadOnlyDictionary<string, string>? tags = null)
        where T : notnull
    {
        var options = new AwsOptions
        {
            Region = "eu-central-1",
            Endpoint = Address,
            AccessKeyId = AccessKeyId,
            SecretAccessKey = Secret,
            SessionToken = "a session/token==",
            RetryBaseDelay = TimeSpan.FromMilliseconds(1),
        };
        configure?.Invoke(options);
        _clients ??= new ServiceCollection().AddLogging(logging => logging.AddProvider(_warnings)).AddAwsClients(options, tags).BuildServiceProvider(validateScopes: true);
        return _clients.GetRequiredService<T>();
    }

    /// <summary>The one request that came, its signature checked for a service.</summary>
    public WireRequest SingleRequest(string service)
    {
        Assert.Null(SignatureProblem);
        Assert.Equal(service, Service);
        return Assert.Single(Requests);
    }

    public async ValueTask DisposeAsync()
    {
        if (_clients is not null)
        {
            await _clients.DisposeAsync();
        }

        await _app.StopAsync(new CancellationToken(canceled: true));
        await _app.DisposeAsync();
    }

    private async Task HandleAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        var target = context.Features.Get<IHttpRequestFeature>()!.RawTarget;
        var headers = context.Request.Headers.ToDictionary(h => h.Key, h => h.Value.ToString(), StringComparer.OrdinalIgnoreCase);
        var request = new WireRequest(context.Request.Method, target, headers, body.ToArray());
        lock (_requests)
        {
            _requests.Add(request);
            Verify(request);
        }

        await _answer(request, context);
    }

    private void Verify(WireRequest request)
    {
        var signed = SignedRequest.FromTarget(request.Method, request.Target, [.. request.Headers]);
        if (!SigV4Verifier.TryParse(signed, out var claim, out var problem))
        {
            SignatureProblem = problem.Message;
            return;
        }

        Service = claim.Service;
        var verification = _verifier.Verify(claim, Secret, signed, SHA256.HashData(request.Body), DateTimeOffset.UtcNow);
        if (!verification.IsValid || claim is not { AccessKeyId: AccessKeyId, Region: "eu-central-1", SessionToken: "a session/token==" })
        {
            SignatureProblem = $"{verification} for {claim.AccessKeyId} in {claim.Region}";
        }
    }
}
