using System.Globalization;
using Amazon.DynamoDBv2.Model;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Item = System.Collections.Generic.Dictionary<string, Amazon.DynamoDBv2.Model.AttributeValue>;

namespace OrleansInference.DynamoDB;

/// <summary>
/// Cluster membership in DynamoDB, in the layout of the official package, so that silos of both can be in one cluster. A row is inserted or updated in one transaction with
/// the version row, both on condition of their ETags; what loses against another writer answers false.
/// </summary>
public sealed partial class DynamoDBMembershipTable : IMembershipTable, IDisposable
{
    private const string ByCluster = $"{MembershipSchema.Cluster} = :cluster";
    private const string IsAbsent = $"attribute_not_exists({MembershipSchema.Cluster})";
    private const string IsPresent = $"attribute_exists({MembershipSchema.Cluster})";
    private const string HasETag = $"{MembershipSchema.ETag} = :etag";
    private const int MostReads = 20;
    private readonly TableClient _table;
    private readonly string _cluster;
    private readonly ILogger<DynamoDBMembershipTable> _logger;

    /// <summary>Creates it; the table is opened when the silo starts.</summary>
    public DynamoDBMembershipTable(IOptions<DynamoDBClusteringOptions> options, IOptions<ClusterOptions> cluster, ILogger<DynamoDBMembershipTable> logger, TableHealth? health = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(cluster);
        _table = new(options.Value, TablePatience.InBackground, TimeProvider.System, health);
        _cluster = cluster.Value.ClusterId;
        _logger = logger;
    }

    /// <inheritdoc/>
    public async Task InitializeMembershipTable(bool tryInitTableVersion)
    {
        if (await _table.OpenAsync(MembershipSchema.Table, CancellationToken.None) is { } untagged)
        {
            _logger.CreatedWithoutTags(_table.Name, untagged);
        }

        if (!tryInitTableVersion)
        {
            return;
        }

        try
        {
            await _table.PutAsync(VersionItem(0, 0), IsAbsent, null, CancellationToken.None);
            LogCreated(_table.Name, _cluster);
        }
        catch (ConditionalCheckFailedException)
        {
            // There is one already.
        }
    }

    /// <inheritdoc/>
    public async Task DeleteMembershipTableEntries(string clusterId)
    {
        List<Item> keys = [];
        await foreach (var item in RowsAsync(clusterId))
        {
            keys.Add(MembershipSchema.Key(clusterId, item.Text(MembershipSchema.Silo)!));
        }

        await _table.DeleteAsync(keys, CancellationToken.None);
    }

