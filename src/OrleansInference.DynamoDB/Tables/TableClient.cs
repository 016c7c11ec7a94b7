using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Amazon;
using Amazon.DynamoDBv2;
using Amazon.DynamoDBv2.Model;
using Amazon.Runtime;
using Amazon.Runtime.CredentialManagement;
using Item = System.Collections.Generic.Dictionary<string, Amazon.DynamoDBv2.Model.AttributeValue>;

namespace OrleansInference.DynamoDB;

/// <summary>
/// One table, through the official SDK. Throttled and failed calls are repeated by it with jitter (its standard mode), and no call takes longer than its
/// <see cref="TablePatience"/>; what of a transaction was cancelled by another one under way, and what of a batch was not processed, is repeated here. Reads of the table are
/// strongly consistent, those of an index cannot be. Thread-safe.
/// </summary>
internal sealed class TableClient : IDisposable
{
    private const int TransactionAttempts = 8;
    private const int DeleteBatch = 25;
    private const int DeleteAttempts = 8;
    private const int FirstPauseMs = 20;
    private static readonly TimeSpan CreationPatience = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan CreationPoll = TimeSpan.FromMilliseconds(250);
    private readonly AmazonDynamoDBClient _client;
    private readonly TablePatience _patience;
    private readonly TimeProvider _time;
    private readonly TableHealth? _health;
    private readonly string _table;
    private readonly string _service;
    private readonly bool _create;
    private readonly IReadOnlyDictionary<string, string> _tags;

    /// <param name="options">Where the table is.</param>
    /// <param name="patience">How long it is waited for.</param>
    /// <param name="time">What the wait for a whole call is measured by.</param>
    /// <param name="health">Is told how calls that read or write items end; null: nobody is.</param>
    public TableClient(DynamoDBClientOptions options, TablePatience patience, TimeProvider time, TableHealth? health = null)
    {
        (_patience, _time, _health) = (patience, time, health);
        (_table, _service, _create, _tags) = (options.TableName, options.Service, options.CreateIfNotExists, options.Tags);
        var config = new AmazonDynamoDBConfig
        {
            RetryMode = RequestRetryMode.Standard,
            MaxErrorRetry = patience.Retries,
            ThrottleRetries = patience.SharesRetries,
            Timeout = patience.Attempt,
            ConnectTimeout = TimeSpan.FromSeconds(3),
        };
        if (IsUrl(options.Service, out var url))
        {
            config.ServiceURL = options.Service;
            config.AuthenticationRegion = RegionOf(url);
        }
        else
        {
            config.RegionEndpoint = RegionEndpoint.GetBySystemName(options.Service);
            if (options.UseFips)
            {
                // Set to false it would outdo the environment and the profile.
                config.UseFIPSEndpoint = true;
            }
        }

        _client = Credentials(options, url) is { } credentials ? new(credentials, config) : new(config);
        FailedOperation.NoteOn(_client);
    }

    /// <summary>The table's name.</summary>
    public string Name => _table;

    /// <summary>Where its calls go.</summary>
    internal Uri Address => new(_client.DetermineServiceOperationEndpoint(new DescribeTableRequest { TableName = _table }).URL);

    /// <summary>Whether a service is given by its address, and not by a region.</summary>
    public static bool IsUrl(string service, [NotNullWhen(true)] out Uri? url) =>
        Uri.TryCreate(service, UriKind.Absolute, out url) && url.Scheme is "http" or "https" && url.Host.Length > 0;

    /// <summary>Makes sure that the table is there and can be used.</summary>
    /// <param name="definition">How it is laid out.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="change">Whether a missing table may be created and its time to live set, where that is wanted; else it is only looked at.</param>
    /// <returns>Why the table was created without the tags that it should have; null if it was not.</returns>
    /// <exception cref="TableException">It is not and must not be created, or is laid out otherwise.</exception>
    public async Task<string?> OpenAsync(TableDefinition definition, CancellationToken cancellationToken, bool change = true)
    {
        string? untagged = null;
        var found = await DescribeAsync(cancellationToken);
        if (found is null)
        {
            if (!_create || !change)
            {
                throw new TableException($"There is no DynamoDB table '{_table}' at {_service}. Create it (deploy/ has a template), or let a server create it (Aws:CreateTables).");
            }

            untagged = await CreateAsync(definition, cancellationToken);
        }

        found = await WaitUntilActiveAsync(cancellationToken);
        var problems = string.Join("; ", definition.Problems(found));
        if (problems.Length > 0)
        {
            throw new TableException($"DynamoDB table '{_table}' at {_service} cannot be used: {problems}. It is laid out for something else, and may hold what that needs: name another table.");
        }

        if (definition.TimeToLive is { } attribute)
        {
            await SetTimeToLiveAsync(attribute, change, cancellationToken);
        }

        return untagged;
    }

