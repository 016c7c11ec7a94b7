using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace OrleansInference.Batch;

/// <summary>The input of the batch lane: one line of JSON.</summary>
internal static class BatchInput
{
    private static readonly JsonWriterOptions OneLine = new() { Indented = false, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The same JSON without line breaks between its tokens; false with the reason if the body is not one JSON value.</summary>
    public static bool TryCompact(ReadOnlyMemory<byte> body, out ReadOnlyMemory<byte> line, [NotNullWhen(false)] out string? problem)
    {
        try
        {
            using var document = JsonDocument.Parse(body);
            var buffer = new ArrayBufferWriter<byte>(Math.Max(64, body.Length));
            using (var writer = new Utf8JsonWriter(buffer, OneLine))
            {
                document.RootElement.WriteTo(writer);
            }

            line = buffer.WrittenMemory;
            problem = null;
            return true;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            line = default;
            problem = $"The batch lane takes a body of one JSON value: {exception.Message}";
            return false;
        }
    }
}
