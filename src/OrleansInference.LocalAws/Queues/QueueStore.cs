using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.Data.Sqlite;
using OrleansInference.LocalAws.Storage;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Queues;

/// <summary>A message as a receiver gets it.</summary>
internal sealed record StoredMessage(long Id, string MessageId, string Body, JsonElement? Attributes, long Sent, int Receipts, long FirstReceipt, string Receipt);

/// <summary>How many messages a queue has.</summary>
internal readonly record struct QueueCounts(long Visible, long InFlight, long Delayed);

/// <summary>
/// Queues and their messages. A change is durable when its method returns. Times are Unix ms of the wall clock: receiving and
/// handling a message is real work that no fast clock speeds up.
/// </summary>
internal sealed class QueueStore(LocalDatabase database, TimeProvider timeProvider)
{
    private readonly ConcurrentDictionary<string, TaskCompletionSource> _arrivals = new(StringComparer.Ordinal);

    private long Now => timeProvider.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Creates a queue; false if it exists.</summary>
    /// <exception cref="AwsFault">It exists with other attributes.</exception>
    public bool Create(string name, IReadOnlyDictionary<string, string> attributes)
    {
        if (Find(name) is not { } existing)
        {
            return database.Execute("INSERT INTO queue VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING", name, Now, JsonSerializer.Serialize(QueueAttributes.WithDefaults(attributes))) == 1;
        }

        if (attributes.FirstOrDefault(a => existing.GetValueOrDefault(a.Key) != a.Value) is { Key: { } differing })
        {
            throw new AwsFault(400, "QueueNameExists", $"A queue of the name {name} exists with another value of {differing}.") { QueryCode = "QueueAlreadyExists" };
        }

        return false;
    }

    public List<string> Names() => database.Query("SELECT name FROM queue ORDER BY name", row => row.GetString(0));

    /// <summary>The attributes that can be set; null if there is no such queue.</summary>
    public Dictionary<string, string>? Find(string name) =>
        database.Scalar<string>("SELECT attributes FROM queue WHERE name = ?1", name) is { } json ? JsonSerializer.Deserialize<Dictionary<string, string>>(json) : null;

    public void SetAttributes(string name, IReadOnlyDictionary<string, string> attributes) => database.Atomically(() =>
    {
        var all = Find(name) ?? [];
        foreach (var (key, value) in attributes)
        {
            all[key] = value;
        }

        return database.Execute("UPDATE queue SET attributes = ?2 WHERE name = ?1", name, JsonSerializer.Serialize(all));
    });

    public long CreatedAt(string name) => database.Scalar<long>("SELECT created FROM queue WHERE name = ?1", name);

    public QueueCounts Count(string name)
    {
        var now = Now;
        return new(
            database.Scalar<long>("SELECT COUNT(*) FROM message WHERE queue = ?1 AND visible <= ?2", name, now),
            database.Scalar<long>("SELECT COUNT(*) FROM message WHERE queue = ?1 AND visible > ?2 AND receipts > 0", name, now),
            database.Scalar<long>("SELECT COUNT(*) FROM message WHERE queue = ?1 AND visible > ?2 AND receipts = 0", name, now));
    }

    public void Delete(string name)
    {
        Purge(name);
        database.Execute("DELETE FROM queue WHERE name = ?1", name);
    }

    public void Purge(string name) => database.Execute("DELETE FROM message WHERE queue = ?1", name);

    /// <summary>Sends a message and returns its id.</summary>
    public string Send(string queue, string body, string? attributes, TimeSpan delay)
    {
        var id = Guid.NewGuid().ToString();
        var now = Now;
        database.Execute(
            "INSERT INTO message (queue, message_id, body, attributes, sent, visible) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            queue,
            id,
            body,
            attributes ?? "",
            now,
            now + (long)delay.TotalMilliseconds);
        Wake(queue);
        return id;
    }

