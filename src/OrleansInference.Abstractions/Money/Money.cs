using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace OrleansInference;

/// <summary>
/// An amount of US dollars as a whole number of nano-dollars (10⁻⁹ $). Arithmetic is exact and throws
/// <see cref="OverflowException"/> rather than wrap; there is no conversion from floating point.
/// </summary>
[GenerateSerializer, Immutable, Alias("oi.Money")]
[JsonConverter(typeof(MoneyJsonConverter))]
public readonly record struct Money : IComparable<Money>, IComparable
{
    /// <summary>Nano-dollars in one dollar.</summary>
    public const long NanosPerDollar = 1_000_000_000;

    /// <summary>No money.</summary>
    public static readonly Money Zero;

    /// <summary>The largest amount that can be held: about 9.2 billion dollars.</summary>
    public static readonly Money MaxValue = new(long.MaxValue);

    private Money(long nanos) => Nanos = nanos;

    /// <summary>The amount in nano-dollars; may be negative (a refund).</summary>
    [Id(0)]
    public long Nanos { get; }

    /// <summary>Whether the amount is below zero.</summary>
    public bool IsNegative => Nanos < 0;

    /// <summary>An amount of <paramref name="nanos"/> nano-dollars.</summary>
    public static Money FromNanos(long nanos) => new(nanos);

    /// <summary>An amount of <paramref name="dollars"/> dollars, exact to the nano-dollar.</summary>
    /// <exception cref="ArgumentException">The amount has more than nine decimals.</exception>
    /// <exception cref="OverflowException">The amount does not fit.</exception>
    public static Money FromDollars(decimal dollars)
    {
        var nanos = dollars * NanosPerDollar;
        if (nanos != decimal.Truncate(nanos))
        {
            throw new ArgumentException($"{dollars.ToString(CultureInfo.InvariantCulture)} $ is finer than a nano-dollar.", nameof(dollars));
        }

        return new(decimal.ToInt64(nanos));
    }

    /// <summary>Reads dollars with up to nine decimals, such as <c>0.25</c>; a leading <c>$</c> is allowed.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out Money money)
    {
        money = Zero;
        if (string.IsNullOrWhiteSpace(text))
        {
            return false;
        }

        var span = text.AsSpan().Trim();
        if (span[0] == '$')
        {
            span = span[1..];
        }

        if (!decimal.TryParse(span, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var dollars)
            || decimal.Abs(dollars) > long.MaxValue / NanosPerDollar)
        {
            return false;
        }

        var nanos = dollars * NanosPerDollar;
        if (nanos != decimal.Truncate(nanos))
        {
            return false;
        }

        money = new(decimal.ToInt64(nanos));
        return true;
    }

    /// <summary>The sum; throws <see cref="OverflowException"/> if it does not fit.</summary>
    public static Money operator +(Money left, Money right) => new(checked(left.Nanos + right.Nanos));

    /// <summary>The difference; throws <see cref="OverflowException"/> if it does not fit.</summary>
    public static Money operator -(Money left, Money right) => new(checked(left.Nanos - right.Nanos));

    /// <summary>The product with a count; throws <see cref="OverflowException"/> if it does not fit.</summary>
    public static Money operator *(Money amount, long count) => new(checked(amount.Nanos * count));

    /// <summary>Whether <paramref name="left"/> is less.</summary>
    public static bool operator <(Money left, Money right) => left.Nanos < right.Nanos;

    /// <summary>Whether <paramref name="left"/> is more.</summary>
    public static bool operator >(Money left, Money right) => left.Nanos > right.Nanos;

    /// <summary>Whether <paramref name="left"/> is not more.</summary>
    public static bool operator <=(Money left, Money right) => left.Nanos <= right.Nanos;

    /// <summary>Whether <paramref name="left"/> is not less.</summary>
    public static bool operator >=(Money left, Money right) => left.Nanos >= right.Nanos;

    /// <summary>The smaller of two amounts.</summary>
    public static Money Min(Money left, Money right) => left.Nanos <= right.Nanos ? left : right;

    /// <summary>The larger of two amounts.</summary>
    public static Money Max(Money left, Money right) => left.Nanos >= right.Nanos ? left : right;

    /// <inheritdoc/>
    public int CompareTo(Money other) => Nanos.CompareTo(other.Nanos);

    /// <inheritdoc/>
    public int CompareTo(object? obj) => obj switch
    {
        null => 1,
        Money other => CompareTo(other),
        _ => throw new ArgumentException("Not an amount of money.", nameof(obj)),
    };

    /// <summary>The amount in dollars, exact.</summary>
    public decimal ToDollars() => (decimal)Nanos / NanosPerDollar;

    /// <summary>Dollars with two to nine decimals, invariant culture, without a currency sign.</summary>
    public override string ToString() => ToDollars().ToString("0.00#######", CultureInfo.InvariantCulture);
}

/// <summary>Writes money as a decimal string of dollars (JSON numbers lose digits in many readers); reads strings and numbers.</summary>
public sealed class MoneyJsonConverter : JsonConverter<Money>
{
    /// <inheritdoc/>
    public override Money Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var text = reader.TokenType switch
        {
            JsonTokenType.String => reader.GetString(),
            JsonTokenType.Number when reader.TryGetDecimal(out var number) => number.ToString(CultureInfo.InvariantCulture),
            _ => null,
        };
        return Money.TryParse(text, out var money)
            ? money
            : throw new JsonException($"'{text}' is not an amount of dollars with at most nine decimals.");
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, Money value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStringValue(value.ToString());
    }
}
