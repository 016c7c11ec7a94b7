using System.Text.Json;
using OrleansInference.LocalAws.Models;

namespace OrleansInference.LocalAws.Wire;

/// <summary><c>GET /_local/invocations</c>: what was invoked, unsigned, for those who check from outside what a router did.</summary>
internal sealed class RecordSurface(SimulatedModels models, InvocationLog log) : IAwsSurface
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    public bool Takes(AwsRequest request) => request.Path.StartsWith("/_local/", StringComparison.Ordinal);

    public async Task HandleAsync(AwsRequest request, CancellationToken cancellationToken)
    {
        if (request.Method != "GET" || request.Path != "/_local/invocations")
        {
            throw new AwsFault(404, "NotFound", "There is GET /_local/invocations here, and nothing else.");
        }

        var endpoints = models.Endpoints.Select(e => new { e.Name, e.Lane, Instances = e.Instances.State });
        var answer = JsonSerializer.SerializeToUtf8Bytes(new { Endpoints = endpoints, Counts = log.Counts(), Records = log.Records() }, Json);
        request.Http.Response.ContentType = "application/json";
        await request.Http.Response.Body.WriteAsync(answer, cancellationToken);
    }

    public Task WriteFaultAsync(HttpResponse response, AwsFault fault) => JsonWire.AnswerAsync(response, "application/json", new { message = fault.Message }, fault.Status);
}
