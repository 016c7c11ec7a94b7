using OrleansInference.Hosting;
using OrleansInference.LocalAws.Models;
using OrleansInference.LocalAws.Objects;

namespace OrleansInference.LocalAws.Transform;

/// <summary>
/// One run of a transform job. Objects are dealt out to the instances; an object's records are sent in invocations; its output is
/// written when all of them are done, and not at all if one of them fails.
/// </summary>
internal sealed class TransformRun(TransformJobSpec spec, BatchModel model, ObjectStore objects, InvocationLog log, RouterClock clock)
{
    // Which objects failed, and what the container said, SageMaker tells in the job's log alone.
    private const string FailureReason = "ClientError: See job logs for more information";
    private volatile bool _hasFailed;

    /// <summary>Runs to the end and returns why the job failed, or null.</summary>
    public async Task<string?> RunAsync(CancellationToken cancellationToken)
    {
        var keys = Keys();
        if (keys.Count == 0)
        {
            return $"ClientError: No S3 objects found under S3 URL {spec.Input}";
        }

        // Like SageMaker, which deals the objects out to the instances.
        await Task.WhenAll(Enumerable.Range(0, spec.InstanceCount).Select(instance => ServeAsync(keys.Where((_, i) => i % spec.InstanceCount == instance), cancellationToken)));
        return _hasFailed ? FailureReason : null;
    }

    private List<string> Keys()
    {
        var keys = new List<string>();
        var from = spec.Input.Key;
        for (var including = true; ; including = false)
        {
            var page = objects.Range(spec.Input.Bucket, from, including, 1000);
            keys.AddRange(page.Select(o => o.Key).TakeWhile(k => k.StartsWith(spec.Input.Key, StringComparison.Ordinal)).Where(k => !k.EndsWith('/')));
            if (page.Count < 1000 || !page[^1].Key.StartsWith(spec.Input.Key, StringComparison.Ordinal))
            {
                return keys;
            }

            from = page[^1].Key;
        }
    }

    private async Task ServeAsync(IEnumerable<string> keys, CancellationToken cancellationToken)
    {
        // The container works on so many records at once; SageMaker sends it so many invocations at once.
        using var container = new SemaphoreSlim(model.Definition.ConcurrencyPerInstance);
        using var invocations = new SemaphoreSlim(spec.MaxConcurrentTransforms);
        await Parallel.ForEachAsync(
            keys,
            new ParallelOptions { MaxDegreeOfParallelism = spec.MaxConcurrentTransforms, CancellationToken = cancellationToken },
            async (key, cancel) => await TransformAsync(key, container, invocations, cancel));
    }

