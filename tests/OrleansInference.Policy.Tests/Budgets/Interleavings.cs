using OrleansInference.Budgets;

namespace OrleansInference.Tests.Budgets;

/// <summary>
/// Runs a few threads in every order of their atomic steps that has at most so many preemptions (most races show with two:
/// Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007). One thread runs at a time; at each step a choice is
/// made, and the choices are searched depth first.
/// </summary>
internal sealed class Interleavings(int maxPreemptions)
{
    [ThreadStatic]
    private static Fiber? _fiber;

    private readonly List<(int Chosen, int Options)> _path = [];
    private Fiber[] _fibers = [];
    private int _depth;
    private int _preemptions;

    /// <summary>Plays <paramref name="scenario"/>, which gives the threads and a check at the end, in every order; returns how many there were.</summary>
    public int Explore(Func<Interleavings, (Action[] Threads, Action Check)> scenario, int atMost)
    {
        for (var runs = 1; ; runs++)
        {
            var (threads, check) = scenario(this);
            Play(threads);
            check();
            Assert.True(runs <= atMost, $"more than {atMost} orders: make the scenario smaller");
            while (_path.Count > 0 && _path[^1].Chosen + 1 == _path[^1].Options)
            {
                _path.RemoveAt(_path.Count - 1);
            }

            if (_path.Count == 0)
            {
                return runs;
            }

            _path[^1] = (_path[^1].Chosen + 1, _path[^1].Options);
        }
    }

    private void Play(Action[] threads)
    {
        (_depth, _preemptions) = (0, 0);
        _fibers = [.. threads.Select((body, i) => new Fiber(this, i, body))];
        Array.ForEach(_fibers, static f => f.Start());
        Choose(null)!.Go.Release();
        Array.ForEach(_fibers, static f => f.Join());
        if (Array.Find(_fibers, static f => f.Failure is not null) is { } failed)
        {
            throw new InvalidOperationException($"Order {string.Join(' ', _path.Select(static p => p.Chosen))}: {failed.Failure!.Message}", failed.Failure);
        }
    }

    // Going on is the first option; another thread counts as a preemption unless the present one has ended.
    private Fiber? Choose(Fiber? current)
    {
        var others = _fibers.Where(f => f != current && !f.IsDone).ToArray();
        var goesOn = current is { IsDone: false };
        var options = goesOn ? (_preemptions < maxPreemptions ? 1 + others.Length : 1) : others.Length;
        if (options == 0)
        {
            return null;
        }

        if (_depth == _path.Count)
        {
            _path.Add((0, options));
        }

        var chosen = _path[_depth++].Chosen;
        if (!goesOn)
        {
            return others[chosen];
        }

        _preemptions += chosen > 0 ? 1 : 0;
        return chosen == 0 ? current : others[chosen - 1];
    }

    private void Yield(Fiber fiber)
    {
        var next = Choose(fiber)!;
        if (next != fiber)
        {
            next.Go.Release();
            fiber.Go.Wait();
        }
    }

    private void End(Fiber fiber)
    {
        fiber.IsDone = true;
        Choose(fiber)?.Go.Release();
    }

    /// <summary>Stands before every atomic step of the lease under test.</summary>
    internal readonly struct Step : ILeaseStep
    {
        public void Next()
        {
            if (_fiber is { } fiber)
            {
                fiber.Owner.Yield(fiber);
            }
        }

        public int Local(int cells) => _fiber is { } fiber ? fiber.Index % cells : 0;
    }

    private sealed class Fiber(Interleavings owner, int index, Action body)
    {
        private Thread? _thread;

        public Interleavings Owner { get; } = owner;

        public int Index { get; } = index;

        public SemaphoreSlim Go { get; } = new(0);

        public bool IsDone { get; set; }

        public Exception? Failure { get; private set; }

        public void Start()
        {
            _thread = new(Run, maxStackSize: 256 * 1024);
            _thread.Start();
        }

        public void Join() => _thread!.Join();

        private void Run()
        {
            _fiber = this;
            Go.Wait();
            try
            {
                body();
            }
            catch (Exception e)
            {
                Failure = e;
            }

            Owner.End(this);
        }
    }
}