    /// <inheritdoc/>
    public async Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate)
    {
        List<Item> defunct = [];
        await foreach (var item in RowsAsync(_cluster))
        {
            if (TryParse(item) is { } entry && entry.Status != SiloStatus.Active && LastSeen(entry) < beforeDate.UtcDateTime)
            {
                defunct.Add(MembershipSchema.Key(_cluster, item.Text(MembershipSchema.Silo)!));
            }
        }

        await _table.DeleteAsync(defunct, CancellationToken.None);
    }

    /// <inheritdoc/>
    public async Task<MembershipTableData> ReadRow(SiloAddress key)
    {
        ArgumentNullException.ThrowIfNull(key);
        var rowKey = MembershipSchema.Key(_cluster, MembershipSchema.Identity(key));
        for (var read = 1; ; read++)
        {
            // Each change of a row changes the version row with it: the same before and after, and nothing came between.
            var version = await VersionAsync();
            var row = await _table.GetAsync(rowKey, CancellationToken.None);
            if ((await VersionAsync()).VersionEtag != version.VersionEtag)
            {
                await RetryAsync(read);
                continue;
            }

            return row is not null && TryParse(row) is { } entry ? new(Tuple.Create(entry, ETagOf(row)), version) : new(version);
        }
    }

    /// <inheritdoc/>
    public async Task<MembershipTableData> ReadAll()
    {
        for (var read = 1; ; read++)
        {
            // A query is not atomic. Rows before the version row in its order are as old as that at least; those behind it must not be newer.
            var version = await VersionAsync();
            List<Tuple<MembershipEntry, string>> entries = [];
            var isWhole = true;
            await foreach (var item in RowsAsync(_cluster))
            {
                if (item.Text(MembershipSchema.Silo) == MembershipSchema.VersionRow)
                {
                    isWhole &= ETagOf(item) == version.VersionEtag;
                    continue;
                }

                isWhole &= item.Number(MembershipSchema.Version) <= version.Version;
                if (TryParse(item) is { } entry)
                {
                    entries.Add(Tuple.Create(entry, ETagOf(item)));
                }
            }

            if (isWhole)
            {
                return new(entries, version);
            }

            await RetryAsync(read);
        }
    }

    /// <inheritdoc/>
    public async Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion)
    {
        ArgumentNullException.ThrowIfNull(entry);
        return TryNext(tableVersion, out var version)
            && Told(entry, await _table.TryWriteAsync([version, new() { Item = MembershipSchema.ToItem(_cluster, entry, tableVersion.Version, 0), ConditionExpression = IsAbsent }], CancellationToken.None));
    }

    /// <inheritdoc/>
    public async Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion)
    {
        ArgumentNullException.ThrowIfNull(entry);
        return TryNext(tableVersion, out var version)
            && TryParse(etag, out var before)
            && Told(entry, await _table.TryWriteAsync([version, OnETag(MembershipSchema.ToItem(_cluster, entry, tableVersion.Version, before + 1), before)], CancellationToken.None));
    }

    /// <inheritdoc/>
    public async Task UpdateIAmAlive(MembershipEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        await _table.UpdateAsync(
            MembershipSchema.Key(_cluster, MembershipSchema.Identity(entry.SiloAddress)),
            $"SET {MembershipSchema.IAmAliveTime} = :time",
            new() { [":time"] = Items.S(LogFormatter.PrintDate(entry.IAmAliveTime)) },
            IsPresent,
            CancellationToken.None);
    }

    /// <inheritdoc/>
    public void Dispose() => _table.Dispose();

    private IAsyncEnumerable<Item> RowsAsync(string cluster) => _table.QueryAsync(ByCluster, new() { [":cluster"] = Items.S(cluster) }, CancellationToken.None);

    private async Task<TableVersion> VersionAsync()
    {
        var item = await _table.GetAsync(MembershipSchema.Key(_cluster, MembershipSchema.VersionRow), CancellationToken.None)
            ?? throw new TableException($"DynamoDB table '{_table.Name}' has no version row of cluster '{_cluster}': it was removed while the cluster ran. Start the silos anew.");
        return new((int)item.Number(MembershipSchema.Version), ETagOf(item));
    }

    private async Task RetryAsync(int read)
    {
        if (read >= MostReads)
        {
            throw new TableException($"DynamoDB table '{_table.Name}' was changed during each of {MostReads} reads.");
        }

        await Task.Delay(Random.Shared.Next(10 * read));
    }

    private bool TryNext(TableVersion tableVersion, out Put version)
    {
        ArgumentNullException.ThrowIfNull(tableVersion);
        var isNumber = TryParse(tableVersion.VersionEtag, out var before);
        version = OnETag(VersionItem(tableVersion.Version, before + 1), before);
        return isNumber;
    }

    private Item VersionItem(int version, long etag)
    {
        var item = MembershipSchema.Key(_cluster, MembershipSchema.VersionRow);
        item[MembershipSchema.Version] = Items.N(version);
        item[MembershipSchema.ETag] = Items.N(etag);
        return item;
    }

    private MembershipEntry? TryParse(Item item)
    {
        if (item.Text(MembershipSchema.Silo) == MembershipSchema.VersionRow)
        {
            return null;
        }

        try
        {
            return MembershipSchema.ToEntry(item);
        }
        catch (Exception exception) when (exception is FormatException or ArgumentException or OverflowException)
        {
            // One row that cannot be read must not keep the cluster from forming.
            LogUnreadable(item.Text(MembershipSchema.Silo), _table.Name, exception.Message);
            return null;
        }
    }

    private bool Told(MembershipEntry entry, bool written)
    {
        if (!written)
        {
            LogLost(entry.SiloAddress, entry.Status);
        }

        return written;
    }

    // A silo that was declared dead a moment ago has been seen then, by who declared it.
    private static DateTime LastSeen(MembershipEntry entry)
    {
        var last = entry.IAmAliveTime > entry.StartTime ? entry.IAmAliveTime : entry.StartTime;
        foreach (var (_, time) in entry.SuspectTimes ?? [])
        {
            last = time > last ? time : last;
        }

        return last;
    }

    private static Put OnETag(Item item, long etag) => new() { Item = item, ConditionExpression = HasETag, ExpressionAttributeValues = new() { [":etag"] = Items.N(etag) } };

    private static string ETagOf(Item item) => item.Number(MembershipSchema.ETag).ToString(CultureInfo.InvariantCulture);

    private static bool TryParse(string? etag, out long number) => long.TryParse(etag, NumberStyles.None, CultureInfo.InvariantCulture, out number);

    [LoggerMessage(Level = LogLevel.Information, Message = "DynamoDB membership table {Table}: cluster {Cluster} begins.")]
    private partial void LogCreated(string table, string cluster);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Membership of {Silo} as {Status} was not written: another silo was first. Orleans reads the table and tries again.")]
    private partial void LogLost(SiloAddress silo, SiloStatus status);

    [LoggerMessage(Level = LogLevel.Error, Message = "Row {Row} of DynamoDB membership table {Table} cannot be read and is left out: {Problem}")]
    private partial void LogUnreadable(string? row, string table, string problem);
}
