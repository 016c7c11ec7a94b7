using OrleansInference.Routing;

namespace OrleansInference.Simulator.Policies;

/// <summary>What each silo of a cluster knows of an endpoint by itself: the calls that it has sent, and the environments that they have warmed.</summary>
internal sealed class SiloViews
{
    private const int MostEnvironments = 1_000;

    private readonly int[][] _inFlight;
    private readonly EnvironmentPool[] _environments;

    public SiloViews(int silos)
    {
        _inFlight = [.. Enumerable.Range(0, silos).Select(static _ => new int[3])];
        _environments = [.. Enumerable.Range(0, silos).Select(static _ => new EnvironmentPool(MostEnvironments))];
    }

    /// <summary>The silo that a request has come to.</summary>
    public int SiloOf(in Request request) => (int)(request.Number % _inFlight.Length);

    /// <summary>A call begins.</summary>
    public void Begin(in Request request, long now)
    {
        var silo = SiloOf(request);
        _inFlight[silo][(int)request.Class]++;
        _environments[silo].Begin(now);
    }

    /// <summary>A call ended.</summary>
    public void End(in Request request, long now)
    {
        var silo = SiloOf(request);
        _inFlight[silo][(int)request.Class]--;
        _environments[silo].End(now);
    }

    /// <summary>What a request's silo knows, where so many slots are free on all silos together.</summary>
    public CandidateLoad Load(in Request request, bool isServerless, int free, int waiting, long now)
    {
        var silo = SiloOf(request);
        var (inFlight, urgent) = (0, 0);
        for (var each = 0; each < _inFlight[silo].Length; each++)
        {
            inFlight += _inFlight[silo][each];
            urgent += each < (int)request.Class ? _inFlight[silo][each] : 0;
        }

        return new()
        {
            InFlight = inFlight,
            InFlightUrgent = urgent,
            Waiting = waiting,
            Available = waiting > 0 ? 0 : (Math.Max(0, free) + _inFlight.Length - 1 - silo) / _inFlight.Length,
            WarmEnvironments = isServerless ? _environments[silo].WarmIdle(now) : 0,
        };
    }
}
