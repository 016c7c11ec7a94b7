using System.Globalization;
using Microsoft.Extensions.Options;
using OrleansInference.Hosting;
using OrleansInference.Jobs;
using OrleansInference.Payloads;

namespace OrleansInference.Batch;

/// <summary>
/// The objects of a batch window: JSON-lines inputs of bounded size, and the outputs SageMaker writes beside them. Every key follows from the
/// window and its round, so writing again after a crash writes the same.
/// </summary>
internal sealed class WindowFiles(IObjectStore objects, IOptions<OrleansInferenceOptions> options)
{
    private const int Parallel = 8;

    private string Bucket => options.Value.PayloadBucket;

    public string InputPrefix(string window, WindowRecord record) => new S3Address(Bucket, Folder(window, record, "in")).ToString();

    public string OutputPrefix(string window, WindowRecord record) => new S3Address(Bucket, Folder(window, record, "out")).ToString();

    /// <summary>Writes the input objects of the round. A member whose input is gone has an empty object for a line, which its model refuses.</summary>
    public async Task WriteInputsAsync(string window, WindowRecord record, CancellationToken cancellationToken)
    {
        for (var i = 0; i < record.Objects.Count; i++)
        {
            var inputs = new StoredObject?[record.Objects[i].Count];
            var members = record.Objects[i];
            await System.Threading.Tasks.Parallel.ForAsync(
                0,
                members.Count,
                Limit(cancellationToken),
                async (k, token) => inputs[k] = await objects.GetAsync(Bucket, record.Members[members[k]].InputKey, token));

            var lines = new MemoryStream();
            foreach (var input in inputs)
            {
                lines.Write(input is null ? "{}"u8 : input.Body.Span);
                lines.WriteByte((byte)'\n');
            }

            await objects.PutAsync(Bucket, Folder(window, record, "in") + Name(i), lines.GetBuffer().AsMemory(0, (int)lines.Length), "application/jsonlines", cancellationToken);
        }
    }

    /// <summary>
    /// Reads the outputs of the round and stores each member's own result. The failure of an object names <paramref name="why"/>, and whether it may pass. What cannot be read
    /// or stored fails the call, unless it is the last: then nobody waits for it.
    /// </summary>
    public async Task<IReadOnlyList<ObjectOutcome>> CollectAsync(string window, WindowRecord record, string? why, bool mayPass, bool isLast, CancellationToken cancellationToken)
    {
        List<ObjectOutcome> outcomes = [];
        for (var i = 0; i < record.Objects.Count; i++)
        {
            try
            {
                outcomes.Add(await CollectAsync(window, record, i, why, mayPass, cancellationToken));
            }
            catch (Exception exception) when (isLast)
            {
                outcomes.Add(new(null, $"The output of the transform job could not be read: {exception.Message}", MayPass: true));
            }
        }

        return outcomes;
    }

    private async Task<ObjectOutcome> CollectAsync(string window, WindowRecord record, int index, string? why, bool mayPass, CancellationToken cancellationToken)
    {
        var members = record.Objects[index];
        if (await objects.GetAsync(Bucket, Folder(window, record, "out") + Name(index) + ".out", cancellationToken) is not { } output)
        {
            return new(null, why, mayPass);
        }

        if (Lines(output.Body, members.Count) is not { } answers)
        {
            return new(null, $"The model did not answer one line for each of the {members.Count} records of its object.");
        }

        await System.Threading.Tasks.Parallel.ForAsync(
            0,
            members.Count,
            Limit(cancellationToken),
            async (k, token) =>
            {
                if (JobAddress.TryParse(record.Members[members[k]].JobKey, out var address))
                {
                    await objects.PutAsync(Bucket, address.OutputKey, answers[k], "application/json", token);
                }
            });
        return new([.. answers.Select(AnswerUse.Read)], null);
    }

    /// <summary>Deletes everything that the window itself wrote; results belong to the jobs.</summary>
    public Task DeleteAsync(string window, WindowRecord record, CancellationToken cancellationToken) => objects.DeleteBelowAsync(Bucket, Root(window, record), cancellationToken);

    /// <summary>The lines of an output object; null if it has another number of them. A single record may be answered over several lines.</summary>
    internal static IReadOnlyList<ReadOnlyMemory<byte>>? Lines(ReadOnlyMemory<byte> body, int count)
    {
        List<ReadOnlyMemory<byte>> lines = [];
        var rest = body;
        while (!rest.IsEmpty)
        {
            var end = rest.Span.IndexOf((byte)'\n');
            var line = end < 0 ? rest : rest[..end];
            rest = end < 0 ? default : rest[(end + 1)..];
            if (line.Span.EndsWith("\r"u8))
            {
                line = line[..^1];
            }

            lines.Add(line);
        }

        if (lines.Count == count)
        {
            return lines;
        }

        return count == 1 && lines.Count > 1 ? [body] : null;
    }

    private static ParallelOptions Limit(CancellationToken cancellationToken) => new() { MaxDegreeOfParallelism = Parallel, CancellationToken = cancellationToken };

    private static string Root(string window, WindowRecord record) => $"windows/{window}/{record.Nonce}/";

    private static string Folder(string window, WindowRecord record, string kind) => string.Create(CultureInfo.InvariantCulture, $"{Root(window, record)}{record.Round}/{kind}/");

    private static string Name(int index) => string.Create(CultureInfo.InvariantCulture, $"{index:d5}.jsonl");
}
