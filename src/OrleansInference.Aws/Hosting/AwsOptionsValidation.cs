using System.Text.RegularExpressions;

namespace OrleansInference.Aws;

/// <summary>Finds every problem of the options at once.</summary>
public static partial class AwsOptionsValidation
{
    /// <summary>The problems, each with the option and what is taken; empty if there are none.</summary>
    public static IReadOnlyList<string> Problems(AwsOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var problems = new List<string>();
        if (!RegionName().IsMatch(options.Region ?? ""))
        {
            problems.Add($"Region '{options.Region}' is not the name of a region, such as 'us-east-1'.");
        }

        Address(nameof(options.Endpoint), options.Endpoint);
        Address(nameof(options.RuntimeEndpoint), options.RuntimeEndpoint);
        Address(nameof(options.ControlPlaneEndpoint), options.ControlPlaneEndpoint);
        Address(nameof(options.S3Endpoint), options.S3Endpoint);
        Address(nameof(options.SqsEndpoint), options.SqsEndpoint);
        if (string.IsNullOrEmpty(options.AccessKeyId) != string.IsNullOrEmpty(options.SecretAccessKey))
        {
            problems.Add("AccessKeyId and SecretAccessKey go together: set both, or none to use the SDK's chain.");
        }

        if (!string.IsNullOrEmpty(options.SessionToken) && string.IsNullOrEmpty(options.AccessKeyId))
        {
            problems.Add("SessionToken needs the AccessKeyId and SecretAccessKey it was issued with.");
        }

        Range(nameof(options.ConnectTimeout), options.ConnectTimeout, TimeSpan.FromMinutes(1));
        Range(nameof(options.InvocationTimeout), options.InvocationTimeout, TimeSpan.FromHours(1));
        Range(nameof(options.ControlPlaneTimeout), options.ControlPlaneTimeout, TimeSpan.FromMinutes(10));
        Range(nameof(options.RetryBaseDelay), options.RetryBaseDelay, TimeSpan.FromSeconds(20));
        if (options.MaxAttempts is < 1 or > 10)
        {
            problems.Add($"MaxAttempts is {options.MaxAttempts}: 1 to 10 are taken.");
        }

        if (options.MaxConnections is < 1 or > 65_536)
        {
            problems.Add($"MaxConnections is {options.MaxConnections}: 1 to 65536 are taken.");
        }

        return problems;

        void Address(string name, Uri? address)
        {
            if (address is null)
            {
                return;
            }

            if (!address.IsAbsoluteUri || address.Scheme is not ("http" or "https") || address.Query.Length > 0 || address.Fragment.Length > 0 || address.UserInfo.Length > 0)
            {
                problems.Add($"{name} must be an absolute http or https address without user, query and fragment.");
            }

            if (options.UseFips)
            {
                problems.Add($"UseFips and {name} exclude each other: set the FIPS address itself, or none.");
            }
        }

        void Range(string name, TimeSpan value, TimeSpan longest)
        {
            if (value <= TimeSpan.Zero || value > longest)
            {
                problems.Add($"{name} is {value}: more than zero and at most {longest} are taken.");
            }
        }
    }

    [GeneratedRegex(@"^[a-z]{2,8}(-[a-z]{1,16}){1,3}-[0-9]{1,2}\z")]
    private static partial Regex RegionName();
}
