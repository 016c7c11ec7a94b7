using System.Text.Json;

namespace OrleansInference.Tests.Signing;

/// <summary>Requests of the JavaScript SDK as its signer signed them: what <c>sigv4-vectors.mjs</c> of the wire tests prints.</summary>
internal sealed record ReferenceVectors
{
    public static readonly ReferenceVectors Captured = JsonSerializer.Deserialize<ReferenceVectors>(
        File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Signing", "sigv4-vectors.json")), JsonSerializerOptions.Web)!;

    public required DateTimeOffset Time { get; init; }

    public required string AccessKeyId { get; init; }

    public required string SecretAccessKey { get; init; }

    public required IReadOnlyList<ReferenceVector> Vectors { get; init; }

    public ReferenceVector this[string name] => Vectors.Single(vector => vector.Name == name);
}

/// <summary>One operation of the SDK with one input.</summary>
internal sealed record ReferenceVector
{
    public required string Name { get; init; }

    public required string Operation { get; init; }

    public required string Region { get; init; }

    public required bool Fips { get; init; }

    public Uri? Endpoint { get; init; }

    public string? SessionToken { get; init; }

    /// <summary>Why the router's own client cannot be given this input; null if it can.</summary>
    public string? SignerOnly { get; init; }

    public required JsonElement Input { get; init; }

    public required string Method { get; init; }

    /// <summary>Scheme, host and port.</summary>
    public required string Address { get; init; }

    public required string Path { get; init; }

    public required byte[] Body { get; init; }

    /// <summary>The request just as the SDK sends it.</summary>
    public required ReferenceSignature Sdk { get; init; }

    /// <summary>The request without what the SDK alone adds: its names of itself and of the attempt, the length, a type that nobody gave.</summary>
    public required ReferenceSignature Bare { get; init; }
}

/// <summary>What the SDK's signer made of a request.</summary>
internal sealed record ReferenceSignature(IReadOnlyDictionary<string, string> Headers, string CanonicalRequest, string Authorization);
