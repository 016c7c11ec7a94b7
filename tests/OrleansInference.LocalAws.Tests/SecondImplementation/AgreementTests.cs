namespace OrleansInference.Tests.SecondImplementation;

/// <summary>The router's clients against the embedded AWS and against moto, an implementation of AWS by others: what each thing asked for comes to.</summary>
public sealed class AgreementTests
{
    /// <summary>Where the two do not agree: what the embedded AWS does, what moto does, and why. In all of them the embedded AWS does as SageMaker, S3 and SQS do.</summary>
    private static readonly Dictionary<string, (string Embedded, string Moto, string Reason)> Differences = new()
    {
        ["ensure a bucket of a bad name"] = ("refused: AmazonS3Exception InvalidBucketName 400", "done", "moto takes capitals and underscores, which S3 has not taken in new buckets since 2018"),
        ["send nothing"] = ("refused: AmazonSQSException MissingParameter 400", "done", "SQS takes no message without text"),
        ["send what XML cannot have"] = ("refused: InvalidMessageContentsException InvalidMessageContents 400", "done", "SQS takes the characters of XML 1.0 only"),
        ["describe at once"] = ("Updating, full 1 of 2, failure none", "InService, full 2 of 2, failure none", "moto's instances are there at once; SageMaker's take minutes, and the endpoint is being updated until they are there"),
        ["set instances at once again"] = ("False", "True", "SageMaker refuses a change of an endpoint that is being updated, which moto's never is"),
        ["set no instances of a real-time endpoint"] = ("refused: ValidationException 400", "True", "a real-time endpoint keeps an instance; moto does not look"),
        ["invoke no endpoint"] = ("refused: Configuration, not sent", "an answer", "moto answers for every name"),
        ["stream"] = ("parts", "refused: Configuration, not sent", "moto has no InvokeEndpointWithResponseStream and answers 404"),
        ["invoke no endpoint asynchronously"] = ("refused: Configuration, not sent", "a receipt", "moto takes every name"),
        ["describe it at once"] = ("InProgress, not started, not ended, no failure", "Completed, started, ended, no failure", "moto's jobs are done at once"),
        ["start a job of no model"] = ("refused: Validation, maybe sent", "done", "moto does not look for the model"),
        ["stop the job"] = ("done", "refused:  500", "moto has no StopTransformJob and answers 500"),
        ["describe it in the end"] = ("Stopped, not started, ended, no failure", "Completed, started, ended, no failure", "moto's job was done when it was to be stopped"),
        ["stop it again"] = ("done", "refused:  500", "moto has no StopTransformJob"),
        ["stop no job"] = ("done", "refused:  500", "moto has no StopTransformJob"),
    };

    [Fact]
    public async Task The_clients_find_the_same_in_the_embedded_AWS_and_in_moto_but_for_the_differences_named()
    {
        var embedded = await EmbeddedAsync();
        await using var moto = await MotoServer.StartAsync();
        await using var scenario = new AwsScenario(moto.Address, static () => { });
        var other = await scenario.RunAsync();

        Assert.Empty(moto.Problems);
        Assert.Equal(embedded.Select(static outcome => outcome.Step), other.Select(static outcome => outcome.Step));
        Assert.All(embedded.Zip(other), static pair =>
        {
            var ((step, outcome), (_, motos)) = pair;
            var expected = Differences.TryGetValue(step, out var difference) ? (difference.Embedded, difference.Moto) : (outcome, outcome);
            Assert.Equal((step, expected.Item1, expected.Item2), (step, outcome, motos));
            Assert.True(difference.Reason is null || difference.Embedded != difference.Moto, $"'{step}' is no difference any more.");
        });
        Assert.Subset(embedded.Select(static outcome => outcome.Step).ToHashSet(), Differences.Keys.ToHashSet());
    }

    private static async Task<IReadOnlyList<(string Step, string Outcome)>> EmbeddedAsync()
    {
        var clock = new ManualClock();
        await using var aws = await LocalAwsFixture.StartAsync(
            new() { Clock = clock.Router, AccessKey = new(AwsScenario.AccessKeyId, AwsScenario.Secret) },
            [
                .. AwsScenario.Endpoints.Select(static endpoint => LocalAwsFixture.Endpoint(endpoint.Name, endpoint.Lane)),
                LocalAwsFixture.Endpoint("chat-batch", Lane.Batch, simulation: new() { StartSeconds = 100_000 }),
            ]);
        await using var scenario = new AwsScenario(aws.Server.Address, () => clock.Advance(0.5));
        return await scenario.RunAsync();
    }
}