    /// <summary>An item; null if there is none.</summary>
    public async Task<Item?> GetAsync(Item key, CancellationToken cancellationToken)
    {
        var response = await ItemsAsync(cancel => _client.GetItemAsync(new GetItemRequest { TableName = _table, Key = key, ConsistentRead = true }, cancel), cancellationToken);
        return response.Item is { Count: > 0 } item ? item : null;
    }

    /// <summary>All items that a key condition selects, in the order of the range key.</summary>
    /// <param name="condition">Key condition.</param>
    /// <param name="values">Its values.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="index">The index to read; null: the table itself.</param>
    /// <param name="filter">Further condition on attributes that are no keys; null: none.</param>
    public async IAsyncEnumerable<Item> QueryAsync(string condition, Item values, [EnumeratorCancellation] CancellationToken cancellationToken, string? index = null, string? filter = null)
    {
        var request = new QueryRequest
        {
            TableName = _table,
            IndexName = index,
            KeyConditionExpression = condition,
            FilterExpression = filter,
            ExpressionAttributeValues = values,
            ConsistentRead = index is null,
        };
        do
        {
            var page = await ItemsAsync(cancel => _client.QueryAsync(request, cancel), cancellationToken);
            foreach (var item in page.Items ?? [])
            {
                yield return item;
            }

            request.ExclusiveStartKey = page.LastEvaluatedKey;
        }
        while (request.ExclusiveStartKey is { Count: > 0 });
    }

    /// <summary>Writes a whole item.</summary>
    /// <exception cref="ConditionalCheckFailedException">The condition does not hold.</exception>
    public Task PutAsync(Item item, string? condition, Item? values, CancellationToken cancellationToken) =>
        ItemsAsync(cancel => _client.PutItemAsync(new() { TableName = _table, Item = item, ConditionExpression = condition, ExpressionAttributeValues = values }, cancel), cancellationToken);

    /// <summary>Sets attributes of an item.</summary>
    /// <exception cref="ConditionalCheckFailedException">The condition does not hold.</exception>
    public Task UpdateAsync(Item key, string update, Item values, string? condition, CancellationToken cancellationToken) =>
        ItemsAsync(cancel => _client.UpdateItemAsync(new() { TableName = _table, Key = key, UpdateExpression = update, ExpressionAttributeValues = values, ConditionExpression = condition }, cancel), cancellationToken);

    /// <summary>Deletes an item.</summary>
    /// <exception cref="ConditionalCheckFailedException">The condition does not hold.</exception>
    public Task DeleteAsync(Item key, string? condition, Item? values, CancellationToken cancellationToken) =>
        ItemsAsync(cancel => _client.DeleteItemAsync(new() { TableName = _table, Key = key, ConditionExpression = condition, ExpressionAttributeValues = values }, cancel), cancellationToken);

    /// <summary>Deletes items, as many of them as are there.</summary>
    /// <exception cref="OrleansException">DynamoDB left some of them unprocessed time after time; others are deleted.</exception>
    public async Task DeleteAsync(IEnumerable<Item> keys, CancellationToken cancellationToken)
    {
        foreach (var batch in keys.Chunk(DeleteBatch))
        {
            List<WriteRequest>? left = [.. batch.Select(static key => new WriteRequest(new DeleteRequest(key)))];
            for (var (attempt, last) = (0, left.Count); left is { Count: > 0 };)
            {
                var request = new BatchWriteItemRequest { RequestItems = new() { [_table] = left } };
                var response = await ItemsAsync(cancel => _client.BatchWriteItemAsync(request, cancel), cancellationToken);
                left = response.UnprocessedItems is { } unprocessed && unprocessed.TryGetValue(_table, out var rest) ? rest : null;
                if (left is { Count: > 0 })
                {
                    // Where some are processed each time, it comes to an end.
                    (attempt, last) = (left.Count < last ? 1 : attempt + 1, left.Count);
                    if (attempt >= DeleteAttempts)
                    {
                        throw Unusable(new ProvisionedThroughputExceededException($"{left.Count} of {batch.Length} deletions were left unprocessed {DeleteAttempts} times."));
                    }

                    await PauseAsync(attempt, cancellationToken);
                }
            }
        }
    }

