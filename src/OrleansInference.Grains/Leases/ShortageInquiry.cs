using System.Diagnostics.CodeAnalysis;

namespace OrleansInference.Leases;

/// <summary>
/// Asks a tenant's ledger what there is for an amount. Many ask at once in a flood that cannot be paid: one message is under way at
/// a time, and takes the amounts of all who came meanwhile, up to a bound.
/// </summary>
[SuppressMessage("Design", "CA1001:Types that own disposable fields should be disposable", Justification = "The semaphore's wait handle is never asked for, so there is nothing to dispose.")]
internal sealed class ShortageInquiry(ITenantGrain grain)
{
    private const int MaxAmounts = 64;

    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _gate = new(1, 1);
    private Round? _next;

    /// <summary>What there was after the call began; null if there is no such tenant or it has no budget.</summary>
    public async Task<BudgetShortage?> AskAsync(Money amount)
    {
        Task<IReadOnlyDictionary<Money, BudgetShortage>> answers;
        lock (_lock)
        {
            var round = _next is { } waiting && (waiting.Amounts.Count < MaxAmounts || waiting.Amounts.Contains(amount)) ? waiting : _next = new();
            round.Amounts.Add(amount);
            answers = round.Answers ??= RunAsync(round);
        }

        return (await answers).GetValueOrDefault(amount);
    }

    private async Task<IReadOnlyDictionary<Money, BudgetShortage>> RunAsync(Round round)
    {
        await Task.Yield();
        await _gate.WaitAsync();
        try
        {
            Money[] amounts;
            lock (_lock)
            {
                _next = ReferenceEquals(_next, round) ? null : _next;
                amounts = [.. round.Amounts];
            }

            return (await grain.GetShortages([.. amounts])).ToDictionary(static shortage => shortage.Amount);
        }
        finally
        {
            _gate.Release();
        }
    }

    private sealed class Round
    {
        public readonly HashSet<Money> Amounts = [];
        public Task<IReadOnlyDictionary<Money, BudgetShortage>>? Answers;
    }
}
