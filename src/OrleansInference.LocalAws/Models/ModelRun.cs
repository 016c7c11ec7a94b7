using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace OrleansInference.LocalAws.Models;

/// <summary>What a model will do with one request: drawn when it begins, so that nothing depends on timing.</summary>
/// <param name="InputTokens">Tokens read.</param>
/// <param name="OutputTokens">Tokens written.</param>
/// <param name="FirstTokenAfter">Time until the first token is written.</param>
/// <param name="Duration">Time until the last one is.</param>
/// <param name="Fails">Whether the container fails instead of finishing.</param>
internal sealed record ModelRun(int InputTokens, int OutputTokens, TimeSpan FirstTokenAfter, TimeSpan Duration, bool Fails)
{
    private const string Words = "the cat saw one old oak and ran far out for two new red hats but not any big fox can see ";

    /// <summary>The model's own custom attributes.</summary>
    public string CustomAttributes => string.Create(CultureInfo.InvariantCulture, $"input-tokens={InputTokens};output-tokens={OutputTokens}");

    /// <summary>
    /// The answer; four bytes of text per token. Its <c>usage.service_ms</c> says how long the model took, for SageMaker tells that of
    /// neither an asynchronous inference nor a record of a transform job.
    /// </summary>
    public byte[] Answer()
    {
        var text = new StringBuilder(OutputTokens * 4);
        for (var i = 0; i < OutputTokens; i++)
        {
            text.Append(Words, i % (Words.Length / 4) * 4, 4);
        }

        var answer = new ArrayBufferWriter<byte>(text.Length + 128);
        using var json = new Utf8JsonWriter(answer);
        json.WriteStartObject();
        json.WriteString("generated_text", text.ToString().TrimEnd());
        json.WriteStartObject("usage");
        json.WriteNumber("input_tokens", InputTokens);
        json.WriteNumber("output_tokens", OutputTokens);
        json.WriteNumber("service_ms", Math.Round(Duration.TotalMilliseconds, 3));
        json.WriteEndObject();
        json.WriteEndObject();
        json.Flush();
        return answer.WrittenSpan.ToArray();
    }

    /// <summary>What the container says when it fails.</summary>
    public static ContainerFault Failure() => new(500, "The simulated model failed, as its error rate asks for.");
}
