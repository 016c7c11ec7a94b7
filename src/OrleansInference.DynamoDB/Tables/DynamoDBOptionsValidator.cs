using System.Text.RegularExpressions;
using Amazon;

namespace OrleansInference.DynamoDB;

/// <summary>What the options must be, checked before the silo or client starts.</summary>
internal sealed partial class DynamoDBOptionsValidator(DynamoDBClientOptions options, string owner) : IConfigurationValidator
{
    public void ValidateConfiguration()
    {
        if (!TableNames().IsMatch(options.TableName ?? ""))
        {
            throw Problem(nameof(options.TableName), $"is '{options.TableName}'; a table's name has 3 to 255 letters, digits, hyphens, underscores and dots");
        }

        if (!IsService(options.Service))
        {
            throw Problem(nameof(options.Service), $"is '{options.Service}'; it must be a region such as eu-central-1, or an http or https URL");
        }

        if (options.UseFips && TableClient.IsUrl(options.Service, out _))
        {
            throw Problem(nameof(options.UseFips), $"and a URL as {nameof(options.Service)} exclude each other: name the FIPS address itself, or a region");
        }

        if (string.IsNullOrEmpty(options.AccessKey) != string.IsNullOrEmpty(options.SecretKey))
        {
            throw Problem(nameof(options.SecretKey), $"and {nameof(options.AccessKey)} must be given together, or neither");
        }

        if (!string.IsNullOrEmpty(options.Token) && string.IsNullOrEmpty(options.AccessKey))
        {
            throw Problem(nameof(options.Token), $"is given without {nameof(options.AccessKey)}");
        }

        if (options is DynamoDBStorageOptions { TimeToLive: { } ttl } && ttl <= TimeSpan.Zero)
        {
            throw Problem(nameof(DynamoDBStorageOptions.TimeToLive), $"is {ttl}; it must be greater than 0");
        }
    }

    private OrleansConfigurationException Problem(string option, string problem) => new($"{owner}: {option} {problem}.");

    // The SDK takes any name for a region, and would look for it where there is nothing.
    private static bool IsService(string? service) =>
        !string.IsNullOrWhiteSpace(service)
        && (TableClient.IsUrl(service, out _) || (RegionNames().IsMatch(service) && RegionEndpoint.GetBySystemName(service) is not null));

    [GeneratedRegex("^[A-Za-z0-9_.-]{3,255}$")]
    private static partial Regex TableNames();

    [GeneratedRegex("^[a-z]{2,4}(-[a-z]+)+-[0-9]+$")]
    private static partial Regex RegionNames();
}
