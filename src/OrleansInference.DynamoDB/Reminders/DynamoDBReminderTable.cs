using System.Globalization;
using System.Security.Cryptography;
using Amazon.DynamoDBv2.Model;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Item = System.Collections.Generic.Dictionary<string, Amazon.DynamoDBv2.Model.AttributeValue>;

namespace OrleansInference.DynamoDB;

/// <summary>
/// Reminders in DynamoDB, in the layout of the official package. One reminder is read strongly consistently; those of a grain or a range of hashes are read from an index, which
/// may lag by moments: what a silo has missed it finds when it reads its range again. Of a range only what comes within <see cref="ReminderOptions.ReminderLoadingWindow"/> is
/// returned: the reminder service keeps no others in memory. No request waits for a range, and the service ends for good if it cannot read its own at the start, so
/// these reads have the patience of what goes on in the background. Jobs are accepted with a reminder, so for all else a table that cannot be used is an <see cref="OrleansException"/> after four
/// seconds at most.
/// </summary>
public sealed class DynamoDBReminderTable : IReminderTable, IDisposable
{
    private const string ByService = $"{ReminderSchema.Service} = :service";

    // The reminder service judges by a later time than this reads at.
    private static readonly TimeSpan Margin = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan LongestWindow = TimeSpan.FromDays(36_500);

    private readonly DynamoDBReminderStorageOptions _options;
    private readonly TableClient _table;
    private readonly TableClient _ranges;
    private readonly string _service;
    private readonly TimeSpan _window;
    private readonly TimeProvider _time;
    private readonly ILogger<DynamoDBReminderTable> _logger;

    /// <summary>Creates it; the table is opened when the reminder service starts.</summary>
    public DynamoDBReminderTable(
        IOptions<DynamoDBReminderStorageOptions> options,
        IOptions<ClusterOptions> cluster,
        IOptions<ReminderOptions> reminders,
        TimeProvider time,
        ILogger<DynamoDBReminderTable> logger,
        TableHealth? health = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(cluster);
        ArgumentNullException.ThrowIfNull(reminders);
        (_options, _table) = (options.Value, new(options.Value, options.Value.Patience, time, health));
        _ranges = new(options.Value, TablePatience.InBackground, time, health);
        _service = cluster.Value.ServiceId;
        _window = TimeSpan.FromTicks(Math.Min(reminders.Value.ReminderLoadingWindow.Ticks, LongestWindow.Ticks));
        _time = time;
        _logger = logger;
    }

    /// <inheritdoc/>
    public async Task StartAsync(CancellationToken cancellationToken = default)
    {
        using var opening = new TableClient(_options, TablePatience.InBackground, _time);
        if (await opening.OpenAsync(ReminderSchema.Table, cancellationToken) is { } untagged)
        {
            _logger.CreatedWithoutTags(_table.Name, untagged);
        }
    }

    /// <inheritdoc/>
    public Task<ReminderTableData> ReadRows(GrainId grainId) => ReadRows(grainId, CancellationToken.None);

    /// <inheritdoc/>
    public async Task<ReminderTableData> ReadRows(GrainId grainId, CancellationToken cancellationToken) => new(await ReadAsync(
        _table,
        $"{ByService} AND {ReminderSchema.Grain} = :grain",
        new() { [":service"] = Items.S(_service), [":grain"] = Items.S(grainId.ToString()) },
        ReminderSchema.ByGrain,
        static _ => true,
        cancellationToken));

    /// <inheritdoc/>
    public Task<ReminderTableData> ReadRows(uint begin, uint end) => ReadRows(begin, end, CancellationToken.None);

    /// <inheritdoc/>
    public async Task<ReminderTableData> ReadRows(uint begin, uint end, CancellationToken cancellationToken)
    {
        if (begin < end)
        {
            return new(await ReadHashesAsync(begin + 1L, end, cancellationToken));
        }

        // Begins where it ends, or wraps around: all above the one, and up to the other.
        var found = await ReadHashesAsync(0, end, cancellationToken);
        if (begin < uint.MaxValue)
        {
            found.AddRange(await ReadHashesAsync(Math.Max(begin, end) + 1L, uint.MaxValue, cancellationToken));
        }

        return new(found);
    }

