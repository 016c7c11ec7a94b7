using System.Globalization;
using System.Text;
using Amazon.DynamoDBv2.Model;
using Item = System.Collections.Generic.Dictionary<string, Amazon.DynamoDBv2.Model.AttributeValue>;

namespace OrleansInference.DynamoDB;

/// <summary>Attribute values, read and written.</summary>
internal static class Items
{
    /// <summary>Most bytes of an item, with the names of its attributes.</summary>
    public const int MostBytes = 400 * 1024;

    public static AttributeValue S(string text) => new() { S = text };

    public static AttributeValue N(long number) => new() { N = number.ToString(CultureInfo.InvariantCulture) };

    public static string? Text(this Item item, string name) => item.TryGetValue(name, out var value) ? value.S : null;

    public static long Number(this Item item, string name, long otherwise = 0) =>
        item.TryGetValue(name, out var value) && long.TryParse(value.N, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : otherwise;

    /// <summary>An item's size as DynamoDB counts it: names and texts in UTF-8, bytes as they are, a number about half its digits.</summary>
    public static long Size(this Item item)
    {
        var size = 0L;
        foreach (var (name, value) in item)
        {
            size += Encoding.UTF8.GetByteCount(name) + (value.S is { } text ? Encoding.UTF8.GetByteCount(text) : value.N is { } number ? (number.Length / 2) + 2 : value.B?.Length ?? 1);
        }

        return size;
    }
}
