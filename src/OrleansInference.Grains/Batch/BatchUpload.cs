using System.Buffers;
using System.Collections.Immutable;
using System.Security.Cryptography;
using OrleansInference.Hosting;
using OrleansInference.Jobs;

namespace OrleansInference.Batch;

/// <summary>Packs records into objects of bounded size and stores each as soon as it is full.</summary>
internal sealed class BatchUpload(BatchFiles files, JobAddress address, string name, OrleansInferenceOptions options)
{
    private static readonly WindowLimits Limits = new();

    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly List<BatchObject> _objects = [];
    private readonly ArrayBufferWriter<byte> _buffer = new();
    private int _count;
    private long _tokens;

    public string Name => name;

    public long Records { get; private set; }

    public long Bytes { get; private set; }

    public long Tokens { get; private set; }

    public long LargestRecord { get; private set; }

    /// <summary>Why no more is taken.</summary>
    public string? Refusal { get; private set; }

    public ImmutableArray<BatchObject> Objects => [.. _objects];

    public async ValueTask<bool> TakeAsync(ReadOnlySequence<byte> line, CancellationToken cancellationToken)
    {
        if (Records >= options.MaxBatchRecords || Bytes + line.Length > options.MaxBatchBytes)
        {
            Refusal = $"A batch has at most {options.MaxBatchRecords} records and {options.MaxBatchBytes} bytes of them; send the rest as another.";
            return false;
        }

        if (_count >= Limits.MaxObjectMembers || (_count > 0 && _buffer.WrittenCount + line.Length + 1 > Limits.MaxObjectBytes))
        {
            await FlushAsync(cancellationToken);
        }

        foreach (var part in line)
        {
            _buffer.Write(part.Span);
            _hash.AppendData(part.Span);
        }

        _buffer.Write("\n"u8);
        _hash.AppendData("\n"u8);
        var tokens = BatchBill.Tokens(line.Length);
        _count++;
        _tokens += tokens;
        Records++;
        Bytes += line.Length;
        Tokens += tokens;
        LargestRecord = Math.Max(LargestRecord, line.Length);
        return true;
    }

    public async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        if (_count == 0)
        {
            return;
        }

        await files.PutAsync(address, name, _objects.Count, _buffer.WrittenMemory, cancellationToken);
        _objects.Add(new() { Records = _count, Bytes = _buffer.WrittenCount - _count, InputTokens = _tokens });
        _buffer.ResetWrittenCount();
        (_count, _tokens) = (0, 0);
    }

    /// <summary>SHA-256 of the records so far, in hex.</summary>
    public string Hash => Convert.ToHexStringLower(_hash.GetCurrentHash());
}
