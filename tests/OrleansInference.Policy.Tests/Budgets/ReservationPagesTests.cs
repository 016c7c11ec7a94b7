using System.Text.Json;
using OrleansInference.Budgets;

namespace OrleansInference.Tests.Budgets;

/// <summary>Reservations in pages, against all of them in one list.</summary>
public sealed class ReservationPagesTests
{
    private const int Histories = 2_000;
    private const int Steps = 400;

    private static readonly TenantDefinition Tenant = new() { Id = new("t"), Budgets = [new() { Kind = BudgetWindowKind.CalendarDay, Limit = Money.FromDollars(1_000_000) }] };

    [Fact]
    public void Whichever_writes_a_crash_falls_between_the_reservations_are_those_of_the_last_durable_state()
    {
        Assert.Empty(Enumerable.Range(0, Histories).AsParallel().Select(Play).Where(static problem => problem is not null).Take(3));
    }

    [Fact]
    public void A_ledger_that_was_stored_whole_goes_on_in_pages()
    {
        var ledger = new TenantLedger(Tenant);
        var whole = new TenantLedgerState { Now = 1_000, Reservations = [.. Enumerable.Range(0, 5_000).Select(static i => new ReservationRecord { Id = $"r{i}", Amount = 1, AdmittedAt = 900, ExpiresAt = 1_000_000 })], Reserved = [0, 86_400, 5_000] };
        whole = JsonSerializer.Deserialize<TenantLedgerState>(JsonSerializer.Serialize(whole))!;

        ledger = new(Tenant, whole);
        var pages = ledger.TakePages();
        ledger.PagesStored();
        var state = ledger.ToState();

        Assert.Null(state.Reservations);
        Assert.Equal(5_000, pages.Sum(static page => page.Reservations.Count));
        Assert.Equal(pages.Count, state.Pages);
        ledger = new(Tenant, state, pages: pages);
        Assert.Equal(SettleOutcome.Settled, ledger.Settle("r4321", Money.FromNanos(1), 2_000));
        Assert.Equal(Money.FromNanos(4_999), ledger.GetView(2_000).Reserved);
    }

    [Fact]
    public void What_a_write_stores_does_not_grow_with_the_open_reservations()
    {
        var ledger = new TenantLedger(Tenant);
        var (most, largest, written) = (0, 0, 0L);
        const int Count = 20_000;
        for (var i = 0; i < Count; i++)
        {
            Assert.True(ledger.Reserve($"tenant/{i:x26}/1795941203692", Money.FromNanos(1), 1_000_000_000, 1_000 + i).Granted);
            most = Math.Max(most, JsonSerializer.SerializeToUtf8Bytes(ledger.ToState()).Length);
            var pages = ledger.TakePages();
            written += pages.Sum(static page => page.Reservations.Count);
            largest = Math.Max(largest, pages.Select(static page => JsonSerializer.SerializeToUtf8Bytes(page).Length).DefaultIfEmpty().Max());
            ledger.PagesStored();
        }

        Assert.InRange(most, 1, 20_000);
        Assert.InRange(largest, 1, 40_000);
        Assert.InRange(written, Count, 3L * Count);
    }

    [Fact]
    public void Pages_of_reservations_that_have_ended_are_used_again()
    {
        var ledger = new TenantLedger(Tenant);
        for (var i = 0; i < 50_000; i++)
        {
            ledger.Reserve($"r{i}", Money.FromNanos(1), 100_000_000, 1_000 + i);
            if (i >= 500)
            {
                ledger.Settle($"r{i - 500}", Money.FromNanos(1), 1_000 + i);
            }

            ledger.TakePages();
            ledger.PagesStored();
        }

        Assert.InRange(ledger.ToState().Pages, 1, 100);
    }

    private static string? Play(int seed)
    {
        var random = new Random(seed);
        var store = new Dictionary<int, ReservationPage>();
        var durable = (Pages: 0, Changed: (IReadOnlyList<ReservationRecord>)[], Now: 0L, Open: "");
        var (now, names) = (0L, 0);
        var reservations = Open();
        IReadOnlyList<ReservationPage> due = [];
        for (var step = 0; step < Steps; step++)
        {
            now += random.Next(40) == 0 ? random.Next(5_000_000) : random.Next(1_000);
            reservations.Expire(now);
            var open = reservations.All.Where(static r => r.Status == ReservationStatus.Pending).ToList();
            if (open.Count == 0 || random.Next(5) < 3)
            {
                // Now and then under a name that was used before, and may have been forgotten.
                var id = $"r{(random.Next(6) == 0 ? random.Next(names + 1) : ++names)}";
                if (reservations.Find(id) is null)
                {
                    reservations.Put(new() { Id = id, Amount = random.Next(1, 1_000), AdmittedAt = now, ExpiresAt = now + random.Next(1, 2_000_000) });
                }
            }
            else
            {
                var one = open[random.Next(open.Count)];
                reservations.Put(one with { Status = ReservationStatus.Released });
            }

            // One write of the owner: the state, beside it the pages that were taken when the state before was captured.
            var diesAt = random.Next(15) == 0 ? random.Next(due.Count + 1) : -1;
            var stateFirst = random.Next(2) == 0;
            for (var i = 0; i < due.Count && i != diesAt; i++)
            {
                store[due[i].Number] = due[i];
            }

            if (diesAt < 0 || stateFirst)
            {
                durable = (reservations.Pages.Count, reservations.Pages.Changed ?? [], now, OpenOf(reservations));
            }

            if (diesAt >= 0)
            {
                now = durable.Now;
                (reservations, due) = (Open(), []);
                if (OpenOf(reservations) != durable.Open)
                {
                    return $"seed {seed}, step {step}: {OpenOf(reservations)} instead of {durable.Open}";
                }

                continue;
            }

            if (due.Count > 0)
            {
                reservations.Pages.Stored();
            }

            due = reservations.TakePages();
        }

        return null;

        Reservations Open() => new(
            [.. Enumerable.Range(0, durable.Pages).Select(number => store.GetValueOrDefault(number) ?? new ReservationPage { Number = number })],
            durable.Changed,
            durable.Now,
            new(pageSize: 4, storeAfter: 3),
            maxEnded: 6);

        static string OpenOf(Reservations reservations) =>
            string.Join(' ', reservations.All.Where(static r => r.Status == ReservationStatus.Pending).Select(static r => $"{r.Id}={r.Amount}").Order(StringComparer.Ordinal));
    }
}
