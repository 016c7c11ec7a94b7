using OrleansInference.Latency;
using OrleansInference.Routing;

namespace OrleansInference.Tests;

/// <summary>Silos that report, a grain that is lost again and again, snapshots that are lost on the way: every sample counts once.</summary>
public sealed class UnmergedReportsTests
{
    private static readonly EndpointName Endpoint = new("chat-rt");
    private static readonly ModelDefinition Model = new() { Name = new("chat") };

    [Fact]
    public void Every_sample_counts_once_however_often_the_grain_is_lost()
    {
        for (var seed = 0; seed < 500; seed++)
        {
            var random = new Random(seed);
            var silos = Enumerable.Range(0, 1 + random.Next(4)).Select(static i => new Silo($"silo-{i}")).ToArray();
            var grain = new Grain();
            var recorded = 0;
            for (var step = 0; step < 60; step++)
            {
                var silo = silos[random.Next(silos.Length)];
                switch (random.Next(10))
                {
                    case < 4:
                        var samples = random.Next(1, 5);
                        recorded += samples;
                        silo.Beat(grain, samples, random.Next(4) == 0 ? random.Next(3) : int.MaxValue);
                        break;
                    case < 8:
                        var snapshot = grain.Publish();
                        foreach (var listener in silos.Where(_ => random.Next(4) > 0))
                        {
                            listener.Take(snapshot);
                        }

                        break;
                    case 8:
                        grain.Store();
                        break;
                    default:
                        // What nobody was shown is with those who reported it. Two losses are a few beats apart.
                        grain.Lose();
                        Calm(grain, silos);
                        break;
                }
            }

            Calm(grain, silos);
            Assert.True(recorded == grain.Count, $"seed {seed}: {recorded} recorded, {grain.Count} counted");
            Assert.All(silos, silo => Assert.Empty(silo.Reports.ToSend()));
        }
    }

    [Fact]
    public void What_is_kept_is_bounded()
    {
        var reports = new UnmergedReports("silo");
        for (var i = 1; i <= 10_000; i++)
        {
            reports.Add(Report("silo", i, 1));
        }

        Assert.InRange(reports.ToSend().Length, 1, 200);
        Assert.Equal(10_000, reports.ToSend()[^1].Sequence);
    }

    private static void Calm(Grain grain, Silo[] silos)
    {
        for (var beat = 0; beat < 3; beat++)
        {
            var snapshot = grain.Publish();
            foreach (var silo in silos)
            {
                silo.Take(snapshot);
                silo.Beat(grain, 0, int.MaxValue);
            }
        }
    }

    private static LatencyReport Report(string holder, long sequence, int samples) => new()
    {
        Holder = holder,
        Sequence = sequence,
        Deltas = samples == 0 ? [] : [new() { Endpoint = Endpoint, Phase = LatencyPhase.Service, FirstBucket = 100, Counts = [samples] }],
    };

    private sealed class Silo(string name)
    {
        private long _sequence;
        private RoutingSnapshot? _snapshot;

        public UnmergedReports Reports { get; } = new(name);

        public void Beat(Grain grain, int samples, int arrive)
        {
            if (samples > 0)
            {
                Reports.Add(Report(name, ++_sequence, samples));
            }

            if (Reports.Recovery is { } recovery)
            {
                grain.Recover(recovery);
                Reports.Recovered(recovery);
            }

            foreach (var report in Reports.ToSend())
            {
                if (arrive-- <= 0)
                {
                    return;
                }

                grain.Merge(report);

                // The answer may be lost, and the report with it for all that the silo knows.
                if (arrive == 0)
                {
                    return;
                }

                Reports.Sent(report);
            }
        }

        public void Take(RoutingSnapshot snapshot)
        {
            if (_snapshot is null || snapshot.Version > _snapshot.Version)
            {
                Reports.Took(snapshot, _snapshot);
                _snapshot = snapshot;
            }
        }
    }

    private sealed class Grain
    {
        private LatencyStatistics _latency = new(new() { Version = 0 }, 0);
        private LatencyRecovery _stored = new() { Version = 0 };
        private int _activation;
        private long _version;

        public int Count => _latency.Publish(0).Sum(static delta => delta.Counts.Sum());

        public void Merge(LatencyReport report) => _latency.Merge(report, 0);

        public void Recover(LatencyRecovery recovery) => _latency.Recover(recovery, 0);

        public void Store() => _stored = new() { Version = _version, Latency = _latency.Publish(0), Reported = _latency.Reported(0) };

        public void Lose()
        {
            _activation++;
            _latency = new(_stored, 0);
        }

        public RoutingSnapshot Publish() => new()
        {
            Model = Model,
            Version = ++_version,
            Latency = _latency.Publish(0),
            Activation = $"activation {_activation}",
            Reported = _latency.Reported(0),
        };
    }
}
