using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace OrleansInference.DynamoDB.Tests.Servers;

/// <summary>Stands before the embedded AWS and refuses what a test wants refused, in the words of AWS' protocols with JSON.</summary>
internal sealed class AwsProxy : IAsyncDisposable
{
    private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false });
    private readonly WebApplication _application;
    private readonly Uri _behind;

    private AwsProxy(Uri behind, WebApplication application) => (_behind, _application) = (behind, application);

    public Uri Address => new(_application.Urls.First());

    /// <summary>What is answered instead, by the operation: the end of X-Amz-Target, else the end of the path; null: what AWS answers.</summary>
    public Func<string, (int Status, string Code, string Message)?> Refusals { get; set; } = static _ => null;

    public static async Task<AwsProxy> StartAsync(Uri behind)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var application = builder.Build();
        var proxy = new AwsProxy(behind, application);
        application.Run(proxy.ServeAsync);
        await application.StartAsync();
        return proxy;
    }

    public async ValueTask DisposeAsync()
    {
        await _application.DisposeAsync();
        _http.Dispose();
    }

    private async Task ServeAsync(HttpContext context)
    {
        var target = context.Request.Headers["X-Amz-Target"].ToString();
        var path = context.Request.Path.Value!;
        if (Refusals(target.Length > 0 ? target[(target.IndexOf('.', StringComparison.Ordinal) + 1)..] : path[(path.LastIndexOf('/') + 1)..]) is { } refusal)
        {
            context.Response.StatusCode = refusal.Status;
            context.Response.Headers["x-amzn-ErrorType"] = refusal.Code;
            await context.Response.WriteAsync(JsonSerializer.Serialize(new Dictionary<string, string> { ["__type"] = refusal.Code, ["message"] = refusal.Message }));
            return;
        }

        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        using var request = new HttpRequestMessage(new(context.Request.Method), new Uri(_behind, path + context.Request.QueryString)) { Content = new ByteArrayContent(body.ToArray()) };
        foreach (var (name, values) in context.Request.Headers)
        {
            _ = request.Headers.TryAddWithoutValidation(name, values.ToArray()) || request.Content.Headers.TryAddWithoutValidation(name, values.ToArray());
        }

        using var response = await _http.SendAsync(request);
        context.Response.StatusCode = (int)response.StatusCode;
        foreach (var (name, values) in response.Headers.NonValidated.Concat(response.Content.Headers.NonValidated).Where(static header => header.Key is not "Transfer-Encoding"))
        {
            context.Response.Headers[name] = values.ToString();
        }

        await response.Content.CopyToAsync(context.Response.Body);
    }
}
