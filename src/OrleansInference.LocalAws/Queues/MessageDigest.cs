using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Queues;

/// <summary>The MD5 digests by which clients of SQS check what arrived.</summary>
internal static class MessageDigest
{
#pragma warning disable CA5351 // SQS defines these digests as MD5; they guard against accidents only.
    public static string OfBody(string body) => Convert.ToHexStringLower(MD5.HashData(Encoding.UTF8.GetBytes(body)));

    /// <summary>By name: length and name, length and type, 1 for text or 2 for bytes, length and value.</summary>
    public static string OfAttributes(IReadOnlyDictionary<string, JsonElement> attributes)
    {
        using var md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        foreach (var (name, attribute) in attributes.OrderBy(a => a.Key, StringComparer.Ordinal))
        {
            var type = attribute.ValueKind == JsonValueKind.Object ? attribute.Text("DataType") : null;
            Append(md5, Encoding.UTF8.GetBytes(name));
            Append(md5, Encoding.UTF8.GetBytes(type ?? throw Invalid(name)));
            if (type.StartsWith("Binary", StringComparison.Ordinal))
            {
                md5.AppendData([2]);
                Append(md5, attribute.TryGetProperty("BinaryValue", out var binary) && binary.TryGetBytesFromBase64(out var bytes) ? bytes : throw Invalid(name));
            }
            else
            {
                md5.AppendData([1]);
                Append(md5, Encoding.UTF8.GetBytes(attribute.Text("StringValue") ?? throw Invalid(name)));
            }
        }

        return Convert.ToHexStringLower(md5.GetHashAndReset());
    }
#pragma warning restore CA5351

    private static AwsFault Invalid(string name) => new(400, "InvalidParameterValue", $"The message attribute '{name}' must have a DataType and a value of it.");

    private static void Append(IncrementalHash md5, ReadOnlySpan<byte> value)
    {
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, value.Length);
        md5.AppendData(length);
        md5.AppendData(value);
    }
}
