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
    /// started again at once, for ever. Meanwhile its front door says that it lives and what it waits for.
    /// </summary>
    public static async Task WaitForAsync(ServerSettings settings, ILogger logger, TimeProvider time, CancellationToken cancellationToken)
    {
        await using var room = new Room();
        foreach (var (name, table) in Of(settings))
        {
            await UntilUsedAsync(
                settings,
                room,
                name,
                async cancel =>
                {
                    if (await table.OpenAsync(cancel) is { } untagged)
                    {
                        logger.CreatedWithoutTags(name, untagged);
                    }
                },
                logger,
                time,
                cancellationToken);
        }
    }

    /// <summary>Uses grain state, and in a cluster waits alike until its table lets it.</summary>
    public static async Task WaitForAsync(ServerSettings settings, Func<CancellationToken, Task> use, ILogger logger, TimeProvider time, CancellationToken cancellationToken)
    {
        if (settings.Cluster is not { } cluster)
        {
            await use(cancellationToken);
            return;
        }

        await using var room = new Room();
        await UntilUsedAsync(settings, room, cluster.GrainTable, use, logger, time, cancellationToken);
    }

    /// <summary>
    /// Rests after something of AWS kept the server from starting though its tables had been found usable, such as a table that is throttled under the load of others: a server that ended
    /// at once would be started again at once. Meanwhile its front door says that it lives and what is wrong.
    /// </summary>
    /// <param name="settings">The server's.</param>
    /// <param name="problem">What was wrong.</param>
    /// <param name="pause">How long.</param>
    /// <param name="logger">Is told in one line.</param>
    /// <param name="time">The wall's time.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static async Task RestAsync(ServerSettings settings, AwsProblem problem, TimeSpan pause, ILogger logger, TimeProvider time, CancellationToken cancellationToken)
    {
        logger.NotStarted(problem.Detail.TrimEnd('.'), problem.Remedy, pause.TotalSeconds);
        await using var room = new Room();
        await room.SayAsync(settings, $"{problem.Detail.TrimEnd('.')}. {problem.Remedy}", cancellationToken);
        await Task.Delay(pause, time, cancellationToken);
    }

    /// <summary>The first pause before something is tried again (null), or the one after <paramref name="last"/>: twice as long, up to a minute.</summary>
    public static TimeSpan Pause(TimeSpan? last) => last is not { } pause ? FirstPause : pause * 2 < LongestPause ? pause * 2 : LongestPause;

    private static async Task UntilUsedAsync(ServerSettings settings, Room room, string table, Func<CancellationToken, Task> use, ILogger logger, TimeProvider time, CancellationToken cancellationToken)
    {
        for (var pause = Pause(null); ; pause = Pause(pause))
        {
            try
            {
                await use(cancellationToken);
                return;
            }
            catch (Exception exception) when (!cancellationToken.IsCancellationRequested && AwsProblem.Of(exception) is not null)
            {
                var problem = AwsProblem.Of(exception)!.Value;
                logger.TableUnusable(table, problem.Detail.TrimEnd('.'), problem.Remedy, pause.TotalSeconds);
                await room.SayAsync(settings, $"DynamoDB table {table}: {problem.Detail.TrimEnd('.')}. {problem.Remedy}", cancellationToken);
            }

            await Task.Delay(pause, time, cancellationToken);
        }
    }

    /// <summary>The waiting room, which is opened if there is something to wait for.</summary>
    private sealed class Room : IAsyncDisposable
    {
        private WaitingRoom? _room;

        public async Task SayAsync(ServerSettings settings, string waitsFor, CancellationToken cancellationToken)
        {
            _room ??= await WaitingRoom.OpenAsync(settings, waitsFor, cancellationToken);
            _room.WaitsFor = waitsFor;
        }

        public ValueTask DisposeAsync() => _room?.DisposeAsync() ?? ValueTask.CompletedTask;
    }
}

internal static partial class ClusterTablesLog
{
    [LoggerMessage(20, LogLevel.Error, "DynamoDB table {Table}: {Problem}. {Remedy} Tried again in {Seconds} s.")]
    public static partial void TableUnusable(this ILogger logger, string table, string problem, string remedy, double seconds);

    [LoggerMessage(21, LogLevel.Error, "The silo could not start: {Problem}. {Remedy} The server ends in {Seconds} s, to be started again.")]
    public static partial void NotStarted(this ILogger logger, string problem, string remedy, double seconds);

    [LoggerMessage(22, LogLevel.Error, "The catalog could not be put in force, and until it is the server takes no requests. Tried again in {Seconds} s.")]
    public static partial void CatalogNotInForce(this ILogger logger, Exception exception, double seconds);
}
