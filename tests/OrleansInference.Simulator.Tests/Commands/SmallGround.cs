using System.CommandLine;
using System.Globalization;
using OrleansInference.Simulator.Bounds;
using OrleansInference.Simulator.Commands;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Tests.Commands;

/// <summary>A folder with a small trace, and commands that run on it with two simple policies.</summary>
internal sealed class SmallGround : IDisposable
{
    private const int Hours = 3;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("simulator-test");

    public SmallGround()
    {
        var lines = Enumerable.Range(0, Hours * 360).Select(static i => string.Create(
            CultureInfo.InvariantCulture,
            $$"""{"timestamp": {{i * 10_000}}, "input_length": {{100 + (i * 37 % 900)}}, "output_length": {{(i % 500 == 0 ? 100_000 : 10 + (i * 61 % 400))}}}"""));
        File.WriteAllLines(PathOf("trace.jsonl"), lines);
        Bench = new()
        {
            Policies =
            [
                new("always-on", "Four instances, always.", (_, _) => new AlwaysOn("always-on", 4, Arrived)),
                new("target-tracking", "Two instances & no more, <always>.", (_, _) => new AlwaysOn("target-tracking", 2, Arrived)),
            ],
            Read = (name, overrides) => name == "small"
                ? Scenario() with { Days = overrides.Days ?? Hours / 24.0, RateScale = overrides.RateScale ?? 1, Seed = overrides.Seed ?? 1 }
                : Benches.Shipped.Read(name, overrides),
            Shipped = static () => [new("small", "A small one.")],
            LowerBound = static (_, progress, _) =>
            {
                progress(1);
                return new() { Models = [new("chat", Money.Zero, Money.FromNanos(1_234_567_891), Money.Zero) { Classes = [new(), new(), Misses()] }] };
            },
        };
    }

    // Each miss of Low saves a tenth of a dollar, and one of them nothing, for nobody can answer it.
    private static ClassWork Misses()
    {
        var work = new ClassWork();
        work.Add(null);
        for (var i = 0; i < 1_000; i++)
        {
            work.Add(1e8);
        }

        return work;
    }

    public Bench Bench { get; set; }

    public Action Arrived { get; set; } = static () => { };

    public IEnumerable<string> Files => _folder.EnumerateFiles().Select(static file => file.Name).Where(static name => name != "trace.jsonl").Order(StringComparer.Ordinal);

    public string PathOf(string name) => Path.Combine(_folder.FullName, name);

    public async Task<(int ExitCode, string Output, string Error)> RunAsync(string[] args, CancellationToken cancellationToken = default)
    {
        await using var output = new StringWriter(CultureInfo.InvariantCulture);
        await using var error = new StringWriter(CultureInfo.InvariantCulture);
        var exitCode = await SimulatorCommand.RunAsync(args, Bench, new InvocationConfiguration { Output = output, Error = error }, cancellationToken);
        return (exitCode, output.ToString(), error.ToString());
    }

    public Scenario Scenario() => new()
    {
        Name = "small",
        Days = Hours / 24.0,
        Trace = new() { Format = TraceFormat.Requests, File = PathOf("trace.jsonl") },
        Classes = [new(2, 0.99), new(300, 0.999), new(7200, 0.999)],
        Models =
        [
            new()
            {
                Model = "chat",
                Variants =
                [
                    new() { Name = "full", PricePerHour = Money.FromDollars(0.7364m), Concurrency = 1, PrefillTokensPerSecond = 1000, DecodeTokensPerSecond = 50 },
                    new() { Name = "small", Quality = 0.8, PricePerHour = Money.FromDollars(0.2m), Concurrency = 1, PrefillTokensPerSecond = 1000, DecodeTokensPerSecond = 50 },
                ],
                Lanes = [new() { Lane = Lane.Realtime, MinInstances = 1, MaxInstances = 8, ProvisionSeconds = 240, MaxServiceSeconds = 60 }],
            },
        ],
        Tenants =
        [
            new() { Tenant = "acme <&> \"Söhne\"", Model = "chat", Class = TrafficClass.High, Share = 1 },
            new() { Tenant = "bulk", Model = "chat", Class = TrafficClass.Low, Share = 1 },
        ],
    };

    public void Dispose() => _folder.Delete(recursive: true);

    /// <summary>As many instances as at the beginning; requests wait in line. It gives up every hundredth, so that some are.</summary>
    private sealed class AlwaysOn(string name, int instances, Action arrived) : IFleetPolicy
    {
        private readonly Queue<int> _waiting = new();
        private World? _world;
        private Pool? _pool;

        public string Name { get; } = name;

        public string How => $"How {Name} was tuned.";

        public void Begin(World world)
        {
            _world = world;
            _pool = world.AddPool(0, 0, world.Scenario.Models[0].Lanes[0], instances);
        }

        public void Arrived(int request)
        {
            arrived();
            _world!.Log?.Decided(_world.Requests[request].Number, new()
            {
                AtSeconds = _world.NowUs / 1_000_000m,
                Text = "the only pool there is",
                Candidates =
                [
                    new() { Name = "chat-rt", Lane = Lane.Realtime, Variant = "full", Chosen = true, Quote = new Dictionary<string, double> { ["waitSeconds"] = 0.5, ["costUsd"] = 0.001 } },
                    new() { Name = "chat-small-rt", Lane = Lane.Realtime, Variant = "small", Dropped = "quality 0.8 is below the floor 0.9" },
                ],
            });
            _waiting.Enqueue(request);
            Serve();
        }

        public void Ended(in OrleansInference.Simulator.Fleet.Request request, Pool pool) => Serve();

        public void CameIntoService(Pool pool)
        {
        }

        public void JobEnded(Pool job)
        {
        }

        public void Due(int timer)
        {
        }

        public void Closing()
        {
        }

        public int WaitingFor(Pool pool) => _waiting.Count;

        private void Serve()
        {
            while (_pool!.InUse < _pool.Slots && _waiting.TryDequeue(out var next))
            {
                if (_world!.Requests[next].Number % 100 == 99)
                {
                    _world.Miss(next);
                }
                else
                {
                    _world.Start(next, _pool);
                }
            }
        }
    }
}
