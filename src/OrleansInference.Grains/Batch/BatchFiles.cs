using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.Options;
using OrleansInference.Hosting;
using OrleansInference.Jobs;
using OrleansInference.Latency;
using OrleansInference.Payloads;
using OrleansInference.Pricing;

namespace OrleansInference.Batch;

/// <summary>
/// The objects of batches. Everything of one upload is below one prefix: its records, which are the input of the first round, the inputs of
/// later rounds, and the outputs that SageMaker writes. Every key follows from the upload and the round, so writing again writes the same.
/// </summary>
internal sealed class BatchFiles(IObjectStore objects, IOptions<OrleansInferenceOptions> options)
{
    private const string JsonLines = "application/jsonlines";

    // Read by people, and no part of a page.
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private string Bucket => options.Value.PayloadBucket;

    /// <summary>Stores an object of an upload.</summary>
    public Task PutAsync(JobAddress batch, string upload, int index, ReadOnlyMemory<byte> lines, CancellationToken cancellationToken) =>
        objects.PutAsync(Bucket, Folder(batch, upload, 0, "in") + Name(index), lines, JsonLines, cancellationToken);

    public string InputPrefix(JobAddress batch, BatchRecord record) => new S3Address(Bucket, Folder(batch, record.Specification.Upload, record.Round, "in")).ToString();

    public string OutputPrefix(JobAddress batch, BatchRecord record) => new S3Address(Bucket, Folder(batch, record.Specification.Upload, record.Round, "out")).ToString();

    public static string OutputKey(JobAddress batch, BatchRecord record, int round, int index) => Folder(batch, record.Specification.Upload, round, "out") + Name(index) + ".out";

    /// <summary>Writes the input objects of the round; the first round's are the upload.</summary>
    public async Task WriteInputsAsync(JobAddress batch, BatchRecord record, IReadOnlyList<BatchPiece> pieces, CancellationToken cancellationToken)
    {
        if (record.Round == 0)
        {
            return;
        }

        var (source, lines) = (-1, (IReadOnlyList<ReadOnlyMemory<byte>>)[]);
        for (var i = 0; i < pieces.Count; i++)
        {
            if (pieces[i].Source != source)
            {
                source = pieces[i].Source;
                lines = await FindSourceAsync(batch, record, source, cancellationToken) ?? throw new InvalidOperationException($"Object {source} of the batch's input is gone.");
            }

            var body = new ArrayBufferWriter<byte>();
            foreach (var line in lines.Skip(pieces[i].First).Take(pieces[i].Count))
            {
                body.Write(line.Span);
                body.Write("\n"u8);
            }

            await objects.PutAsync(Bucket, Folder(batch, record.Specification.Upload, record.Round, "in") + Name(i), body.WrittenMemory, JsonLines, cancellationToken);
        }
    }

    /// <summary>Indexes of the round's objects whose output is there.</summary>
    public async Task<IReadOnlySet<int>> OutputsAsync(JobAddress batch, BatchRecord record, CancellationToken cancellationToken)
    {
        var found = new HashSet<int>();
        foreach (var key in await objects.ListAsync(Bucket, Folder(batch, record.Specification.Upload, record.Round, "out"), cancellationToken))
        {
            var name = key[(key.LastIndexOf('/') + 1)..];
            if (int.TryParse(name.AsSpan(0, name.IndexOf('.', StringComparison.Ordinal) is > 0 and var dot ? dot : 0), NumberStyles.None, CultureInfo.InvariantCulture, out var index))
            {
                found.Add(index);
            }
        }

        return found;
    }

