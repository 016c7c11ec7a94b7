using Amazon.DynamoDBv2.Model;

namespace OrleansInference.DynamoDB;

/// <summary>
/// Tries whether a table can be used, by the calls that its provider makes: it is there and laid out as it must be, may be read and, under a condition that never holds, written.
/// </summary>
public sealed class TableExamination
{
    private const string Probe = "doctor";
    private readonly DynamoDBClientOptions _options;
    private readonly TableDefinition _definition;
    private readonly bool _inTransactions;

    private TableExamination(DynamoDBClientOptions options, TableDefinition definition, bool inTransactions) => (_options, _definition, _inTransactions) = (options, definition, inTransactions);

    /// <summary>Of the membership table, which is written in transactions.</summary>
    public static TableExamination OfMembership(DynamoDBClusteringOptions options) => new(options, MembershipSchema.Table, inTransactions: true);

    /// <summary>Of the grain state table.</summary>
    public static TableExamination OfGrainState(DynamoDBStorageOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return new(options, StateSchema.Table(options.TimeToLive is not null), inTransactions: false);
    }

    /// <summary>Of the reminder table, of which the indexes are read too.</summary>
    public static TableExamination OfReminders(DynamoDBReminderStorageOptions options) => new(options, ReminderSchema.Table, inTransactions: false);

    /// <summary>Tries it, and changes nothing.</summary>
    /// <returns>Whether it is there; it is not, but is created by who opens it, where the options say so.</returns>
    /// <exception cref="TableException">There is no such table, or it is laid out otherwise.</exception>
    /// <exception cref="Amazon.Runtime.AmazonClientException">DynamoDB refuses, or cannot be reached, while it describes the table.</exception>
    /// <exception cref="OrleansException">So while items are read or written; the inner exception is the client's.</exception>
    public async Task<bool> ExamineAsync(CancellationToken cancellationToken)
    {
        using var table = new TableClient(_options, TablePatience.OfExamination, TimeProvider.System);
        if (_options.CreateIfNotExists && await table.DescribeAsync(cancellationToken) is null)
        {
            return false;
        }

        await table.OpenAsync(_definition, cancellationToken, change: false);
        await TryAsync(table, cancellationToken);
        return true;
    }

    /// <summary>Creates it if it is missing and the options say so, then tries it.</summary>
    /// <returns>Why it was created without the tags that it should have; null if it was not.</returns>
    /// <exception cref="TableException">There is no such table, or it is laid out otherwise.</exception>
    /// <exception cref="Amazon.Runtime.AmazonClientException">DynamoDB refuses, or cannot be reached, while it describes the table.</exception>
    /// <exception cref="OrleansException">So while items are read or written; the inner exception is the client's.</exception>
    public async Task<string?> OpenAsync(CancellationToken cancellationToken)
    {
        using var table = new TableClient(_options, TablePatience.OfExamination, TimeProvider.System);
        var untagged = await table.OpenAsync(_definition, cancellationToken);
        await TryAsync(table, cancellationToken);
        return untagged;
    }

    private async Task TryAsync(TableClient table, CancellationToken cancellationToken)
    {
        var key = new Dictionary<string, AttributeValue> { [_definition.Hash.Name] = Items.S(Probe), [_definition.Range.Name] = Value(_definition.Range) };
        var never = $"attribute_exists({_definition.Hash.Name}) AND attribute_not_exists({_definition.Hash.Name})";
        _ = await table.GetAsync(key, cancellationToken);
        foreach (var index in _definition.Indexes)
        {
            await QueryAsync(table, index.Hash.Name, index.Name, cancellationToken);
        }

        await RefusedAsync(() => table.PutAsync(key, never, null, cancellationToken));
        await RefusedAsync(() => table.DeleteAsync(key, never, null, cancellationToken));
        if (_inTransactions)
        {
            await RefusedAsync(() => table.UpdateAsync(key, "SET Probe = :probe", new() { [":probe"] = Items.S(Probe) }, never, cancellationToken));
            await QueryAsync(table, _definition.Hash.Name, index: null, cancellationToken);
            await table.TryWriteAsync([new() { Item = key, ConditionExpression = never }], cancellationToken);

            // A batch takes no condition, so it deletes what nobody has.
            await table.DeleteAsync([key], cancellationToken);
        }
    }

    private static async Task QueryAsync(TableClient table, string hash, string? index, CancellationToken cancellationToken)
    {
        await foreach (var _ in table.QueryAsync($"{hash} = :probe", new() { [":probe"] = Items.S(Probe) }, cancellationToken, index))
        {
        }
    }

    private static async Task RefusedAsync(Func<Task> write)
    {
        try
        {
            await write();
        }
        catch (ConditionalCheckFailedException)
        {
            // It was permitted, and the condition did not hold.
        }
    }

    private static AttributeValue Value(KeyAttribute attribute) => attribute.Type == Amazon.DynamoDBv2.ScalarAttributeType.N ? Items.N(0) : Items.S(Probe);
}
