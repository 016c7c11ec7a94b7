using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace OrleansInference.Jobs;

/// <summary>Names a job across tenants, and everything that is named after it.</summary>
/// <param name="Tenant">Who pays.</param>
/// <param name="JobId">The id: 26 characters of a-z and 2-7.</param>
public readonly record struct JobAddress(TenantId Tenant, string JobId)
{
    private const string Alphabet = "abcdefghijklmnopqrstuvwxyz234567";
    private const int IdLength = 26;
    private const int MaxInferenceId = 64;
    private const string Root = "jobs";

    private static readonly SearchValues<char> IdCharacters = SearchValues.Create(Alphabet);

    /// <summary>Key of the job's grain, and id of its reservation.</summary>
    public string Key => $"{Tenant}/{JobId}";

    /// <summary>Key prefix of everything stored for the job.</summary>
    public string Prefix => $"{Root}/{Tenant}/{JobId}/";

    /// <summary>Key of the result of the batch lane, and of a deferred job.</summary>
    public string OutputKey => Prefix + "output";

    /// <summary>SageMaker's id of its inference: the key where that fits, so that a notification finds the grain; else a digest of it.</summary>
    public string InferenceId => Key.Length <= MaxInferenceId ? Key : Encode(SHA256.HashData(Encoding.UTF8.GetBytes(Key)));

    /// <summary>The id of a job with an idempotency key: always the same one.</summary>
    public static string IdOf(TenantId tenant, string idempotencyKey) =>
        Encode(SHA256.HashData(Encoding.UTF8.GetBytes($"{tenant}\n{idempotencyKey}")));

    /// <summary>An id from at least 16 random bytes.</summary>
    public static string IdOf(ReadOnlySpan<byte> random) => Encode(random);

    /// <summary>Key of an input object; <paramref name="submission"/> keeps two submissions of one job apart.</summary>
    public string InputKey(string submission) => $"{Prefix}input-{submission}";

    /// <summary>Reads a grain key or an inference id.</summary>
    public static bool TryParse([NotNullWhen(true)] string? key, out JobAddress address)
    {
        address = default;
        if (key?.IndexOf('/', StringComparison.Ordinal) is not (> 0 and var slash)
            || !TenantId.TryParse(key[..slash], out var tenant)
            || !IsId(key.AsSpan(slash + 1)))
        {
            return false;
        }

        address = new(tenant, key[(slash + 1)..]);
        return true;
    }

    /// <summary>Finds the job in an <c>s3://</c> address below <see cref="Prefix"/>.</summary>
    public static bool TryFind([NotNullWhen(true)] string? location, out JobAddress address)
    {
        address = default;
        var parts = location?.Split('/') ?? [];
        for (var i = 0; i + 2 < parts.Length; i++)
        {
            if (parts[i] == Root && TryParse($"{parts[i + 1]}/{parts[i + 2]}", out address))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Whether <paramref name="text"/> can be a job's id.</summary>
    public static bool IsId(ReadOnlySpan<char> text) => text.Length == IdLength && text.IndexOfAnyExcept(IdCharacters) < 0;

    private static string Encode(ReadOnlySpan<byte> bytes)
    {
        // Five bits a character; 26 of them hold 130 bits, so that the last takes its missing two as zero.
        Span<char> text = stackalloc char[IdLength];
        for (var i = 0; i < IdLength; i++)
        {
            var value = 0;
            for (var bit = i * 5; bit < (i * 5) + 5; bit++)
            {
                value = (value << 1) | (bit < 128 ? (bytes[bit / 8] >> (7 - (bit % 8))) & 1 : 0);
            }

            text[i] = Alphabet[value];
        }

        return new(text);
    }
}
