using Amazon.DynamoDBv2;

namespace OrleansInference.DynamoDB;

/// <summary>The grain state table's layout, which is that of the official package.</summary>
internal static class StateSchema
{
    public const string DefaultTable = "OrleansGrainState";
    public const string Grain = "GrainReference";
    public const string Name = "GrainType";
    public const string State = "GrainState";
    public const string ETag = "ETag";
    public const string TimeToLive = "GrainTtl";

    /// <summary>Most bytes of a hash key, and of a range key.</summary>
    public const int MostHashBytes = 2048;
    public const int MostRangeBytes = 1024;

    public static TableDefinition Table(bool expires) => new(new(Grain, ScalarAttributeType.S), new(Name, ScalarAttributeType.S), [], expires ? TimeToLive : null);
}
