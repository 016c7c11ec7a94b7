using System.Text.Json;
using OrleansInference.LocalAws.Objects;

namespace OrleansInference.LocalAws.Inference;

/// <summary>The notification of an asynchronous inference, inside the envelope that SNS gives it on its way to SQS.</summary>
internal static class AsyncNotification
{
    public static string Envelope(AsyncCall call, long received, long now, string? failure, LocalAwsOptions options)
    {
        var topic = $"arn:aws:sns:{options.Region}:{LocalAwsOptions.AccountId}:{call.Endpoint}-{(failure is null ? "success" : "error")}";
        return JsonSerializer.Serialize(new Dictionary<string, object>
        {
            ["Type"] = "Notification",
            ["MessageId"] = Guid.NewGuid().ToString(),
            ["TopicArn"] = topic,
            ["Message"] = Message(call, received, now, failure, options),
            ["Timestamp"] = S3Xml.Time(now),
            ["SignatureVersion"] = "1",
        });
    }

    private static string Message(AsyncCall call, long received, long now, string? failure, LocalAwsOptions options)
    {
        var message = new Dictionary<string, object>
        {
            ["awsRegion"] = options.Region,
            ["eventTime"] = S3Xml.Time(now),
            ["receivedTime"] = S3Xml.Time(received),
            ["invocationStatus"] = failure is null ? "Completed" : "Failed",
            ["requestParameters"] = new Dictionary<string, string?>
            {
                ["contentType"] = call.ContentType,
                ["customAttributes"] = call.CustomAttributes,
                ["endpointName"] = call.Endpoint,
                ["inputLocation"] = call.StatedInputLocation,
            },
            ["responseParameters"] = failure is null
                ? new Dictionary<string, string> { ["contentType"] = "application/json", ["outputLocation"] = call.OutputLocation.ToString() }
                : new Dictionary<string, string> { ["contentType"] = "text/plain", ["failureLocation"] = call.FailureLocation.ToString() },
            ["inferenceId"] = call.InferenceId,
            ["eventVersion"] = "1.0",
            ["eventSource"] = "aws:sagemaker",
            ["eventName"] = "InferenceResult",
        };
        if (failure is not null)
        {
            message["failureReason"] = failure;
        }

        return JsonSerializer.Serialize(message);
    }
}
