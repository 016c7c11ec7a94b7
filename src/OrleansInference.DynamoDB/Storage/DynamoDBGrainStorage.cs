using System.Globalization;
using System.Text;
using Amazon.DynamoDBv2.Model;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Serialization.Serializers;
using Orleans.Storage;
using Item = System.Collections.Generic.Dictionary<string, Amazon.DynamoDBv2.Model.AttributeValue>;

namespace OrleansInference.DynamoDB;

/// <summary>
/// Grain state in DynamoDB, in the layout of the official package: an item for each grain and state name, with an ETag that begins at 0 and counts up. Reads are strongly consistent.
/// Writing or clearing with an ETag that is not the stored one throws <see cref="InconsistentStateException"/> and changes nothing. A table that cannot be used is an
/// <see cref="OrleansException"/> after four seconds at most: requests wait for it.
/// </summary>
public sealed partial class DynamoDBGrainStorage : IGrainStorage, ILifecycleParticipant<ISiloLifecycle>, IDisposable
{
    private const string IsAbsent = $"attribute_not_exists({StateSchema.Grain})";
    private const string HasETag = $"{StateSchema.ETag} = :etag";
    private readonly string _name;
    private readonly string _serviceId;
    private readonly DynamoDBStorageOptions _options;
    private readonly IActivatorProvider _activators;
    private readonly TimeProvider _time;
    private readonly ILogger<DynamoDBGrainStorage> _logger;
    private readonly TableClient _table;

    /// <summary>Creates the storage provider of that name; the table is opened when the silo starts.</summary>
    public DynamoDBGrainStorage(
        string name,
        DynamoDBStorageOptions options,
        IOptions<ClusterOptions> cluster,
        IActivatorProvider activators,
        TimeProvider time,
        ILogger<DynamoDBGrainStorage> logger,
        TableHealth? health = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(cluster);
        _name = name;
        _options = options;
        _serviceId = string.IsNullOrEmpty(options.ServiceId) ? cluster.Value.ServiceId : options.ServiceId;
        _activators = activators;
        _time = time;
        _logger = logger;
        _table = new(options, options.Patience, time, health);
    }

    /// <inheritdoc/>
    public void Participate(ISiloLifecycle observer)
    {
        ArgumentNullException.ThrowIfNull(observer);
        observer.Subscribe(OptionFormattingUtilities.Name<DynamoDBGrainStorage>(_name), _options.InitStage, OpenAsync);
    }

    /// <inheritdoc/>
    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
        ReadStateAsync(stateName, grainId, grainState, CancellationToken.None);

