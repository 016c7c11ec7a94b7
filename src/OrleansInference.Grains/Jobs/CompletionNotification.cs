using System.Diagnostics.CodeAnalysis;
using System.Text.Json;

namespace OrleansInference.Jobs;

/// <summary>A notification that SageMaker published when an asynchronous inference ended, as it arrives in a queue: bare, or in the envelope of SNS.</summary>
internal static class CompletionNotification
{
    /// <summary>The job it is about: by inference id, else by where its output or its input is. False for anything else.</summary>
    public static bool TryFindJob([NotNullWhen(true)] string? body, out JobAddress address)
    {
        address = default;
        if (string.IsNullOrEmpty(body))
        {
            return false;
        }

        try
        {
            using var document = JsonDocument.Parse(body);
            if (Text(document.RootElement, "Message") is not { } message)
            {
                return TryFindJob(document.RootElement, out address);
            }

            using var inner = JsonDocument.Parse(message);
            return TryFindJob(inner.RootElement, out address);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // Half of a surrogate pair is JSON by its grammar, and no text.
            return false;
        }
    }

    private static bool TryFindJob(JsonElement notification, out JobAddress address) =>
        JobAddress.TryParse(Text(notification, "inferenceId"), out address)
        || JobAddress.TryFind(Text(notification, "responseParameters", "outputLocation"), out address)
        || JobAddress.TryFind(Text(notification, "responseParameters", "failureLocation"), out address)
        || JobAddress.TryFind(Text(notification, "requestParameters", "inputLocation"), out address);

    private static string? Text(JsonElement element, params ReadOnlySpan<string> path)
    {
        foreach (var name in path)
        {
            if (element.ValueKind != JsonValueKind.Object || !element.TryGetProperty(name, out element))
            {
                return null;
            }
        }

        return element.ValueKind == JsonValueKind.String ? element.GetString() : null;
    }
}
