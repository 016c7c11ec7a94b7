using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace OrleansInference.Aws.Payloads;

/// <summary>The tags of what is created. They take rights of their own, and not every emulator knows them: what cannot be tagged is used without, and a warning says so.</summary>
internal sealed partial class CreationTags(IReadOnlyDictionary<string, string>? tags, ILogger<CreationTags>? logger)
{
    private readonly ILogger _logger = logger ?? NullLogger<CreationTags>.Instance;

    /// <summary>The tags.</summary>
    public IReadOnlyDictionary<string, string> Tags { get; } = tags ?? ImmutableDictionary<string, string>.Empty;

    /// <summary>Whether a refusal may be about the tags alone, or about what is tagged as well.</summary>
    public bool MayBeWhy(string? errorCode) => Tags.Count > 0
        && (errorCode is null or "NotImplemented" or "UnknownOperationException" or "InvalidParameterValue" or "UnsupportedOperation" or "MethodNotAllowed"
            || errorCode.Contains("AccessDenied", StringComparison.Ordinal));

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Kind} {Name} was created without tags, so that a bill by tags leaves it out: {Problem} Tag it by hand, or permit {Right}.")]
    public partial void Untagged(string kind, string name, string problem, string right);
}