    /// <summary>Writes items all or none; false if a condition does not hold.</summary>
    public async Task<bool> TryWriteAsync(List<Put> puts, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                puts.ForEach(put => put.TableName = _table);
                await CallAsync(cancel => _client.TransactWriteItemsAsync(new() { TransactItems = [.. puts.Select(static put => new TransactWriteItem { Put = put })] }, cancel), cancellationToken);
                return true;
            }
            catch (TransactionCanceledException exception) when (Has(exception, "ConditionalCheckFailed"))
            {
                return false;
            }
            catch (AmazonDynamoDBException exception) when (attempt < TransactionAttempts && IsPassing(exception))
            {
                await PauseAsync(attempt, cancellationToken);
            }
        }
    }

    /// <summary>The table's description; null if there is no such table.</summary>
    public async Task<TableDescription?> DescribeAsync(CancellationToken cancellationToken)
    {
        try
        {
            return (await CallAsync(cancel => _client.DescribeTableAsync(new DescribeTableRequest { TableName = _table }, cancel), cancellationToken)).Table;
        }
        catch (ResourceNotFoundException)
        {
            return null;
        }
    }

    public void Dispose() => _client.Dispose();

    /// <summary>A call that reads or writes items. What keeps it from being done, conditions aside, is an <see cref="OrleansException"/>, as which callers of grains know that they may come back.</summary>
    private async Task<T> ItemsAsync<T>(Func<CancellationToken, Task<T>> call, CancellationToken cancellationToken)
    {
        try
        {
            var result = await CallAsync(call, cancellationToken);
            _health?.Succeeded(_table);
            return result;
        }
        catch (Exception exception) when (exception is not (ConditionalCheckFailedException or OperationCanceledException))
        {
            _health?.Failed(_table, exception);
            throw Unusable(exception);
        }
    }

    private OrleansException Unusable(Exception exception) => new($"DynamoDB table '{_table}' could not be used: {exception.Message}", exception);

    private async Task<T> CallAsync<T>(Func<CancellationToken, Task<T>> call, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(_patience.Call, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            return await call(either.Token);
        }
        catch (AmazonServiceException exception)
        {
            RefusalData.Note(exception);
            throw;
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            throw new AmazonClientException(exception.Message, exception);
        }
        catch (Exception exception) when (exception is OperationCanceledException or TimeoutException && !cancellationToken.IsCancellationRequested)
        {
            // Else it was the last attempt that took too long, of which the SDK tells by an exception that is not its own.
            var text = limit.IsCancellationRequested ? $"no answer within {_patience.Call.TotalSeconds:0} s" : $"no attempt was answered within {_patience.Attempt.TotalSeconds:0} s";
            throw new AmazonClientException(text, new TimeoutException(text, exception));
        }
    }

    private async Task<string?> CreateAsync(TableDefinition definition, CancellationToken cancellationToken)
    {
        try
        {
            await CallAsync(cancel => _client.CreateTableAsync(definition.ToRequest(_table, _tags), cancel), cancellationToken);
            return null;
        }
        catch (ResourceInUseException)
        {
            // Another silo was first.
            return null;
        }
        catch (AmazonDynamoDBException exception) when (_tags.Count > 0 && exception.ErrorCode is "AccessDeniedException" or "ValidationException" or "UnknownOperationException")
        {
            // Tags take a right of their own (dynamodb:TagResource), and not every emulator knows them. If it is not the tags, this fails alike.
            try
            {
                await CallAsync(cancel => _client.CreateTableAsync(definition.ToRequest(_table, ImmutableDictionary<string, string>.Empty), cancel), cancellationToken);
                return exception.Message;
            }
            catch (ResourceInUseException)
            {
                return null;
            }
        }
    }

    private async Task<TableDescription> WaitUntilActiveAsync(CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(CreationPatience);
        try
        {
            while (true)
            {
                // A table that has just been created may not be seen yet.
                if (await DescribeAsync(patience.Token) is { } found
                    && (found.TableStatus == TableStatus.ACTIVE || found.TableStatus == TableStatus.UPDATING)
                    && (found.GlobalSecondaryIndexes ?? []).TrueForAll(static index => index.IndexStatus != IndexStatus.CREATING))
                {
                    return found;
                }

                await Task.Delay(CreationPoll, patience.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TableException($"DynamoDB table '{_table}' at {_service} could not be used after {CreationPatience.TotalMinutes:0} minutes: it is still being created.");
        }
    }

    private async Task SetTimeToLiveAsync(string attribute, bool change, CancellationToken cancellationToken)
    {
        var found = (await CallAsync(cancel => _client.DescribeTimeToLiveAsync(new DescribeTimeToLiveRequest { TableName = _table }, cancel), cancellationToken)).TimeToLiveDescription;
        if (found?.TimeToLiveStatus is { } status && (status == TimeToLiveStatus.ENABLED || status == TimeToLiveStatus.ENABLING))
        {
            if (found.AttributeName != attribute)
            {
                throw new TableException($"DynamoDB table '{_table}' at {_service} expires items by '{found.AttributeName}', not by '{attribute}'. Name another table, or change its time to live.");
            }

            return;
        }

        if (!change)
        {
            return;
        }

        try
        {
            await CallAsync(
                cancel => _client.UpdateTimeToLiveAsync(new() { TableName = _table, TimeToLiveSpecification = new() { AttributeName = attribute, Enabled = true } }, cancel),
                cancellationToken);
        }
        catch (AmazonDynamoDBException exception) when (exception.ErrorCode is "ValidationException" && exception.Message.Contains("already enabled", StringComparison.OrdinalIgnoreCase))
        {
            // Another silo was first.
        }
    }

    private static bool Has(TransactionCanceledException exception, string code) =>
        exception.CancellationReasons is { Count: > 0 } reasons ? reasons.Exists(reason => reason.Code == code) : exception.Message.Contains(code, StringComparison.Ordinal);

    // What another attempt may find gone: another transaction on the items, a burst beyond the table's throughput.
    private static bool IsPassing(AmazonDynamoDBException exception) => exception is TransactionConflictException or TransactionInProgressException
        || (exception is TransactionCanceledException cancelled
            && (Has(cancelled, "TransactionConflict") || Has(cancelled, "ThrottlingError") || Has(cancelled, "ProvisionedThroughputExceeded")));

    private static Task PauseAsync(int attempt, CancellationToken cancellationToken) =>
        Task.Delay(Random.Shared.Next(FirstPauseMs << Math.Min(attempt, 6)), cancellationToken);

    private static AWSCredentials? Credentials(DynamoDBClientOptions options, Uri? url)
    {
        if (!string.IsNullOrEmpty(options.AccessKey))
        {
            return string.IsNullOrEmpty(options.Token) ? new BasicAWSCredentials(options.AccessKey, options.SecretKey) : new SessionAWSCredentials(options.AccessKey, options.SecretKey, options.Token);
        }

        if (!string.IsNullOrEmpty(options.ProfileName))
        {
            return new CredentialProfileStoreChain().TryGetAWSCredentials(options.ProfileName, out var profile)
                ? profile
                : throw new OrleansConfigurationException($"DynamoDB table '{options.TableName}': there is no AWS profile '{options.ProfileName}', or it has no credentials.");
        }

        // An emulator checks that requests are signed, not by whom; Amazon never speaks http to somebody without a name.
        return url?.Scheme == "http" ? new BasicAWSCredentials("emulator", "emulator") : null;
    }

    // dynamodb.eu-west-1.amazonaws.com, vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com
    private static string RegionOf(Uri url)
    {
        var parts = url.Host.Split('.');
        var at = Array.FindIndex(parts, static part => part is "dynamodb" or "dynamodb-fips");
        return at >= 0 && at + 1 < parts.Length && parts[at + 1].Contains('-', StringComparison.Ordinal) ? parts[at + 1] : "us-east-1";
    }
}
