using FsCheck.Xunit;
using OrleansInference.Simulator.Bounds;

namespace OrleansInference.Tests.Bounds;

public sealed class IdlePricesTests
{
    private const int Bins = 6;

    [Property(MaxTest = 2000)]
    public void Prices_tell_what_can_be_saved_at_most(int seed)
    {
        var random = new Random(seed);
        int[] levels = [0, random.Next(1, 60), random.Next(60, 200)];
        var capacity = Enumerable.Range(0, random.Next(1, Bins)).Select(_ => (double)random.Next(4)).ToArray();
        var work = Enumerable.Range(0, random.Next(8))
            .Select(_ => (Bin: random.Next(Bins), Length: random.Next(4), Amount: random.Next(1, 4), Worth: IdlePrices.WorthOf(levels[random.Next(levels.Length)])))
            .OrderBy(static each => each.Bin)
            .ToArray();

        var idle = new IdlePrices();
        foreach (var (bin, length, amount, worth) in work)
        {
            idle.Add(bin, bin + length, amount, worth);
        }

        var prices = idle.Of(capacity);
        var least = new LeastInWindow(prices);
        var bound = capacity.Zip(prices, static (room, price) => room * (1 - price)).Sum()
            + work.Sum(each => each.Amount * Math.Min(each.Worth, least.Of(each.Bin, each.Bin + each.Length, 1)));

        Assert.All(prices, static price => Assert.InRange(price, 0, 1));
        Assert.Equal(capacity.Sum() + work.Sum(static each => each.Amount * each.Worth) - MostSaved(capacity, work), bound, 1e-9);
    }

    [Property]
    public void Least_in_a_window_is_the_least(byte[] values, byte one, byte other)
    {
        if (values.Length == 0)
        {
            return;
        }

        var (from, to) = (one % values.Length, other % values.Length);
        if (from > to)
        {
            (from, to) = (to, from);
        }

        Assert.Equal(values[from..(to + 1)].Min(), new LeastInWindow([.. values.Select(static value => (double)value)]).Of(from, to, 1000));
    }

    // Units of work by falling worth, each taken if augmenting paths find a slot for it and all before it.
    private static double MostSaved(double[] capacity, (int Bin, int Length, int Amount, double Worth)[] work)
    {
        var slots = capacity.SelectMany(static (room, bin) => Enumerable.Repeat(bin, (int)room)).ToArray();
        var units = work.SelectMany(static each => Enumerable.Repeat(each, each.Amount)).OrderByDescending(static each => each.Worth).ToArray();
        var takenBy = Enumerable.Repeat(-1, slots.Length).ToArray();
        return Enumerable.Range(0, units.Length).Where(unit => Augment(unit, new bool[slots.Length])).Sum(unit => units[unit].Worth);

        bool Augment(int unit, bool[] isSeen)
        {
            for (var slot = 0; slot < slots.Length; slot++)
            {
                if (!isSeen[slot] && slots[slot] >= units[unit].Bin && slots[slot] <= units[unit].Bin + units[unit].Length)
                {
                    isSeen[slot] = true;
                    if (takenBy[slot] < 0 || Augment(takenBy[slot], isSeen))
                    {
                        takenBy[slot] = unit;
                        return true;
                    }
                }
            }

            return false;
        }
    }
}