    private async Task TransformAsync(string key, SemaphoreSlim container, SemaphoreSlim invocations, CancellationToken cancellationToken)
    {
        var input = await objects.ReadAsync(spec.Input.Bucket, key, cancellationToken);
        if (input is null)
        {
            _hasFailed = true;
            return;
        }

        var outputs = new List<Task<byte[]>>();
        using var abandoned = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            outputs.AddRange(Payloads(Records(input)).Select(payload => InvokeAsync(payload, container, invocations, abandoned.Token)));
            await WhenAllOrFirstFailureAsync(outputs);
        }
        catch (ContainerFault)
        {
            // One bad record loses its whole object. Wait for what the container is still at, so that it is not counted free too early.
            await abandoned.CancelAsync();
            await Task.WhenAll(outputs.Select(o => o.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default)));
            _hasFailed = true;
            return;
        }

        var body = await ObjectBody.OfAsync(Join(outputs.Select(o => o.Result), spec.AssembleLines), objects.Files, cancellationToken);
        var relative = key.StartsWith(spec.Input.Key, StringComparison.Ordinal) && spec.Input.Key.EndsWith('/') ? key[spec.Input.Key.Length..] : key[(key.LastIndexOf('/') + 1)..];
        var prefix = spec.Output.Key.Length == 0 || spec.Output.Key.EndsWith('/') ? spec.Output.Key : spec.Output.Key + "/";
        objects.Put(spec.Output.Bucket, prefix + relative + ".out", body, new Dictionary<string, string> { ["Content-Type"] = spec.Accept ?? "application/json" });
    }

    private static async Task WhenAllOrFirstFailureAsync(List<Task<byte[]>> outputs)
    {
        await foreach (var output in Task.WhenEach(outputs))
        {
            await output;
        }
    }

    private List<ReadOnlyMemory<byte>> Records(byte[] input)
    {
        if (!spec.SplitLines)
        {
            return [input];
        }

        var records = new List<ReadOnlyMemory<byte>>();
        for (var start = 0; start < input.Length;)
        {
            var end = Array.IndexOf(input, (byte)'\n', start);
            end = end < 0 ? input.Length : end;
            var line = input.AsMemory(start, end - start);
            line = line.Length > 0 && line.Span[^1] == '\r' ? line[..^1] : line;
            if (line.Length > 0)
            {
                records.Add(line);
            }

            start = end + 1;
        }

        return records;
    }

    private List<List<ReadOnlyMemory<byte>>> Payloads(List<ReadOnlyMemory<byte>> records)
    {
        var payloads = new List<List<ReadOnlyMemory<byte>>>();
        var size = 0L;
        foreach (var record in records)
        {
            if (record.Length > spec.MaxPayloadBytes)
            {
                throw new ContainerFault(413, $"A record has {record.Length} bytes and MaxPayloadInMB allows {spec.MaxPayloadBytes}.");
            }

            if (payloads.Count == 0 || !spec.MultiRecord || size + record.Length + 1 > spec.MaxPayloadBytes)
            {
                payloads.Add([]);
                size = 0;
            }

            payloads[^1].Add(record);
            size += record.Length + 1;
        }

        return payloads;
    }

    private async Task<byte[]> InvokeAsync(List<ReadOnlyMemory<byte>> records, SemaphoreSlim container, SemaphoreSlim invocations, CancellationToken cancellationToken)
    {
        await invocations.WaitAsync(cancellationToken);
        try
        {
            for (var attempt = 0; ; attempt++)
            {
                try
                {
                    var answers = records.Select(record => AnswerAsync(record, container, cancellationToken)).ToList();
                    return Join(await Task.WhenAll(answers), withLineEnds: true);
                }
                catch (ContainerFault fault) when (fault.Status is not (>= 400 and < 500) && attempt < spec.MaxRetries)
                {
                    // The model's own failures may pass; a record that it refuses will not.
                }
            }
        }
        finally
        {
            invocations.Release();
        }
    }

    private async Task<byte[]> AnswerAsync(ReadOnlyMemory<byte> record, SemaphoreSlim container, CancellationToken cancellationToken)
    {
        using var entry = log.Open(model.Name, "TransformJob", spec.Name, customAttributes: null);
        await container.WaitAsync(cancellationToken);
        try
        {
            entry.Start();
            var run = model.Simulation.Begin(record);
            entry.Ran(run);
            var limit = TimeSpan.FromSeconds(spec.TimeoutSeconds);
            await clock.DelayAsync(run.Duration < limit ? run.Duration : limit, cancellationToken);
            if (run.Duration > limit)
            {
                throw ContainerFault.TimedOut();
            }

            if (run.Fails)
            {
                throw ModelRun.Failure();
            }

            entry.End("Completed");
            return run.Answer();
        }
        catch (ContainerFault)
        {
            entry.End("ModelError");
            throw;
        }
        finally
        {
            entry.Dispose();
            container.Release();
        }
    }

    private static byte[] Join(IEnumerable<byte[]> parts, bool withLineEnds)
    {
        using var joined = new MemoryStream();
        foreach (var part in parts)
        {
            if (withLineEnds && joined.Length > 0)
            {
                joined.WriteByte((byte)'\n');
            }

            joined.Write(part);
        }

        return joined.ToArray();
    }
}
