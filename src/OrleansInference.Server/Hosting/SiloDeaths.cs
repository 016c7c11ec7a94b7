namespace OrleansInference.Hosting;

/// <summary>Says in one line that a silo of the cluster is dead, and which silos declared it so. One that left in order is no matter for a warning.</summary>
internal sealed class SiloDeaths(IClusterMembershipService membership, IMembershipTable table, ILogger<SiloDeaths> logger) : BackgroundService
{
    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var alive = new HashSet<SiloAddress>();
        await foreach (var snapshot in membership.MembershipUpdates.WithCancellation(stoppingToken))
        {
            alive.RemoveWhere(silo => !snapshot.Members.ContainsKey(silo));
            foreach (var (silo, member) in snapshot.Members)
            {
                if (member.Status != SiloStatus.Dead)
                {
                    alive.Add(silo);
                }
                else if (alive.Remove(silo))
                {
                    await TellAsync(silo, stoppingToken);
                }
            }
        }
    }

    private async Task TellAsync(SiloAddress silo, CancellationToken stoppingToken)
    {
        var by = "the others";
        try
        {
            var row = await table.ReadRowAsync(silo, stoppingToken);
            if (row.Members is [{ Item1: { } entry }, ..])
            {
                if (entry.SuspectTimes is not { Count: > 0 } suspicions)
                {
                    logger.Left(silo);
                    return;
                }

                by = string.Join(", ", suspicions.Select(static suspicion => suspicion.Item1).Distinct());
            }
        }
        catch (Exception exception)
        {
            // That it is dead is known all the same.
            logger.NotRead(exception, silo);
        }

        logger.Dead(silo, by);
    }
}

internal static partial class SiloDeathsLog
{
    [LoggerMessage(1, LogLevel.Warning, "Silo {Silo} is dead, declared by {By}. Its grains come up on the others when they are asked for; its server is to be started again if nothing does so.")]
    public static partial void Dead(this ILogger logger, SiloAddress silo, string by);

    [LoggerMessage(2, LogLevel.Information, "Silo {Silo} has left.")]
    public static partial void Left(this ILogger logger, SiloAddress silo);

    [LoggerMessage(3, LogLevel.Debug, "Who declared silo {Silo} dead could not be read.")]
    public static partial void NotRead(this ILogger logger, Exception exception, SiloAddress silo);
}