    /// <summary>What the objects of the round came to, with the charges of their records.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="record">The batch as it stands.</param>
    /// <param name="pieces">The round's objects.</param>
    /// <param name="why">Why objects without output have none.</param>
    /// <param name="mayPass">Whether their records are not to blame for that.</param>
    /// <param name="tookMs">How long its instances were billed.</param>
    /// <param name="isLast">Whether what cannot be read is not tried again.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task<IReadOnlyList<PieceOutcome>> CollectAsync(JobAddress batch, BatchRecord record, IReadOnlyList<BatchPiece> pieces, string why, bool mayPass, long tookMs, bool isLast, CancellationToken cancellationToken)
    {
        List<PieceOutcome> outcomes = [];
        var bill = new BatchBill(record, pieces, tookMs);
        var (source, lines) = (-1, (IReadOnlyList<ReadOnlyMemory<byte>>?)null);
        for (var i = 0; i < pieces.Count; i++)
        {
            var piece = pieces[i];
            StoredObject? output;
            try
            {
                output = await objects.GetAsync(Bucket, OutputKey(batch, record, record.Round, i), cancellationToken);
            }
            catch (Exception exception) when (isLast)
            {
                outcomes.Add(new(null, $"The output of the transform job could not be read: {exception.Message}", IsUnreadable: true));
                continue;
            }

            if (output is null)
            {
                outcomes.Add(new(null, why, mayPass));
                continue;
            }

            if (WindowFiles.Lines(output.Body, piece.Count) is not { } answers)
            {
                outcomes.Add(new(null, $"The model did not answer one line for each of the {piece.Count} records of its object."));
                continue;
            }

            if (piece.Source != source)
            {
                try
                {
                    (source, lines) = (piece.Source, await FindSourceAsync(batch, record, piece.Source, cancellationToken));
                }
                catch (Exception) when (isLast)
                {
                    (source, lines) = (piece.Source, null);
                }
            }

            // Of records that somebody has deleted meanwhile, or that cannot be read, only the size of all in their object is still known.
            var mean = record.Specification.Objects[piece.Source] is var all ? all.Bytes / all.Records : 0;
            var charge = Money.Zero;
            var samples = new RecordSample[answers.Count];
            for (var k = 0; k < answers.Count; k++)
            {
                var bytes = lines?[piece.First + k].Length ?? mean;
                var use = AnswerUse.Read(answers[k]);
                charge += bill.Of(bytes, use);
                samples[k] = new(bill.SizeClassOf(bytes), use.ServiceMs);
            }

            outcomes.Add(new(charge, null) { Samples = samples });
        }

        return outcomes;
    }

    /// <summary>A run of records as result lines; of one whose output is not there (yet), nothing.</summary>
    public async Task<ReadOnlyMemory<byte>> ReadAsync(BatchRun run, CancellationToken cancellationToken)
    {
        var text = new ArrayBufferWriter<byte>();
        if (run.Failure is { } failure)
        {
            var problem = JsonSerializer.Serialize(failure, Readable);
            for (var i = 0; i < run.Count; i++)
            {
                Write(text, $"{{\"record\":{run.First + i},\"error\":{{\"code\":\"{nameof(ProblemCode.ModelError)}\",\"message\":{problem}}}}}\n");
            }
        }
        else if (run.OutputKey is { } key
            && await objects.GetAsync(Bucket, key, cancellationToken) is { } output
            && WindowFiles.Lines(output.Body, run.Count) is { } answers)
        {
            for (var i = 0; i < run.Count; i++)
            {
                Write(text, $"{{\"record\":{run.First + i},\"output\":");
                if (BatchInput.TryCompact(answers[i], out var json, out _))
                {
                    text.Write(json.Span);
                }
                else
                {
                    Write(text, JsonSerializer.Serialize(Encoding.UTF8.GetString(answers[i].Span)));
                }

                Write(text, "}\n");
            }
        }

        return text.WrittenMemory;
    }

    /// <summary>Deletes everything of an upload.</summary>
    public Task DeleteAsync(JobAddress batch, string upload, CancellationToken cancellationToken) => objects.DeleteBelowAsync(Bucket, Root(batch, upload), cancellationToken);