    /// <inheritdoc/>
    public async Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(grainState);
        var item = await _table.GetAsync(Key(stateName, grainId), cancellationToken);
        var data = item is not null && item.TryGetValue(StateSchema.State, out var value) ? value.B : null;
        grainState.RecordExists = data is { Length: > 0 };
        grainState.State = data is { Length: > 0 } ? Deserialize<T>(stateName, grainId, data.ToArray()) : Empty<T>();
        grainState.ETag = item is null ? null : ETagOf(item);
    }

    /// <inheritdoc/>
    public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
        WriteStateAsync(stateName, grainId, grainState, CancellationToken.None);

    /// <inheritdoc/>
    public async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(grainState);

        // Taken before the first await: the grain may go on changing its state.
        var data = _options.GrainStorageSerializer.Serialize(grainState.State).ToArray();
        grainState.ETag = await PutAsync("write", stateName, grainId, grainState.ETag, data, cancellationToken);
        grainState.RecordExists = true;
    }

    /// <inheritdoc/>
    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
        ClearStateAsync(stateName, grainId, grainState, CancellationToken.None);

    /// <inheritdoc/>
    public async Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(grainState);
        if (_options.DeleteStateOnClear)
        {
            var expected = Parse(grainState.ETag);
            try
            {
                await _table.DeleteAsync(Key(stateName, grainId), expected is null ? IsAbsent : HasETag, expected is { } etag ? new() { [":etag"] = Items.N(etag) } : null, cancellationToken);
            }
            catch (ConditionalCheckFailedException exception)
            {
                throw Conflict("clear", stateName, grainId, grainState.ETag, exception);
            }

            grainState.ETag = null;
        }
        else
        {
            grainState.ETag = await PutAsync("clear", stateName, grainId, grainState.ETag, null, cancellationToken);
        }

        grainState.State = Empty<T>();
        grainState.RecordExists = false;
    }

    /// <inheritdoc/>
    public void Dispose() => _table.Dispose();

    internal async Task OpenAsync(CancellationToken cancellationToken)
    {
        using var opening = new TableClient(_options, TablePatience.InBackground, _time);
        if (await opening.OpenAsync(StateSchema.Table(_options.TimeToLive is not null), cancellationToken) is { } untagged)
        {
            _logger.CreatedWithoutTags(_table.Name, untagged);
        }

        LogOpened(_name, _table.Name);
    }

    private async Task<string> PutAsync(string action, string stateName, GrainId grainId, string? etag, byte[]? data, CancellationToken cancellationToken)
    {
        var expected = Parse(etag);
        var next = expected + 1 ?? 0;
        var item = Key(stateName, grainId);
        item[StateSchema.ETag] = Items.N(next);
        item[StateSchema.State] = data is { Length: > 0 } ? new() { B = new(data) } : new() { NULL = true };
        if (_options.TimeToLive is { } ttl)
        {
            item[StateSchema.TimeToLive] = Items.N((_time.GetUtcNow() + ttl).ToUnixTimeSeconds());
        }

        var size = item.Size();
        if (size > Items.MostBytes)
        {
            throw new TableException($"State '{stateName}' of grain {grainId} is an item of {size} bytes; DynamoDB takes {Items.MostBytes}. Nothing was written.");
        }

        try
        {
            await _table.PutAsync(item, expected is null ? IsAbsent : HasETag, expected is { } before ? new() { [":etag"] = Items.N(before) } : null, cancellationToken);
        }
        catch (ConditionalCheckFailedException exception)
        {
            throw Conflict(action, stateName, grainId, etag, exception);
        }

        return Format(next);
    }

    private Item Key(string stateName, GrainId grainId)
    {
        var grain = $"{_serviceId}_{grainId}";
        if (Encoding.UTF8.GetByteCount(grain) > StateSchema.MostHashBytes || Encoding.UTF8.GetByteCount(stateName) > StateSchema.MostRangeBytes)
        {
            throw new TableException($"Grain {grainId} with state '{stateName}' cannot be stored: keys of DynamoDB have at most {StateSchema.MostHashBytes} and {StateSchema.MostRangeBytes} bytes.");
        }

        return new() { [StateSchema.Grain] = Items.S(grain), [StateSchema.Name] = Items.S(stateName) };
    }

    private T Deserialize<T>(string stateName, GrainId grainId, byte[] data)
    {
        try
        {
            return _options.GrainStorageSerializer.Deserialize<T>(new(data))!;
        }
        catch (Exception exception)
        {
            throw new TableException($"State '{stateName}' of grain {grainId} in DynamoDB table '{_table.Name}' cannot be read as {typeof(T)}: {exception.Message}", exception);
        }
    }

    private T Empty<T>() => _activators.GetActivator<T>().Create();

    private InconsistentStateException Conflict(string action, string stateName, GrainId grainId, string? etag, Exception inner) => new(
        $"Version conflict on {action}: storage {_name}, grain {grainId}, state '{stateName}', ETag {etag ?? "none"}. Another activation has changed it.",
        inner);

    private static string Format(long etag) => etag.ToString(CultureInfo.InvariantCulture);

    private static string ETagOf(Item item) => Format(item.Number(StateSchema.ETag));

    // ETags begin at 0, so one that is none of ours matches no item and ends as a conflict.
    private static long? Parse(string? etag) => string.IsNullOrWhiteSpace(etag)
        ? null
        : long.TryParse(etag, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : -1L;

    [LoggerMessage(Level = LogLevel.Debug, Message = "DynamoDB grain storage {Name} opened table {Table}.")]
    private partial void LogOpened(string name, string table);
}
