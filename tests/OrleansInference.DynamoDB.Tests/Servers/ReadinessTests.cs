using System.Net;
using System.Reflection;
using Amazon.Runtime;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using OrleansInference.FrontDoor;
using OrleansInference.Hosting;

namespace OrleansInference.DynamoDB.Tests.Servers;

/// <summary>What a server that cannot reach the catalog answers.</summary>
public sealed class ReadinessTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly TableHealth _tables;

    public ReadinessTests() => _tables = new(time: _time);

    [Fact]
    public async Task A_server_that_reaches_no_other_is_not_ready()
    {
        var (status, text) = await AskAsync(new OrleansException("no silo"));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.Contains("The catalog cannot be reached.", text, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await AskAsync(new TimeoutException())).Status);
    }

    [Fact]
    public async Task A_catalog_that_no_server_can_read_takes_none_out()
    {
        var refused = new AmazonServiceException("User: arn:aws:sts::1:assumed-role/silo is not authorized", null, ErrorType.Sender, "AccessDeniedException", "1", HttpStatusCode.BadRequest);
        Assert.Equal((HttpStatusCode.OK, "ready"), await AskAsync(new OrleansException("The state could not be read.", refused)));

        // Who has tried a table too says so, but not what AWS said: anybody may ask.
        _tables.Failed("state", refused);
        var (status, text) = await AskAsync(new TimeoutException());
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Matches("^ready, but [^\n]+\nDynamoDB table state since [0-9-]+T[0-9:]+Z, last tried at [0-9:]+Z: it is not permitted$", text);
        _tables.Succeeded("state");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await AskAsync(new TimeoutException())).Status);
    }

    [Theory]
    [InlineData("state", "ProvisionedThroughputExceededException", 400, 59, HttpStatusCode.OK)]
    [InlineData("state", "AccessDeniedException", 400, 59, HttpStatusCode.OK)]
    [InlineData("state", "InternalServerError", 500, 59, HttpStatusCode.OK)]
    [InlineData("state", "AccessDeniedException", 400, 61, HttpStatusCode.ServiceUnavailable)]
    [InlineData("silos", "AccessDeniedException", 400, 1, HttpStatusCode.ServiceUnavailable)]
    [InlineData("state", "", 0, 1, HttpStatusCode.ServiceUnavailable)]
    [InlineData("state", "ExpiredTokenException", 400, 1, HttpStatusCode.ServiceUnavailable)]
    [InlineData("state", "UnrecognizedClientException", 400, 1, HttpStatusCode.ServiceUnavailable)]
    [InlineData("state", "RequestTimeTooSkewed", 400, 1, HttpStatusCode.ServiceUnavailable)]
    public async Task Only_what_AWS_lately_refused_of_the_catalogs_own_table_for_no_fault_of_this_machine_excuses_that_the_catalog_is_not_reached(string table, string error, int status, int secondsAgo, HttpStatusCode ready)
    {
        _tables.Failed(table, new AmazonServiceException("no", null, ErrorType.Unknown, error, "1", (HttpStatusCode)status));
        _time.Advance(TimeSpan.FromSeconds(secondsAgo));
        Assert.Equal(ready, (await AskAsync(new TimeoutException())).Status);
    }

    [Fact]
    public async Task A_server_that_does_not_reach_AWS_and_no_catalog_is_not_ready()
    {
        var unreachable = new AmazonClientException("refused", new HttpRequestException("refused"));
        var late = new AmazonClientException("no answer", new TimeoutException("no answer"));
        foreach (var problem in (Exception[])[unreachable, late, new AmazonClientException("Unable to get credentials")])
        {
            _tables.Failed("state", problem);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await AskAsync(new TimeoutException())).Status);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await AskAsync(new OrleansException("The state could not be read.", problem))).Status);
        }
    }

    private async Task<(HttpStatusCode Status, string Text)> AskAsync(Exception catalog)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var grains = DispatchProxy.Create<IGrainFactory, Answering>();
        ((Answering)(object)grains).Answer = () =>
        {
            var grain = DispatchProxy.Create<ICatalogGrain, Answering>();
            ((Answering)(object)grain).Answer = () => throw catalog;
            return grain;
        };
        builder.Services.AddSingleton(grains);
        builder.Services.AddSingleton(_tables);
        builder.Services.AddSingleton<TimeProvider>(_time);
        builder.Services.AddOptions<DynamoDBStorageOptions>(OrleansInferenceOptions.StorageName).Configure(static options => options.TableName = "state");
        builder.Services.AddSingleton<Readiness>();
        await using var application = builder.Build();
        application.UseMiddleware<FaultShield>();
        Readiness.Map(application);
        application.Services.GetRequiredService<Readiness>().Open();
        await application.StartAsync(TestContext.Current.CancellationToken);
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        using var response = await http.GetAsync(new Uri(new Uri(application.Urls.First()), "/readyz"), TestContext.Current.CancellationToken);
        return (response.StatusCode, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    /// <summary>Answers every call alike.</summary>
    public class Answering : DispatchProxy
    {
        /// <summary>What is answered.</summary>
        public Func<object> Answer { get; set; } = static () => throw new NotSupportedException();

        /// <inheritdoc/>
        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => Answer();
    }
}
