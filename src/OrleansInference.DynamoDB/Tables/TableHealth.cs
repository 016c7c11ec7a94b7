using System.Collections.Concurrent;

namespace OrleansInference.DynamoDB;

/// <summary>
/// Which tables of this process could not be used when they were last called: to be shown, and counted. A condition that did not hold is no failure. Thread-safe.
/// </summary>
/// <param name="failed">Is told the table of each call that failed, after its repetitions; null: nobody is. It must not throw.</param>
/// <param name="time">The wall's time; null: the system's.</param>
public sealed class TableHealth(Action<string>? failed = null, TimeProvider? time = null)
{
    private readonly ConcurrentDictionary<string, TableTrouble> _troubles = new(StringComparer.Ordinal);
    private readonly TimeProvider _time = time ?? TimeProvider.System;

    /// <summary>The tables whose last call failed, by name.</summary>
    public IReadOnlyList<TableTrouble> Troubles => _troubles.IsEmpty ? [] : [.. _troubles.Values.OrderBy(static trouble => trouble.Table, StringComparer.Ordinal)];

    internal void Failed(string table, Exception problem)
    {
        var now = _time.GetUtcNow();
        _troubles.AddOrUpdate(table, new TableTrouble(table, now, now, problem), (_, known) => known with { At = now, Problem = problem });
        failed?.Invoke(table);
    }

    internal void Succeeded(string table)
    {
        // Each call comes by here, and hardly ever is there anything.
        if (!_troubles.IsEmpty)
        {
            _troubles.TryRemove(table, out _);
        }
    }
}

/// <summary>A table that cannot be used.</summary>
/// <param name="Table">Its name.</param>
/// <param name="Since">When the first of its calls failed after which none succeeded.</param>
/// <param name="At">When the last of them did.</param>
/// <param name="Problem">What that ended with.</param>
public sealed record TableTrouble(string Table, DateTimeOffset Since, DateTimeOffset At, Exception Problem);
