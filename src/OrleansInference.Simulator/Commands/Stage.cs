using System.Diagnostics;

namespace OrleansInference.Simulator.Commands;

/// <summary>A piece of work whose progress is shown. One thread works, another shows.</summary>
internal sealed class Stage(string name)
{
    private long _began;
    private double _share;

    /// <summary>Its name.</summary>
    public string Name { get; } = name;

    /// <summary>What is done before a share of it can be told; null while there is none such.</summary>
    public string? Preparing { get; private set; }

    /// <summary>Share that is done, 0..1.</summary>
    public double Share
    {
        get => Volatile.Read(ref _share);
        private set => Volatile.Write(ref _share, value);
    }

    /// <summary>Whether it has begun.</summary>
    public bool HasBegun => Volatile.Read(ref _began) != 0;

    /// <summary>Wall time left; null while that is not known.</summary>
    public TimeSpan? Left => Share is > 0.001 and < 1 ? Stopwatch.GetElapsedTime(Volatile.Read(ref _began)) * ((1 - Share) / Share) : null;

    /// <summary>Work has begun that is of unknown length.</summary>
    public void Prepare(string what)
    {
        Preparing = what;
        Volatile.Write(ref _began, Stopwatch.GetTimestamp());
    }

    /// <summary>Work has begun.</summary>
    public void Begin()
    {
        Preparing = null;
        Volatile.Write(ref _began, Stopwatch.GetTimestamp());
    }

    /// <summary>A share is done.</summary>
    public void Reach(double share) => Share = share;
}
