using System.Text.Json;
using System.Text.Json.Nodes;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Tables;

/// <summary>DynamoDB: JSON 1.0, answered by a dynalite.</summary>
/// <param name="behind">Address of the dynalite; null: there is none.</param>
internal sealed class DynamoSurface(Uri? behind) : IAwsSurface, IDisposable
{
    // A batch of writes has 16 MB.
    private const int MaxBody = 16 << 20;
    private readonly DynaliteTables? _tables = behind is null ? null : new(behind);

    public bool Takes(AwsRequest request) => request.Operation(DynaliteTables.Service) is not null;

    public async Task HandleAsync(AwsRequest request, CancellationToken cancellationToken)
    {
        var operation = request.Operation(DynaliteTables.Service)!;
        var body = Parse(await request.ReadBodyAsync(MaxBody, static () => new(413, "RequestEntityTooLargeException", $"The body is larger than the {MaxBody} bytes that one operation may have."), AuthenticationDialect.Json, cancellationToken));
        if (_tables is null)
        {
            throw new AwsFault(400, "UnknownOperationException", $"The embedded AWS has no tables, and so no operation {operation}. Start it by local-aws --dynalite with the address of a dynalite, which it puts itself before.");
        }

        try
        {
            var (status, answer) = await _tables.CallAsync(operation, body, request.Http.Request.Headers, cancellationToken);
            await JsonWire.AnswerAsync(request.Http.Response, JsonWire.Json10, answer, status);
        }
        catch (HttpRequestException exception)
        {
            throw new AwsFault(500, "InternalServerError", $"The dynalite at {behind} cannot be reached: {exception.Message}. Start it, such as by npx dynalite --port {behind!.Port}.");
        }
    }

    public Task WriteFaultAsync(HttpResponse response, AwsFault fault) => JsonWire.AnswerAsync(response, JsonWire.Json10, DynaliteTables.Error(fault.Code, fault.Message), fault.Status);

    public void Dispose() => _tables?.Dispose();

    private static JsonObject Parse(byte[] body)
    {
        try
        {
            return JsonNode.Parse(body) as JsonObject ?? throw new AwsFault(400, "SerializationException", "The body must be a JSON object.");
        }
        catch (JsonException exception)
        {
            throw new AwsFault(400, "SerializationException", $"The body is not JSON: {exception.Message}");
        }
    }
}
