using OrleansInference.Configuration;
using OrleansInference.DynamoDB;
using OrleansInference.Hosting;

namespace OrleansInference.Diagnosis;

/// <summary>The tables of a cluster.</summary>
internal static class ClusterTables
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(1);

    /// <summary>Each table with its name; none if the settings name no cluster.</summary>
    public static IEnumerable<(string Name, TableExamination Table)> Of(ServerSettings settings)
    {
        if (settings.Cluster is not { } cluster)
        {
            yield break;
        }

        yield return (cluster.MembershipTable, TableExamination.OfMembership(StateHosting.Fill(new DynamoDBClusteringOptions(), settings, cluster, cluster.MembershipTable)));
        yield return (cluster.GrainTable, TableExamination.OfGrainState(StateHosting.Fill(new DynamoDBStorageOptions(), settings, cluster, cluster.GrainTable)));
        yield return (cluster.ReminderTable, TableExamination.OfReminders(StateHosting.Fill(new DynamoDBReminderStorageOptions(), settings, cluster, cluster.ReminderTable)));
    }

    /// <summary>
    /// Waits until the tables can be used, naming what is wrong in one line each time and looking again after a pause that doubles up to a minute: a server that ended instead would be
    /// started again at once, for ever.
    /// </summary>
    public static async Task WaitForAsync(ServerSettings settings, ILogger logger, TimeProvider time, CancellationToken cancellationToken)
    {
        foreach (var (name, table) in Of(settings))
        {
            for (var pause = FirstPause; ; pause = pause * 2 < LongestPause ? pause * 2 : LongestPause)
            {
                try
                {
                    await table.ExamineAsync(cancellationToken);
                    break;
                }
                catch (Exception exception) when (!cancellationToken.IsCancellationRequested && AwsProblem.Of(exception) is not null)
                {
                    var problem = AwsProblem.Of(exception)!.Value;
                    logger.TableUnusable(name, problem.Detail, problem.Remedy, pause.TotalSeconds);
                }

                await Task.Delay(pause, time, cancellationToken);
            }
        }
    }
}

internal static partial class ClusterTablesLog
{
    [LoggerMessage(20, LogLevel.Error, "DynamoDB table {Table}: {Problem} {Remedy} Tried again in {Seconds} s.")]
    public static partial void TableUnusable(this ILogger logger, string table, string problem, string remedy, double seconds);
}
