using Amazon.DynamoDBv2;
using Amazon.DynamoDBv2.Model;

namespace OrleansInference.DynamoDB;

/// <summary>A key attribute: its name and type.</summary>
internal readonly record struct KeyAttribute(string Name, ScalarAttributeType Type);

/// <summary>A global secondary index with all attributes.</summary>
internal sealed record IndexDefinition(string Name, KeyAttribute Hash, KeyAttribute Range);

/// <summary>A table's layout.</summary>
internal sealed record TableDefinition(KeyAttribute Hash, KeyAttribute Range, IndexDefinition[] Indexes, string? TimeToLive = null)
{
    /// <summary>Creates it with these tags.</summary>
    public CreateTableRequest ToRequest(string table, IReadOnlyDictionary<string, string> tags)
    {
        var attributes = new[] { Hash, Range }.Concat(Indexes.SelectMany(static index => new[] { index.Hash, index.Range })).Distinct();
        var request = new CreateTableRequest
        {
            TableName = table,
            BillingMode = BillingMode.PAY_PER_REQUEST,
            KeySchema = Keys(Hash, Range),
            AttributeDefinitions = [.. attributes.Select(static attribute => new AttributeDefinition(attribute.Name, attribute.Type))],
        };
        if (Indexes.Length > 0)
        {
            request.GlobalSecondaryIndexes = [.. Indexes.Select(static index => new GlobalSecondaryIndex
            {
                IndexName = index.Name,
                KeySchema = Keys(index.Hash, index.Range),
                Projection = new() { ProjectionType = ProjectionType.ALL },
            })];
        }

        if (tags.Count > 0)
        {
            request.Tags = [.. tags.OrderBy(static tag => tag.Key, StringComparer.Ordinal).Select(static tag => new Tag { Key = tag.Key, Value = tag.Value })];
        }

        return request;
    }

    /// <summary>What of an existing table is not as it must be; empty if all is.</summary>
    public IEnumerable<string> Problems(TableDescription found)
    {
        if (!Same(found.KeySchema, Hash, Range))
        {
            yield return $"its keys are {Text(found.KeySchema)}, not {Hash.Name} and {Range.Name}";
        }

        foreach (var index in Indexes)
        {
            var match = found.GlobalSecondaryIndexes?.Find(other => other.IndexName == index.Name);
            if (match is null)
            {
                yield return $"it has no index {index.Name} on {index.Hash.Name} and {index.Range.Name}";
            }
            else if (!Same(match.KeySchema, index.Hash, index.Range))
            {
                yield return $"the keys of its index {index.Name} are {Text(match.KeySchema)}, not {index.Hash.Name} and {index.Range.Name}";
            }
        }
    }

    private static List<KeySchemaElement> Keys(KeyAttribute hash, KeyAttribute range) => [new(hash.Name, KeyType.HASH), new(range.Name, KeyType.RANGE)];

    private static bool Same(List<KeySchemaElement>? keys, KeyAttribute hash, KeyAttribute range) =>
        keys is [var first, var second] && first.AttributeName == hash.Name && second.AttributeName == range.Name;

    private static string Text(List<KeySchemaElement>? keys) => string.Join(" and ", keys?.Select(static key => key.AttributeName) ?? []);
}
