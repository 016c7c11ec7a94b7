using Orleans.Storage;

namespace OrleansInference.DynamoDB;

/// <summary>Options of <see cref="DynamoDBGrainStorage"/>.</summary>
public sealed class DynamoDBStorageOptions : DynamoDBClientOptions, IStorageProviderSerializerOptions
{
    /// <summary>Begins with the official table name.</summary>
    public DynamoDBStorageOptions() => TableName = StateSchema.DefaultTable;

    /// <summary>What distinguishes this service's rows in the table; empty takes the cluster's service id.</summary>
    public string ServiceId { get; set; } = "";

    /// <summary>Whether clearing removes the row; else the row stays, without state, and its ETag counts on.</summary>
    public bool DeleteStateOnClear { get; set; }

    /// <summary>How long after its last write state is kept, counted from each write; null: for good. DynamoDB removes it within days after that.</summary>
    public TimeSpan? TimeToLive { get; set; }

    /// <summary>How state becomes bytes. Default: the silo's own serializer for storage.</summary>
    public IGrainStorageSerializer GrainStorageSerializer { get; set; } = null!;

    /// <summary>The stage of the silo's life at which the table is opened.</summary>
    public int InitStage { get; set; } = ServiceLifecycleStage.ApplicationServices;
}
