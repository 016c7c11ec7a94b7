using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using OrleansInference.FrontDoor;

namespace OrleansInference.Tests;

/// <summary>A server that is killed, not stopped, and started again on what it left.</summary>
public sealed class KillTests
{
    private const string Invocations = $"/v1/models/{WireServer.Model}/invocations";
    private static readonly (string, string)[] AsJob = [("X-Inference-Lanes", "Async"), ("Prefer", "respond-async"), ("X-Inference-Deadline", "12h")];

    [Fact]
    public async Task After_a_kill_the_clock_has_not_gone_back_jobs_end_and_what_was_spent_is_spent()
    {
        await using var server = new WireServer { Speed = 50 };
        await server.InitializeAsync();
        for (var i = 0; i < 10; i++)
        {
            using var answer = await server.SendAsync(HttpMethod.Post, Invocations, Body());
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }

        var before = Money.Zero;
        await server.UntilAsync(async () => (before = (await BudgetAsync(server)).SettledTotal) >= Money.FromDollars(0.001m), "reporting ten charges");
        var job = (await SubmitAsync(server))!;
        await server.KillAsync();
        var stood = long.Parse(await File.ReadAllTextAsync(Path.Combine(server.DataFolder, "clock")), CultureInfo.InvariantCulture);
        Assert.True(job.AcceptedAt.ToUnixTimeMilliseconds() <= stood);

        await server.StartAsync();
        var after = await BudgetAsync(server);
        Assert.True(after.SettledTotal >= before, $"{after.SettledTotal} is less than {before}");
        Assert.True(after.Windows.Single().Available <= Money.FromDollars(100m) - before);
        JobView? next = null;
        await server.UntilAsync(async () => (next = await SubmitAsync(server)) is not null, "taking jobs again");
        Assert.True(next!.AcceptedAt.ToUnixTimeMilliseconds() >= stood, $"{next.AcceptedAt:O} is before {stood}");
        await server.UntilAsync(
            async () =>
            {
                using var result = await server.SendAsync(HttpMethod.Get, $"/v1/jobs/{job.JobId}/result", null, ("Prefer", "wait=5"));
                return result.StatusCode == HttpStatusCode.OK;
            },
            "done with the job from before");
    }

    [Fact]
    public async Task What_the_operator_changed_holds_over_a_restart_on_the_same_catalog_file()
    {
        await using var server = new WireServer();
        await server.InitializeAsync();
        using (var put = await server.AdministerAsync(HttpMethod.Put, "/v1/admin/tenants/added", new StringContent("""{"id":"added"}""", Encoding.UTF8, "application/json")))
        {
            Assert.Equal(HttpStatusCode.OK, put.StatusCode);
        }

        await server.KillAsync();
        await server.StartAsync();

        // The server answers what the catalog in force says once it is ready.
        using var catalog = await server.AdministerAsync(HttpMethod.Get, "/v1/admin/catalog");
        Assert.Contains("\"added\"", await catalog.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    private static async Task<JobView?> SubmitAsync(WireServer server)
    {
        using var accepted = await server.SendAsync(HttpMethod.Post, Invocations, Body(), AsJob);
        if (accepted.StatusCode != HttpStatusCode.Accepted)
        {
            return null;
        }

        using var job = await server.SendAsync(HttpMethod.Get, accepted.Headers.Location!.OriginalString);
        return await job.Content.ReadFromJsonAsync<JobView>(FrontDoorJson.Options);
    }

    private static async Task<BudgetView> BudgetAsync(WireServer server)
    {
        using var response = await server.SendAsync(HttpMethod.Get, $"/v1/tenants/{WireServer.Tenant}/budget");
        return (await response.Content.ReadFromJsonAsync<BudgetView>(FrontDoorJson.Options))!;
    }

    private static StringContent Body() => new("""{"inputs":"hi","input_tokens":100,"output_tokens":20}""", Encoding.UTF8, "application/json");
}
