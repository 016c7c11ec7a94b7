using System.Diagnostics.CodeAnalysis;

namespace OrleansInference.LocalAws.Objects;

/// <summary>Where an object or a prefix is.</summary>
/// <param name="Bucket">The bucket.</param>
/// <param name="Key">The key, or a prefix of keys.</param>
internal readonly record struct S3Location(string Bucket, string Key)
{
    /// <summary>Reads <c>s3://bucket/key</c>, or <c>https://</c> in either of S3's forms.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out S3Location location)
    {
        location = default;
        if (text is null)
        {
            return false;
        }

        if (text.StartsWith("s3://", StringComparison.Ordinal))
        {
            var slash = text.IndexOf('/', 5);
            location = slash < 0 ? new(text[5..], "") : new(text[5..slash], text[(slash + 1)..]);
            return location.Bucket.Length > 0;
        }

        if (!text.StartsWith("https://", StringComparison.Ordinal) || !Uri.TryCreate(text, UriKind.Absolute, out var address))
        {
            return false;
        }

        var path = Uri.UnescapeDataString(address.AbsolutePath[1..]);
        var virtualHost = address.Host.IndexOf(".s3", StringComparison.Ordinal);
        var end = path.IndexOf('/', StringComparison.Ordinal);
        location = virtualHost > 0 ? new(address.Host[..virtualHost], path) : end < 0 ? new(path, "") : new(path[..end], path[(end + 1)..]);
        return location.Bucket.Length > 0;
    }

    /// <inheritdoc/>
    public override string ToString() => $"s3://{Bucket}/{Key}";
}
