using System.Text.Json.Serialization;
using OrleansInference.Pricing;

namespace OrleansInference.Capacity;

/// <summary>What AWS has billed for an endpoint, kept as it is stored.</summary>
public sealed record CapacityCost
{
    private const int MaxBookings = 1024;

    /// <summary>Booked for good: earlier prices, serverless use, transform jobs.</summary>
    [JsonPropertyName("booked")] public Money Booked { get; init; }

    /// <summary>Instance-milliseconds at the present price.</summary>
    [JsonPropertyName("instanceMs")] public long InstanceMs { get; init; }

    /// <summary>The present price of an instance-second.</summary>
    [JsonPropertyName("price")] public Money Price { get; init; }

    /// <summary>Unix ms up to which instances are counted; 0 before the first count.</summary>
    [JsonPropertyName("at")] public long At { get; init; }

    /// <summary>Instances in service since <see cref="At"/>.</summary>
    [JsonPropertyName("instances")] public int Instances { get; init; }

    /// <summary>What tenants were charged.</summary>
    [JsonPropertyName("charged")] public Money Charged { get; init; }

    /// <summary>Requests answered.</summary>
    [JsonPropertyName("predictions")] public long Predictions { get; init; }

    /// <summary>Bookings that have been made, so that a repeated one changes nothing; the oldest are forgotten first.</summary>
    [JsonPropertyName("bookings")] public IReadOnlyList<string> Bookings { get; init; } = [];

    /// <summary>The cost so far.</summary>
    [JsonIgnore] public Money Total => Booked + OperatorCost.OfInstances(Price, InstanceMs);

    /// <summary>Counts the instances up to now; from now on there are <paramref name="instances"/>.</summary>
    public CapacityCost Advance(long now, int instances) => this with
    {
        InstanceMs = At == 0 ? InstanceMs : InstanceMs + (Instances * Math.Max(0, now - At)),
        At = Math.Max(At, now),
        Instances = instances,
    };

    /// <summary>What was counted keeps its price.</summary>
    public CapacityCost Reprice(Money price) => price == Price ? this : this with { Booked = Total, InstanceMs = 0, Price = price };

    /// <summary>Adds what was used beside instances.</summary>
    public CapacityCost Add(Money cost, Money charged, long predictions) => this with { Booked = Booked + cost, Charged = Charged + charged, Predictions = Predictions + predictions };

    /// <summary>Books once.</summary>
    public CapacityCost Book(string bookingId, Money cost, Money charged, int predictions) => Bookings.Contains(bookingId)
        ? this
        : Add(cost, charged, predictions) with { Bookings = [.. Bookings.Skip(Math.Max(0, Bookings.Count + 1 - MaxBookings)), bookingId] };
}