    /// <summary>The records of an object of the upload; null if it is gone.</summary>
    private async Task<IReadOnlyList<ReadOnlyMemory<byte>>?> FindSourceAsync(JobAddress batch, BatchRecord record, int source, CancellationToken cancellationToken)
    {
        var key = Folder(batch, record.Specification.Upload, 0, "in") + Name(source);
        var count = record.Specification.Objects[source].Records;
        return await objects.GetAsync(Bucket, key, cancellationToken) is { } found
            ? WindowFiles.Lines(found.Body, count) ?? throw new InvalidOperationException($"The batch's input object '{key}' has not its {count} records any more.")
            : null;
    }

    private static void Write(ArrayBufferWriter<byte> to, string text) => Encoding.UTF8.GetBytes(text, to);

    private static string Root(JobAddress batch, string upload) => $"batches/{batch.Tenant}/{batch.JobId}/{upload}/";

    private static string Folder(JobAddress batch, string upload, int round, string kind) => string.Create(CultureInfo.InvariantCulture, $"{Root(batch, upload)}{round}/{kind}/");

    private static string Name(int index) => string.Create(CultureInfo.InvariantCulture, $"{index:d6}.jsonl");
}

/// <summary>What the records of one round are charged.</summary>
internal sealed class BatchBill
{
    private const int BytesPerToken = 4;

    private readonly EndpointDefinition _endpoint;
    private readonly BatchSpecification _specification;
    private readonly double _slotMsPerWeight;

    public BatchBill(BatchRecord record, IReadOnlyList<BatchPiece> pieces, long tookMs)
    {
        _endpoint = record.Endpoint.Endpoint;
        _specification = record.Specification;

        // A part of an object weighs as its part of the object's records.
        var weight = pieces.Sum(piece => _specification.Objects[piece.Source] is var from ? piece.Count * (1 + (from.InputTokens / (double)from.Records)) : 0);
        var slotMs = (double)tookMs * Math.Max(1, _endpoint.MaxInstances) * Math.Max(1, _endpoint.ConcurrencyPerInstance);
        _slotMsPerWeight = weight > 0 ? slotMs / weight : 0;
    }

    /// <summary>Input tokens of a record as its size tells them.</summary>
    public static long Tokens(long bytes) => (bytes + BytesPerToken - 1) / BytesPerToken;

    /// <summary>A record's size class, as a request of its own would have it; negative if the model's form is not known.</summary>
    public int SizeClassOf(long bytes) => _specification.ModelMaxOutputTokens > 0
        ? SizeClass.Of(_specification.ModelMaxOutputTokens, (int)Math.Min(int.MaxValue, Tokens(bytes)), _specification.MaxOutputTokens)
        : -1;

    /// <summary>The most that so many records can be charged together.</summary>
    public static Money Cap(EndpointDefinition endpoint, Tariff tariff, long records, long bytes, long inputTokens, long longestCallMs, int maxOutputTokens)
    {
        try
        {
            // Each record's charge is rounded up to the next nano-dollar.
            return TariffCalculator.Charge(tariff, new()
            {
                SlotMilliseconds = checked(records * longestCallMs),
                Requests = records,
                InputTokens = inputTokens,
                OutputTokens = checked(records * maxOutputTokens),
                Bytes = checked(bytes + (records * endpoint.MaxPayloadBytes)),
            }) + Money.FromNanos(records);
        }
        catch (OverflowException)
        {
            return Money.MaxValue;
        }
    }

    /// <summary>The charge of an answered record: its use as the model tells it, else its share of the transform job's time, at most the endpoint's declared 99th percentile.</summary>
    public Money Of(long bytes, in AnswerUse answer)
    {
        var tokens = Tokens(bytes);
        var service = answer.ServiceMs > 0 ? answer.ServiceMs : Math.Min(_slotMsPerWeight * (1 + tokens), _endpoint.Prior.ServiceP99Seconds * 1000);
        var cap = TariffCalculator.ChargeCap(_endpoint.Tariff ?? new(), _specification.LongestCallMs, tokens, _specification.MaxOutputTokens, bytes + _endpoint.MaxPayloadBytes);
        return JobCharge.Of(_endpoint, tokens, bytes, answer, service, cap);
    }
}
