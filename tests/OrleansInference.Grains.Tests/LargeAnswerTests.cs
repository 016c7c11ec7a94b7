using Microsoft.Extensions.Options;
using OrleansInference.Hosting;
using OrleansInference.Jobs;
using OrleansInference.Payloads;

namespace OrleansInference.Tests;

/// <summary>An answer of SageMaker's largest is never in memory because a job has ended: only whoever fetches it reads it.</summary>
public sealed class LargeAnswerTests
{
    private const long Gigabyte = 1_000_000_000;

    [Fact]
    public async Task A_job_with_a_very_large_answer_succeeds_and_is_charged_for_its_bytes_without_reading_it()
    {
        var clock = new RouterClock(TimeProvider.System);
        var now = clock.Now;
        var machine = new JobMachine(
            new()
            {
                JobId = "a",
                Specification = new()
                {
                    Request = new() { Tenant = new("acme"), Model = new("chat") },
                    Route = new() { DecisionId = "d", Class = TrafficClass.Medium, Lane = Lane.Async, Endpoint = new("chat-async"), Variant = new("full"), ChargeCap = Money.FromDollars(1) },
                    InputKey = "k",
                    AcceptedAt = now,
                    Deadline = now + 60_000,
                    BodyHash = "aa",
                },
                Endpoint = new()
                {
                    Model = new("chat"),
                    Variant = new("full"),
                    Endpoint = new() { Name = new("chat-async"), Lane = Lane.Async, Tariff = new() { PerGigabyte = Money.FromDollars(0.5m) } },
                },
                ReservationId = "r",
            },
            new());
        machine.Dispatched("s3://b/answer", null, now);
        await new AsyncLane(null!, new Store(Gigabyte), clock, Options.Create(new OrleansInferenceOptions())).CheckAsync(new(new("acme"), "a"), machine, CancellationToken.None);
        Assert.Equal((JobState.Succeeded, "s3://b/answer", "video/mp4"), (machine.Record.Ending!.State, machine.Record.Ending.OutputLocation, machine.Record.Ending.ContentType));
        Assert.InRange(machine.Record.Ending.Charge.ToDollars(), 0.46m, 0.5m);
    }

    [Theory]
    [InlineData(Gigabyte, false)]
    [InlineData(JobReply.MaxBytes + 1, false)]
    [InlineData(1_000, true)]
    public async Task A_reply_brings_a_result_only_if_it_is_small_and_reads_no_other(long bytes, bool brings)
    {
        var queue = new Queue();
        await new JobReplies(queue, new Store(bytes)).SendAsync(new() { State = "Succeeded", OutputLocation = "s3://b/answer" }, "answers", null, CancellationToken.None);
        Assert.Equal(brings, queue.Sent!.Contains("\"base64\"", StringComparison.Ordinal));
        Assert.Contains("s3://b/answer", queue.Sent, StringComparison.Ordinal);
        Assert.Contains("video/mp4", queue.Sent, StringComparison.Ordinal);
    }

    /// <summary>One object, which is not read whole.</summary>
    private sealed class Store(long bytes) : IObjectStore
    {
        public Task<StoredObject?> GetAsync(string bucket, string key, long mostBytes, CancellationToken cancellationToken) =>
            Task.FromResult<StoredObject?>(new(bytes <= mostBytes ? Enumerable.Repeat((byte)0xff, (int)bytes).ToArray() : default, "video/mp4") { Length = bytes });

        public Task<StoredObject?> GetAsync(string bucket, string key, CancellationToken cancellationToken) => throw new NotSupportedException("it is read whole");

        public Task PutAsync(string bucket, string key, ReadOnlyMemory<byte> body, string contentType, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<bool> ExistsAsync(string bucket, string key, CancellationToken cancellationToken) => Task.FromResult(true);

        public Task DeleteAsync(string bucket, string key, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<IReadOnlyList<string>> ListAsync(string bucket, string prefix, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task EnsureBucketAsync(string bucket, CancellationToken cancellationToken) => Task.CompletedTask;
    }

    private sealed class Queue : IMessageQueue
    {
        public string? Sent { get; private set; }

        public Task<string?> ResolveAsync(string queueName, bool create, CancellationToken cancellationToken) => Task.FromResult<string?>(queueName);

        public Task SendAsync(string queueUrl, string body, IReadOnlyDictionary<string, MessageAttribute> attributes, CancellationToken cancellationToken)
        {
            Sent = body;
            return Task.CompletedTask;
        }

        public Task<IReadOnlyList<QueueMessage>> ReceiveAsync(string queueUrl, int max, TimeSpan wait, TimeSpan visibility, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task DeleteAsync(string queueUrl, string receiptHandle, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task ChangeVisibilityAsync(string queueUrl, string receiptHandle, TimeSpan visibility, CancellationToken cancellationToken) => throw new NotSupportedException();
    }
}
