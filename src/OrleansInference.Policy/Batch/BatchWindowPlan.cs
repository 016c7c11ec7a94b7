namespace OrleansInference.Batch;

// How long its rounds take, with how many instances, and how its members are packed for them.
public sealed partial class BatchWindow
{
    /// <summary>How long a job of so many members took beyond the requests themselves, if it took <paramref name="tookMs"/>.</summary>
    public double OverheadOf(int members, double tookMs) => Math.Max(0, tookMs - ServiceOf(members, Instances));

    private static long Tightest(List<StoredMember> members) => members.Count == 0 ? long.MaxValue : members.Min(static member => member.Deadline);

    private double ServiceOf(int members, int instances)
    {
        var slots = (double)instances * Math.Max(1, Endpoint.ConcurrencyPerInstance);
        return Math.Ceiling(members / slots) * Endpoint.Prior.ServiceP50Seconds * 1000;
    }

    // What may go wrong on the way is unknown, so a quarter is added.
    private long PredictedMs(int members, int instances) => TakesMs(members, instances, 1.25);

    // Fewer instances than there may be take all the longer if requests do: it may be twice what is believed.
    private long LongestMs(int members, int instances) => TakesMs(members, instances, 2);

    // The last of the records may be a slow one.
    private long TakesMs(int members, int instances, double caution) =>
        (long)((caution * (record.OverheadMs + ServiceOf(members, instances))) + (Endpoint.Prior.ServiceP99Seconds * 1000) + limits.LookEveryMs);

    /// <summary>
    /// The fewest instances on which a round of some members is done by the tightest of their deadlines, for each of them pays the start; if the most are not enough, the fewest that are as quick.
    /// </summary>
    private int FewestFor(List<StoredMember> members, long now)
    {
        var takes = Math.Max(Tightest(members) - now, LongestMs(members.Count, MostInstances));
        var instances = 1;
        while (instances < MostInstances && LongestMs(members.Count, instances) > takes)
        {
            instances++;
        }

        return instances;
    }

    // SageMaker deals the objects out: each instance is to have as many of one size.
    private List<List<int>> Pack(int members)
    {
        var shares = Instances * ((members + (Instances * limits.MaxObjectMembers) - 1) / (Instances * limits.MaxObjectMembers));
        var most = members == 0 ? 0 : (members + shares - 1) / shares;
        List<List<int>> objects = [];
        long bytes = 0;
        for (var index = 0; index < members; index++)
        {
            var size = record.Members[index].Bytes + 1;
            if (objects.Count == 0 || objects[^1].Count >= most || bytes + size > limits.MaxObjectBytes)
            {
                objects.Add([]);
                bytes = 0;
            }

            objects[^1].Add(index);
            bytes += size;
        }

        return objects;
    }
}
