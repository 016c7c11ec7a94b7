using System.Collections.Concurrent;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using OrleansInference.Webhooks;

namespace OrleansInference.Tests.Jobs;

/// <summary>What was posted.</summary>
internal sealed record Posted(string Path, string Id, long Timestamp, string Signature, byte[] Body)
{
    public bool IsSignedWith(string secret) => Signature.Split(' ').Contains(WebhookSignature.Sign([secret], Id, Timestamp, Body));

    public string Text => Encoding.UTF8.GetString(Body);
}

/// <summary>A receiver of webhooks on loopback, which answers as it is told.</summary>
internal sealed class WebhookReceiver : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ConcurrentQueue<Posted> _posts = new();
    private int _under;
    private int _mostUnder;

    private WebhookReceiver(WebApplication app) => _app = app;

    /// <summary>The status of the answer to each post by its number, from 1.</summary>
    public Func<int, int> Answer { get; set; } = static _ => 200;

    /// <summary>While it is not complete, posts to <c>/slow</c> are not answered.</summary>
    public TaskCompletionSource Slow { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public IReadOnlyList<Posted> Posts => [.. _posts];

    public int UnderWay => Volatile.Read(ref _under);

    public int MostUnderWay => Volatile.Read(ref _mostUnder);

    public string UrlOf(string path) => _app.Urls.First() + path;

    public static async Task<WebhookReceiver> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        var receiver = new WebhookReceiver(app);
        app.Run(receiver.TakeAsync);
        await app.StartAsync();
        return receiver;
    }

    public async ValueTask DisposeAsync()
    {
        Slow.TrySetResult();
        await _app.DisposeAsync();
    }

    private async Task TakeAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        var headers = context.Request.Headers;
        var post = new Posted(
            context.Request.Path,
            headers[WebhookSignature.IdHeader].ToString(),
            long.Parse(headers[WebhookSignature.TimestampHeader].ToString(), System.Globalization.CultureInfo.InvariantCulture),
            headers[WebhookSignature.SignatureHeader].ToString(),
            body.ToArray());
        int number;
        lock (_posts)
        {
            _posts.Enqueue(post);
            number = _posts.Count;
            _mostUnder = Math.Max(_mostUnder, ++_under);
        }

        try
        {
            if (post.Path == "/slow")
            {
                await Slow.Task.WaitAsync(context.RequestAborted);
            }

            context.Response.StatusCode = Answer(number);
            if (context.Response.StatusCode is >= 300 and < 400)
            {
                context.Response.Headers.Location = UrlOf("/elsewhere");
            }
        }
        catch (OperationCanceledException)
        {
            // The sender did not wait.
        }
        finally
        {
            Interlocked.Decrement(ref _under);
        }
    }
}
