using System.Diagnostics.CodeAnalysis;

namespace OrleansInference.Jobs;

/// <summary>An object's address, <c>s3://bucket/key</c>.</summary>
internal readonly record struct S3Address(string Bucket, string Key)
{
    private const string Scheme = "s3://";

    public static bool TryParse([NotNullWhen(true)] string? text, out S3Address address)
    {
        address = default;
        if (text is null || !text.StartsWith(Scheme, StringComparison.Ordinal))
        {
            return false;
        }

        var slash = text.IndexOf('/', Scheme.Length);
        if (slash <= Scheme.Length || slash == text.Length - 1)
        {
            return false;
        }

        address = new(text[Scheme.Length..slash], text[(slash + 1)..]);
        return true;
    }

    public override string ToString() => $"{Scheme}{Bucket}/{Key}";
}
