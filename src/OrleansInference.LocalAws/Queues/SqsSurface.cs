using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Queues;

/// <summary>SQS: JSON 1.0.</summary>
internal sealed class SqsSurface(QueueOperations queues, MessageOperations messages) : IAwsSurface
{
    private const string Service = "AmazonSQS";

    public bool Takes(AwsRequest request) => request.Operation(Service) is not null;

    public async Task HandleAsync(AwsRequest request, CancellationToken cancellationToken)
    {
        using var document = JsonWire.Parse(await request.ReadBodyAsync(JsonWire.MaxBody, JsonWire.TooLarge, AuthenticationDialect.Json, cancellationToken));
        var input = document.RootElement;
        var operation = request.Operation(Service);
        var host = $"{request.Http.Request.Scheme}://{request.Http.Request.Host}";
        var answer = operation switch
        {
            "CreateQueue" => queues.Create(input, host),
            "GetQueueUrl" => queues.Url(input, host),
            "ListQueues" => queues.List(input, host),
            "GetQueueAttributes" => queues.Attributes(input),
            "SetQueueAttributes" => queues.SetAttributes(input),
            "ListQueueTags" => queues.Tags(input),
            "PurgeQueue" => queues.Purge(input),
            "DeleteQueue" => queues.Delete(input),
            "SendMessage" => messages.Send(input, queues.Name(input)),
            "SendMessageBatch" => messages.SendBatch(input, queues.Name(input)),
            "ReceiveMessage" => await messages.ReceiveAsync(input, queues.Name(input), cancellationToken),
            "DeleteMessage" => messages.Delete(input, queues.Name(input)),
            "DeleteMessageBatch" => messages.DeleteBatch(input, queues.Name(input)),
            "ChangeMessageVisibility" => messages.ChangeVisibility(input, queues.Name(input)),
            "ChangeMessageVisibilityBatch" => messages.ChangeVisibilityBatch(input, queues.Name(input)),
            _ => throw new AwsFault(400, "UnknownOperationException", $"The embedded AWS has no operation AmazonSQS.{operation}."),
        };
        await JsonWire.AnswerAsync(request.Http.Response, JsonWire.Json10, answer);
    }

    public async Task WriteFaultAsync(HttpResponse response, AwsFault fault)
    {
        response.Headers["x-amzn-query-error"] = $"{fault.QueryCode ?? fault.Code};{(fault.Status < 500 ? "Sender" : "Receiver")}";
        await JsonWire.AnswerAsync(response, JsonWire.Json10, new Dictionary<string, string> { ["__type"] = "com.amazonaws.sqs#" + fault.Code, ["message"] = fault.Message }, fault.Status);
    }
}
