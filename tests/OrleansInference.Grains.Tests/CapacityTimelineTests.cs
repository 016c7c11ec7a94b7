using System.Text.Json;
using OrleansInference.Capacity;

namespace OrleansInference.Tests;

/// <summary>What AWS bills, over random histories, against a list of every instance with its own start and end.</summary>
public sealed class CapacityTimelineTests
{
    private const int Histories = 3_000;

    [Fact]
    public void Every_timeline_costs_what_its_instances_cost_one_by_one()
    {
        for (var seed = 0; seed < Histories; seed++)
        {
            var problem = Run(seed);
            Assert.True(problem is null, $"seed {seed}: {problem}");
        }
    }

    private static string? Run(int seed)
    {
        var random = new Random(seed);
        var bill = new Bill();
        var cost = new CapacityCost();
        var now = random.NextInt64(1, 1_000_000);
        var bookings = 0;
        for (var step = random.Next(1, 60); step > 0; step--)
        {
            now += random.Next(4) == 0 ? random.NextInt64(86_400_000) : random.NextInt64(5_000);

            // Now and then a clock is behind what was counted already: what was counted stands.
            var seen = random.Next(8) == 0 ? Math.Max(1, now - random.NextInt64(10_000)) : now;
            switch (random.Next(6))
            {
                case 0:
                    var price = Money.FromNanos(random.NextInt64(5_000_000));
                    cost = cost.Advance(seen, cost.Instances).Reprice(price);
                    bill.Reprice(seen, price);
                    break;
                case 1:
                    var (used, charged, predictions) = (Money.FromNanos(random.NextInt64(1_000_000)), Money.FromNanos(random.NextInt64(1_000_000)), random.Next(10));
                    cost = cost.Add(used, charged, predictions);
                    bill.Use(used, charged, predictions);
                    break;
                case 2:
                    var (id, window) = (random.Next(bookings + 1), Money.FromNanos(random.NextInt64(1_000_000)));
                    cost = cost.Book($"window-{id}", window, window * 2, 3);
                    if (id == bookings)
                    {
                        bookings++;
                        bill.Use(window, window * 2, 3);
                    }

                    break;
                case 3:
                    // The grain is loaded anew from what it stored.
                    cost = JsonSerializer.Deserialize<CapacityCost>(JsonSerializer.Serialize(cost))!;
                    break;
                default:
                    var instances = random.Next(4) == 0 ? 0 : random.Next(1, 9);
                    cost = cost.Advance(seen, instances);
                    bill.Scale(seen, instances);
                    break;
            }

            if (cost.Total != bill.Total(cost.At))
            {
                return $"{cost.Total} with {step} steps left, but the instances cost {bill.Total(cost.At)}";
            }
        }

        cost = cost.Advance(now += 1_000, 0);
        bill.Scale(now, 0);
        return (cost.Total, cost.Charged, cost.Predictions) == (bill.Total(now), bill.Charged, bill.Predictions) ? null
            : $"{cost.Total}, {cost.Charged} and {cost.Predictions} at the end, but {bill.Total(now)}, {bill.Charged} and {bill.Predictions} by the bill";
    }

    /// <summary>Each instance from its start to its end, each price from one change to the next; AWS rounds a price's time up once.</summary>
    private sealed class Bill
    {
        private readonly List<(long From, long? To)> _instances = [];
        private readonly List<(long From, Money Price)> _prices = [(0, Money.Zero)];
        private Money _used;
        private long _at;

        public Money Charged { get; private set; }

        public long Predictions { get; private set; }

        public void Scale(long at, int instances)
        {
            at = _at = Math.Max(_at, at);
            for (var i = 0; i < _instances.Count; i++)
            {
                if (_instances[i].To is null)
                {
                    _instances[i] = (_instances[i].From, at);
                }
            }

            for (var i = 0; i < instances; i++)
            {
                _instances.Add((at, null));
            }
        }

        public void Reprice(long at, Money price)
        {
            _at = Math.Max(_at, at);
            if (price != _prices[^1].Price)
            {
                _prices.Add((_at, price));
            }
        }

        public void Use(Money cost, Money charged, int predictions)
        {
            _used += cost;
            Charged += charged;
            Predictions += predictions;
        }

        public Money Total(long until)
        {
            var nanos = _used.Nanos;
            for (var i = 0; i < _prices.Count; i++)
            {
                var (from, to) = (_prices[i].From, i + 1 < _prices.Count ? _prices[i + 1].From : until);
                var milliseconds = (Int128)0;
                foreach (var instance in _instances)
                {
                    milliseconds += Math.Max(0, Math.Min(instance.To ?? until, to) - Math.Max(instance.From, from));
                }

                var (whole, rest) = Int128.DivRem(milliseconds * _prices[i].Price.Nanos, 1_000);
                nanos += (long)whole + (rest > 0 ? 1 : 0);
            }

            return Money.FromNanos(nanos);
        }
    }
}
