using Orleans.Storage;
using OrleansInference.Budgets;

namespace OrleansInference.Tenants;

/// <summary>
/// The pages of a tenant's ledger, each a stored state of its grain. Their ETags fence them as the grain's own fences that: a page that another activation
/// has written since is not written over.
/// </summary>
internal sealed class ReservationPageStore(IGrainStorage storage, GrainId grain)
{
    private const int AtOnce = 32;
    private static readonly ReservationPage Nothing = new();

    private readonly List<GrainState<ReservationPage>> _pages = [];

    /// <summary>How many pages are known.</summary>
    public int Known => _pages.Count;

    /// <summary>
    /// Reads pages until so many are known, and gives those read; one that is not stored is empty. A page must be known before a state of the grain is written
    /// that precedes the page's own write: that the state could be written shows that nobody else has taken over since.
    /// </summary>
    public async Task<IReadOnlyList<ReservationPage>> KnowAsync(int count)
    {
        var read = new List<ReservationPage>();
        while (_pages.Count < count)
        {
            var first = _pages.Count;
            GrainState<ReservationPage>[] next = [.. Enumerable.Range(first, Math.Min(AtOnce, count - first)).Select(static number => new GrainState<ReservationPage>(new() { Number = number }))];
            await Task.WhenAll(next.Select((page, i) => storage.ReadStateAsync(NameOf(first + i), grain, page)));
            foreach (var page in next)
            {
                // What a page holds is kept by the ledger.
                read.Add((page.State ?? Nothing) with { Number = _pages.Count });
                page.State = Nothing;
                _pages.Add(page);
            }
        }

        return read;
    }

    /// <summary>Completes when the pages are durable.</summary>
    public Task WriteAsync(IReadOnlyList<ReservationPage> pages) => Task.WhenAll(pages.Select(WriteOneAsync).ToList());

    private async Task WriteOneAsync(ReservationPage page)
    {
        var state = _pages[page.Number];
        state.State = page;
        await storage.WriteStateAsync(NameOf(page.Number), grain, state);
        state.State = Nothing;
    }

    private static string NameOf(int number) => $"reservations-{number}";
}
