using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OrleansInference.Aws;
using OrleansInference.Aws.ServiceEndpoints;
using OrleansInference.Batch;
using OrleansInference.Capacity;
using OrleansInference.Invocation;
using OrleansInference.Payloads;

namespace OrleansInference.Tests.Clients;

public sealed class AwsOptionsTests
{
    [Theory]
    [InlineData("us-east-1", false, "https://runtime.sagemaker.us-east-1.amazonaws.com/", "https://api.sagemaker.us-east-1.amazonaws.com/")]
    [InlineData("cn-north-1", false, "https://runtime.sagemaker.cn-north-1.amazonaws.com.cn/", "https://api.sagemaker.cn-north-1.amazonaws.com.cn/")]
    [InlineData("us-west-2", true, "https://runtime-fips.sagemaker.us-west-2.amazonaws.com/", "https://api-fips.sagemaker.us-west-2.amazonaws.com/")]
    [InlineData("us-gov-west-1", true, "https://runtime.sagemaker.us-gov-west-1.amazonaws.com/", "https://api-fips.sagemaker.us-gov-west-1.amazonaws.com/")]
    [InlineData("cn-northwest-1", true, "https://runtime.sagemaker-fips.cn-northwest-1.amazonaws.com.cn/", "https://api.sagemaker-fips.cn-northwest-1.amazonaws.com.cn/")]
    [InlineData("us-iso-east-1", false, "https://runtime.sagemaker.us-iso-east-1.c2s.ic.gov/", "https://api.sagemaker.us-iso-east-1.c2s.ic.gov/")]
    [InlineData("us-isob-east-1", false, "https://runtime.sagemaker.us-isob-east-1.sc2s.sgov.gov/", "https://api.sagemaker.us-isob-east-1.sc2s.sgov.gov/")]
    [InlineData("eusc-de-east-1", false, "https://runtime.sagemaker.eusc-de-east-1.amazonaws.eu/", "https://api.sagemaker.eusc-de-east-1.amazonaws.eu/")]
    public void A_region_has_its_own_addresses(string region, bool fips, string runtime, string controlPlane)
    {
        var addresses = ServiceAddresses.Of(new() { Region = region, UseFips = fips });

        Assert.Equal((runtime, controlPlane), (addresses.Runtime.AbsoluteUri, addresses.ControlPlane.AbsoluteUri));
        Assert.Null(addresses.S3);
        Assert.Null(addresses.Sqs);
    }

    [Fact]
    public void A_service_s_own_address_goes_before_that_of_all()
    {
        var addresses = ServiceAddresses.Of(new() { Endpoint = new("http://all:1"), SqsEndpoint = new("http://sqs:2/base"), RuntimeEndpoint = new("http://rt:3/base/") });

        Assert.Equal("http://all:1/", addresses.S3!.AbsoluteUri);
        Assert.Equal("http://all:1/", addresses.ControlPlane.AbsoluteUri);
        Assert.Equal("http://sqs:2/base", addresses.Sqs!.AbsoluteUri);
        Assert.Equal("http://rt:3/base/endpoints/e", ServiceAddresses.Below(addresses.Runtime, "/endpoints/e").AbsoluteUri);
    }

    [Fact]
    public void Every_problem_is_named_at_once()
    {
        var options = new AwsOptions
        {
            Region = "nowhere",
            Endpoint = new("ftp://x/"),
            S3Endpoint = new("/relative", UriKind.Relative),
            UseFips = true,
            AccessKeyId = "AKID",
            SessionToken = "t",
            ConnectTimeout = TimeSpan.Zero,
            InvocationTimeout = TimeSpan.FromHours(2),
            MaxAttempts = 11,
            MaxConnections = 0,
        };

        var failures = Assert.Throws<OptionsValidationException>(() => new ServiceCollection().AddAwsClients(options)).Failures.ToList();

        foreach (var word in new[] { "Region", "Endpoint must", "S3Endpoint must", "UseFips and Endpoint", "SecretAccessKey", "ConnectTimeout", "InvocationTimeout", "MaxAttempts", "MaxConnections" })
        {
            Assert.Contains(failures, failure => failure.Contains(word, StringComparison.Ordinal));
        }

        Assert.DoesNotContain(failures, failure => failure.Contains("AKID", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_defaults_register_every_client_without_touching_the_network()
    {
        await using var provider = new ServiceCollection().AddAwsClients(new() { Region = "eu-west-1" }).BuildServiceProvider();

        Assert.NotNull(provider.GetRequiredService<IModelRuntime>());
        Assert.NotNull(provider.GetRequiredService<IEndpointControl>());
        Assert.NotNull(provider.GetRequiredService<ITransformJobs>());
        Assert.NotNull(provider.GetRequiredService<IObjectStore>());
        Assert.NotNull(provider.GetRequiredService<IMessageQueue>());
    }
}
