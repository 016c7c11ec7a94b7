using System.Net;

namespace OrleansInference.Tests;

/// <summary>Several models on the instances of one endpoint.</summary>
public sealed class MultiModelTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Models_are_loaded_when_asked_for_and_the_longest_unused_makes_room()
    {
        await using var aws = await StartAsync(loadedModels: 2, loadSeconds: 0.05);
        foreach (var (model, loads) in ((string, int)[])[("a", 1), ("a", 1), ("b", 2), ("a", 2), ("c", 3), ("a", 3), ("b", 4)])
        {
            using var response = await InvokeAsync(aws, model);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Equal(loads, aws.Server.InvocationCounts["pool"].ColdStarts);
        }
    }

    [Fact]
    public async Task Who_asks_for_a_model_that_is_being_loaded_waits_for_the_same_load()
    {
        await using var aws = await StartAsync(loadedModels: 2, loadSeconds: 0.5);
        var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => InvokeAsync(aws, "a"))).WaitAsync(Patience, TestContext.Current.CancellationToken);
        Assert.All(answers, static answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        Assert.Equal(1, aws.Server.InvocationCounts["pool"].ColdStarts);
    }

    [Fact]
    public async Task A_load_that_takes_too_long_is_not_waited_for()
    {
        await using var aws = await StartAsync(loadedModels: 2, loadSeconds: 90);
        using var response = await InvokeAsync(aws, "a");
        Assert.Equal(HttpStatusCode.TooManyRequests, response.StatusCode);
        Assert.Equal("ModelNotReadyException", response.Headers.GetValues("x-amzn-ErrorType").Single());
    }

    [Theory]
    [InlineData("pool", null, "TargetModel is required")]
    [InlineData("pool", "none.tar.gz", "was not found")]
    [InlineData("alone", "a.tar.gz", "leave TargetModel out")]
    public async Task What_does_not_fit_the_endpoint_is_refused(string endpoint, string? target, string says)
    {
        await using var aws = await StartAsync(loadedModels: 2, loadSeconds: 0);
        using var response = await aws.InvokeAsync(endpoint, LocalAwsFixture.Body(), headers: target is null ? [] : [("X-Amzn-SageMaker-Target-Model", target)]);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("ValidationError", response.Headers.GetValues("x-amzn-ErrorType").Single());
        Assert.Contains(says, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    private static Task<HttpResponseMessage> InvokeAsync(LocalAwsFixture aws, string model) =>
        aws.InvokeAsync("pool", LocalAwsFixture.Body(), headers: ("X-Amzn-SageMaker-Target-Model", $"{model}.tar.gz"));

    private static async Task<LocalAwsFixture> StartAsync(int loadedModels, double loadSeconds)
    {
        var aws = await LocalAwsFixture.StartAsync(new());
        await aws.Server.ApplyCatalogAsync(LocalAwsFixture.Catalog(LocalAwsFixture.Endpoint("alone", Lane.Realtime)) with
        {
            SharedEndpoints = [LocalAwsFixture.Endpoint("pool", Lane.Realtime, concurrency: 4) with { LoadedModels = loadedModels }],
            Models =
            [
                .. LocalAwsFixture.Catalog(LocalAwsFixture.Endpoint("alone", Lane.Realtime)).Models,
                .. ((string[])["a", "b", "c"]).Select(name => new ModelDefinition
                {
                    Name = new(name),
                    Variants =
                    [
                        new()
                        {
                            Name = new("full"),
                            Endpoints = [new() { Name = new($"on-{name}"), Lane = Lane.Realtime, Shared = new("pool"), TargetModel = $"{name}.tar.gz", Simulation = new() { BaseSeconds = 0.01, Jitter = 0, LoadSeconds = loadSeconds } }],
                        },
                    ],
                }),
            ],
        });
        return aws;
    }
}
