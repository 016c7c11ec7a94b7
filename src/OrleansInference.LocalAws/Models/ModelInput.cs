using System.Text.Json;

namespace OrleansInference.LocalAws.Models;

/// <summary>The body that simulated models understand, as read from its JSON.</summary>
/// <param name="InputTokens">Tokens of the input: as declared, else a quarter of its bytes.</param>
/// <param name="OutputTokens">Tokens to write, if declared.</param>
/// <param name="MaxNewTokens">The most tokens the caller wants, if it says.</param>
internal readonly record struct ModelInput(int InputTokens, int? OutputTokens, int? MaxNewTokens)
{
    private const int BytesPerToken = 4;
    private const int MaxTokens = 10_000_000;

    /// <summary>Reads <c>{"inputs": …, "parameters": {"max_new_tokens": N}, "input_tokens": N, "output_tokens": N}</c>.</summary>
    /// <exception cref="ContainerFault">It is not such a body: status 400, as a container would answer.</exception>
    public static ModelInput Parse(ReadOnlyMemory<byte> body)
    {
        try
        {
            using var document = JsonDocument.Parse(body);
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("inputs", out var inputs) || inputs.ValueKind == JsonValueKind.Null)
            {
                throw new ContainerFault(400, "The body must be a JSON object with the member 'inputs'.");
            }

            var maxNewTokens = root.TryGetProperty("parameters", out var parameters) && parameters.ValueKind == JsonValueKind.Object
                ? Count(parameters, "max_new_tokens", least: 1)
                : null;
            var length = inputs.ValueKind == JsonValueKind.String ? System.Text.Encoding.UTF8.GetByteCount(inputs.GetString()!) : body.Length;
            return new(Count(root, "input_tokens", least: 0) ?? ((length + BytesPerToken - 1) / BytesPerToken), Count(root, "output_tokens", least: 0), maxNewTokens);
        }
        catch (JsonException exception)
        {
            throw new ContainerFault(400, $"The body is not JSON: {exception.Message}");
        }
    }

    private static int? Count(JsonElement element, string name, int least)
    {
        if (!element.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var count) && count >= least && count <= MaxTokens
            ? count
            : throw new ContainerFault(400, $"'{name}' must be a whole number from {least} to {MaxTokens}.");
    }
}
