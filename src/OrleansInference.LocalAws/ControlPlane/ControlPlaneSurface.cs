using System.Text.Json;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.ControlPlane;

/// <summary>The control plane of SageMaker: JSON 1.1.</summary>
internal sealed class ControlPlaneSurface(EndpointOperations endpoints, TransformOperations transforms) : IAwsSurface
{
    private const string Service = "SageMaker";

    public bool Takes(AwsRequest request) => request.Operation(Service) is not null;

    public async Task HandleAsync(AwsRequest request, CancellationToken cancellationToken)
    {
        using var input = JsonWire.Parse(await request.ReadBodyAsync(JsonWire.MaxBody, JsonWire.TooLarge, AuthenticationDialect.Json, cancellationToken));
        var operation = request.Operation(Service);
        Func<JsonElement, object> handle = operation switch
        {
            "DescribeEndpoint" => endpoints.Describe,
            "ListEndpoints" => endpoints.List,
            "UpdateEndpointWeightsAndCapacities" => endpoints.Update,
            "DescribeModel" => transforms.DescribeModel,
            "CreateTransformJob" => transforms.Create,
            "DescribeTransformJob" => transforms.Describe,
            "StopTransformJob" => transforms.Stop,
            _ => throw new AwsFault(400, "UnknownOperationException", $"The embedded AWS has no operation SageMaker.{operation}."),
        };
        await JsonWire.AnswerAsync(request.Http.Response, JsonWire.Json11, handle(input.RootElement));
    }

    public async Task WriteFaultAsync(HttpResponse response, AwsFault fault)
    {
        response.Headers["x-amzn-ErrorType"] = fault.Code;
        await JsonWire.AnswerAsync(response, JsonWire.Json11, new Dictionary<string, string> { ["__type"] = fault.Code, ["message"] = fault.Message, ["Message"] = fault.Message }, fault.Status);
    }
}