    /// <inheritdoc/>
    public Task<ReminderEntry?> ReadRow(GrainId grainId, string reminderName) => ReadRow(grainId, reminderName, CancellationToken.None);

    /// <inheritdoc/>
    public async Task<ReminderEntry?> ReadRow(GrainId grainId, string reminderName, CancellationToken cancellationToken) =>
        await _table.GetAsync(ReminderSchema.Key(_service, grainId, reminderName), cancellationToken) is { } item ? ReminderSchema.ToEntry(item) : null;

    /// <inheritdoc/>
    public Task<string?> UpsertRow(ReminderEntry entry) => UpsertRow(entry, CancellationToken.None);

    /// <inheritdoc/>
    public async Task<string?> UpsertRow(ReminderEntry entry, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(entry);
        var etag = (long)RandomNumberGenerator.GetInt32(int.MaxValue);
        await _table.PutAsync(ReminderSchema.ToItem(_service, entry, etag), null, null, cancellationToken);
        return etag.ToString(CultureInfo.InvariantCulture);
    }

    /// <inheritdoc/>
    public Task<bool> RemoveRow(GrainId grainId, string reminderName, string eTag) => RemoveRow(grainId, reminderName, eTag, CancellationToken.None);

    /// <inheritdoc/>
    public async Task<bool> RemoveRow(GrainId grainId, string reminderName, string eTag, CancellationToken cancellationToken)
    {
        if (!long.TryParse(eTag, NumberStyles.None, CultureInfo.InvariantCulture, out var etag))
        {
            return false;
        }

        try
        {
            await _table.DeleteAsync(ReminderSchema.Key(_service, grainId, reminderName), $"{ReminderSchema.ETag} = :etag", new() { [":etag"] = Items.N(etag) }, cancellationToken);
            return true;
        }
        catch (ConditionalCheckFailedException)
        {
            return false;
        }
    }

    /// <inheritdoc/>
    public Task TestOnlyClearTable() => TestOnlyClearTable(CancellationToken.None);

    /// <inheritdoc/>
    public async Task TestOnlyClearTable(CancellationToken cancellationToken)
    {
        List<Item> keys = [];
        await foreach (var item in _table.QueryAsync(ByService, new() { [":service"] = Items.S(_service) }, cancellationToken, ReminderSchema.ByHash))
        {
            keys.Add(new() { [ReminderSchema.Id] = item[ReminderSchema.Id], [ReminderSchema.Hash] = item[ReminderSchema.Hash] });
        }

        await _table.DeleteAsync(keys, cancellationToken);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _table.Dispose();
        _ranges.Dispose();
    }

    // Times are compared here and not by DynamoDB: the official package writes them in its culture.
    private Task<List<ReminderEntry>> ReadHashesAsync(long first, long last, CancellationToken cancellationToken)
    {
        var now = _time.GetUtcNow().UtcDateTime;
        var (from, until) = (now - Margin, now + _window + Margin);
        return ReadAsync(
            _ranges,
            $"{ByService} AND {ReminderSchema.Hash} BETWEEN :first AND :last",
            new() { [":service"] = Items.S(_service), [":first"] = Items.N(first), [":last"] = Items.N(last) },
            ReminderSchema.ByHash,
            entry => FirstTick(entry, from) <= until,
            cancellationToken);
    }

    // The first at or after a moment.
    private static DateTime FirstTick(ReminderEntry entry, DateTime from)
    {
        var since = (from - entry.StartAt).Ticks;
        return since <= 0 ? entry.StartAt : from.AddTicks((entry.Period.Ticks - (since % entry.Period.Ticks)) % entry.Period.Ticks);
    }

    private static async Task<List<ReminderEntry>> ReadAsync(TableClient table, string condition, Item values, string index, Func<ReminderEntry, bool> wanted, CancellationToken cancellationToken)
    {
        List<ReminderEntry> found = [];
        await foreach (var item in table.QueryAsync(condition, values, cancellationToken, index))
        {
            if (ReminderSchema.ToEntry(item) is var entry && wanted(entry))
            {
                found.Add(entry);
            }
        }

        return found;
    }
}