    /// <summary>Takes messages, waiting for the first one; they stay invisible to others for a while.</summary>
    public async Task<List<StoredMessage>> ReceiveAsync(string queue, int max, TimeSpan wait, TimeSpan visibility, CancellationToken cancellationToken)
    {
        var until = Now + (long)wait.TotalMilliseconds;
        while (true)
        {
            // Listen before looking, so that a message sent in between is not missed.
            var arrival = _arrivals.GetOrAdd(queue, _ => new(TaskCreationOptions.RunContinuationsAsynchronously));
            var taken = database.Atomically(() => Take(queue, max, visibility));
            var left = until - Now;
            if (taken.Count > 0 || left <= 0)
            {
                return taken;
            }

            var next = database.Scalar<long?>("SELECT MIN(visible) FROM message WHERE queue = ?1", queue);
            var pause = TimeSpan.FromMilliseconds(Math.Clamp((next ?? long.MaxValue) - Now, 1, left));
            try
            {
                await arrival.Task.WaitAsync(pause, timeProvider, cancellationToken);
            }
            catch (TimeoutException)
            {
                // Either a message became visible again or the wait is over: the next look tells.
            }
        }
    }

    /// <summary>Deletes a message by its last receipt; false if the receipt is none of this queue's. A late receipt deletes nothing.</summary>
    public bool DeleteMessage(string queue, string receipt) => ReceiptHandle.TryParse(receipt, out var id)
        && (database.Execute("DELETE FROM message WHERE queue = ?1 AND id = ?2 AND receipt = ?3", queue, id, receipt) >= 0);

    /// <summary>Changes how long a message stays invisible, from now; false if its receipt is not the last one or it is visible.</summary>
    public bool ChangeVisibility(string queue, string receipt, TimeSpan visibility)
    {
        var now = Now;
        var changed = ReceiptHandle.TryParse(receipt, out var id)
            && database.Execute(
                "UPDATE message SET visible = ?4 WHERE queue = ?1 AND id = ?2 AND receipt = ?3 AND visible > ?5", queue, id, receipt, now + (long)visibility.TotalMilliseconds, now) == 1;
        if (changed)
        {
            Wake(queue);
        }

        return changed;
    }

    private List<StoredMessage> Take(string queue, int max, TimeSpan visibility)
    {
        var now = Now;
        if (Find(queue) is not { } attributes)
        {
            return [];
        }

        var retention = QueueAttributes.Number(attributes, "MessageRetentionPeriod");
        database.Execute("DELETE FROM message WHERE queue = ?1 AND sent < ?2", queue, now - (retention * 1000));
        MoveToDeadLetters(queue, QueueAttributes.Redrive(attributes), now);
        var messages = database.Query(
            "SELECT id, message_id, body, attributes, sent, receipts, first_receipt FROM message WHERE queue = ?1 AND visible <= ?2 ORDER BY id LIMIT ?3",
            row => Read(row, now),
            queue,
            now,
            max);
        foreach (var message in messages)
        {
            database.Execute(
                "UPDATE message SET visible = ?2, receipts = ?3, first_receipt = ?4, receipt = ?5 WHERE id = ?1",
                message.Id,
                now + (long)visibility.TotalMilliseconds,
                message.Receipts,
                message.FirstReceipt,
                message.Receipt);
        }

        return messages;
    }

    private void MoveToDeadLetters(string queue, RedrivePolicy? policy, long now)
    {
        if (policy is null || Find(policy.Queue) is null)
        {
            return;
        }

        var moved = database.Execute(
            "UPDATE message SET queue = ?3, receipts = 0, first_receipt = NULL, receipt = NULL WHERE queue = ?1 AND visible <= ?2 AND receipts >= ?4",
            queue,
            now,
            policy.Queue,
            policy.MaxReceiveCount);
        if (moved > 0)
        {
            Wake(policy.Queue);
        }
    }

    private static StoredMessage Read(SqliteDataReader row, long now)
    {
        var id = row.GetInt64(0);
        var attributes = row.GetString(3);
        return new(
            id,
            row.GetString(1),
            row.GetString(2),
            attributes.Length == 0 ? null : JsonSerializer.Deserialize<JsonElement>(attributes),
            row.GetInt64(4),
            row.GetInt32(5) + 1,
            row.IsDBNull(6) ? now : row.GetInt64(6),
            ReceiptHandle.New(id));
    }

    private void Wake(string queue)
    {
        if (_arrivals.TryRemove(queue, out var arrival))
        {
            arrival.TrySetResult();
        }
    }
}
