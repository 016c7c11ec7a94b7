using Microsoft.Extensions.Logging;

namespace OrleansInference.DynamoDB;

/// <summary>What is told of tables.</summary>
public static partial class TableLog
{
    /// <summary>Tells that a table was created, but without its tags.</summary>
    /// <param name="logger">Whom.</param>
    /// <param name="table">The table.</param>
    /// <param name="problem">Why.</param>
    [LoggerMessage(30, LogLevel.Warning, "DynamoDB table {Table} was created without tags, so that a bill by tags leaves it out: {Problem} Tag it by hand, or permit dynamodb:TagResource.")]
    public static partial void CreatedWithoutTags(this ILogger logger, string table, string problem);
}
