using Amazon;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.SQS;
using OrleansInference.Aws.Credentials;
using OrleansInference.Aws.ServiceEndpoints;

namespace OrleansInference.Aws.Payloads;

/// <summary>The clients of the official SDK, configured.</summary>
internal static class SdkClients
{
    public static IAmazonS3 S3(AwsOptions options, ServiceAddresses addresses, CredentialSource credentials)
    {
        var config = new AmazonS3Config
        {
            ForcePathStyle = addresses.S3 is not null,

            // The signature covers the body's SHA-256 already: a second checksum would only force the body into signed chunks.
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
        };
        Configure(config, options, addresses.S3);
        return credentials.Configured is { } configured ? new AmazonS3Client(configured, config) : new AmazonS3Client(config);
    }

    public static IAmazonSQS Sqs(AwsOptions options, ServiceAddresses addresses, CredentialSource credentials)
    {
        var config = new AmazonSQSConfig();
        Configure(config, options, addresses.Sqs);
        return credentials.Configured is { } configured ? new AmazonSQSClient(configured, config) : new AmazonSQSClient(config);
    }

    private static void Configure(ClientConfig config, AwsOptions options, Uri? address)
    {
        if (address is null)
        {
            config.RegionEndpoint = RegionEndpoint.GetBySystemName(options.Region);
            if (options.UseFips)
            {
                // Set to false it would outdo the environment and the profile.
                config.UseFIPSEndpoint = true;
            }
        }
        else
        {
            config.ServiceURL = address.AbsoluteUri;
            config.AuthenticationRegion = options.Region;
        }

        config.RetryMode = RequestRetryMode.Standard;
        config.MaxErrorRetry = options.MaxAttempts - 1;
        config.ConnectTimeout = options.ConnectTimeout;
    }
}
