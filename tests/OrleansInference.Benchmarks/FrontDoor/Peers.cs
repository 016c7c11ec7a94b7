using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Yarp.ReverseProxy.Configuration;

namespace OrleansInference.Benchmarks.FrontDoor;

/// <summary>What runs beside the router in processes of its own: a backend that answers at once, and a proxy that only passes on.</summary>
internal static class Peers
{
    public const string Backend = "backend";
    public const string Proxy = "proxy";

    /// <summary>The body that every request is answered with, in a form that every gateway takes.</summary>
    private static readonly byte[] Answer = Encoding.UTF8.GetBytes(
        """{"id":"1","object":"chat.completion","created":1700000000,"model":"chat","choices":[{"index":0,"message":{"role":"assistant","content":"Yes."},"finish_reason":"stop"}],"usage":{"prompt_tokens":374,"completion_tokens":44,"total_tokens":418}}""");

    private static readonly byte[] Description = Encoding.UTF8.GetBytes(
        """{"EndpointName":"chat-rt","EndpointStatus":"InService","ProductionVariants":[{"VariantName":"AllTraffic","CurrentInstanceCount":4,"DesiredInstanceCount":4}]}""");

    /// <summary>Runs until the process is ended.</summary>
    public static Task RunAsync(string role, string address, string? backend) => role == Backend ? RunBackendAsync(address) : RunProxyAsync(address, backend!);

    private static async Task RunBackendAsync(string address)
    {
        await using var application = Builder(address).Build();
        application.Run(static async context =>
        {
            var isControl = context.Request.Headers.TryGetValue("X-Amz-Target", out var target);
            if (isControl && target != "SageMaker.DescribeEndpoint")
            {
                context.Response.StatusCode = StatusCodes.Status400BadRequest;
                return;
            }

            await context.Request.BodyReader.CopyToAsync(Stream.Null);
            var body = isControl ? Description : Answer;
            context.Response.ContentType = "application/json";
            context.Response.ContentLength = body.Length;
            context.Response.Headers["X-Amzn-SageMaker-Custom-Attributes"] = "input-tokens=374;output-tokens=44";
            await context.Response.Body.WriteAsync(body);
        });
        await application.RunAsync();
    }

    private static async Task RunProxyAsync(string address, string backend)
    {
        var builder = Builder(address);
        builder.Services.AddReverseProxy().LoadFromMemory(
            [new RouteConfig { RouteId = "all", ClusterId = "backend", Match = new() { Path = "{**all}" } }],
            [new ClusterConfig { ClusterId = "backend", Destinations = new Dictionary<string, DestinationConfig> { ["only"] = new() { Address = backend } } }]);
        await using var application = builder.Build();
        application.MapReverseProxy();
        await application.RunAsync();
    }

    private static WebApplicationBuilder Builder(string address)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(address);
        return builder;
    }
}
